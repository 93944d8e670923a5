"""The numpy front end against torchaudio, and the physics of its parameters."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekws.audio import _torchaudio
from edgekws.audio.front_end_problems import EMPTY_WEIGHT, problems
from edgekws.runtime import front_end as module
from edgekws.runtime.front_end import FrontEnd, log_mel, mel_filterbank

VALID = (
    FrontEnd(),
    FrontEnd(n_mels=64),
    FrontEnd(sample_rate=8000, n_fft=400, win_length=201, hop_length=77, n_mels=20, f_max=3500.0),
    FrontEnd(n_fft=511, win_length=511, hop_length=1, window_s=0.05, n_mels=10, f_min=0.0),
)


@st.composite
def front_ends(draw: st.DrawFn) -> FrontEnd:
    """Parameters of any kind, mostly impossible ones."""
    return FrontEnd(
        sample_rate=draw(st.sampled_from([8000, 11025, 16000])),
        window_s=draw(st.floats(-0.01, 0.1)),
        n_fft=draw(st.integers(-1, 600)),
        win_length=draw(st.integers(-1, 700)),
        hop_length=draw(st.integers(-1, 700)),
        n_mels=draw(st.integers(-1, 120)),
        f_min=draw(st.floats(-10, 5000)),
        f_max=draw(st.floats(-10, 9000)),
    )


@st.composite
def mostly_valid(draw: st.DrawFn, max_n_mels: int) -> FrontEnd:
    """Parameters that fit each other, but for filters that may be empty."""
    sample_rate = draw(st.sampled_from([8000, 11025, 16000]))
    n_fft = draw(st.integers(8, 600))
    win_length = draw(st.integers(1, n_fft))
    return FrontEnd(
        sample_rate=sample_rate,
        window_s=draw(st.floats(0.08, 0.1)),
        n_fft=n_fft,
        win_length=win_length,
        hop_length=draw(st.integers(1, win_length)),
        n_mels=draw(st.integers(1, max_n_mels)),
        f_min=draw(st.floats(0, 300)),
        f_max=draw(st.floats(1000, sample_rate / 2)),
    )


@pytest.mark.parametrize("front_end", VALID, ids=str)
def test_filters_are_torchaudios(front_end: FrontEnd) -> None:
    theirs = _torchaudio.load().functional.melscale_fbanks(
        front_end.n_fft // 2 + 1,
        front_end.f_min,
        front_end.f_max,
        front_end.n_mels,
        front_end.sample_rate,
    )
    ours = mel_filterbank(front_end)
    assert ours.shape == (front_end.n_mels, front_end.n_fft // 2 + 1)
    np.testing.assert_allclose(ours, theirs.numpy().T, atol=2e-5)


@pytest.mark.parametrize("front_end", VALID, ids=str)
def test_features_are_torchaudios(front_end: FrontEnd) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, (2, front_end.window_samples)).astype(np.float32)
    parameters = front_end.to_dict()
    del parameters["window_s"]
    transform = _torchaudio.load().transforms.MelSpectrogram(**parameters, center=False)
    theirs = (transform(torch.from_numpy(wave)) + 1e-6).log().numpy()
    ours = log_mel(wave, front_end)
    assert ours.dtype == np.float32
    assert ours.shape == (2, front_end.n_mels, front_end.n_frames)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    np.testing.assert_allclose(log_mel(wave[1], front_end), ours[1], atol=1e-6)


def test_frames_of_a_stream_are_those_of_the_window() -> None:
    front_end = FrontEnd()
    wave = np.random.default_rng(1).normal(0, 0.1, 32_000).astype(np.float32)
    later = log_mel(wave[10 * front_end.hop_length :], front_end)
    np.testing.assert_allclose(log_mel(wave, front_end)[:, 10:], later, atol=1e-6)


def test_less_than_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="511 samples are less than one frame of 512"):
        log_mel(np.zeros(511, np.float32), FrontEnd())


def test_file_works_alone(tmp_path: Path) -> None:
    shutil.copy(module.__file__, tmp_path / "alone.py")
    code = "import sys, alone; assert not [m for m in sys.modules if m.startswith('edgekws')]"
    environment = {"PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("changes", "key", "message"),
    [
        ({"win_length": 600}, "win_length", r"does not fit into an FFT of 512.*1024.*= 512$"),
        ({"hop_length": 481}, "hop_length", r"leaves gaps.*use hop_length = 480$"),
        ({"f_max": 8001.0}, "f_max", r"8001.0 Hz is above.*16000 Hz holds; use f_max = 8000.0$"),
        ({"f_min": 8000.0}, "f_min", r"not below f_max = 8000.0 Hz; use f_min = 20.0$"),
        ({"window_s": 0.01}, "window_s", r"160 samples, less than one frame.*window_s = 0.032$"),
        (
            {"n_mels": 128},
            "n_mels",
            r"of 128 mel filters hold no FFT bin \(.*31.25 Hz.*; use n_mels = \d+ or n_fft = \d+$",
        ),
        ({"n_mels": 0}, "n_mels", r"0 is not positive; use n_mels = 40$"),
        ({"f_min": -1.0}, "f_min", r"-1.0 Hz is below zero; use f_min = 0.0$"),
        (
            {"n_mels": 3, "f_min": 100.0, "f_max": 101.0, "window_s": 0.1},
            "n_mels",
            r"3 of 3 mel filters hold no FFT bin.*widen f_min … f_max or lengthen window_s$",
        ),
    ],
)
def test_what_physics_forbids(changes: dict[str, Any], key: str, message: str) -> None:
    invalid = problems(replace(FrontEnd(), **changes))
    assert [name for name, _ in invalid] == [key]
    assert re.search(message, invalid[0][1])


def test_valid_parameters_have_no_problem() -> None:
    assert [problems(front_end) for front_end in VALID] == [()] * len(VALID)


def _reason(message: str) -> str:
    """What is wrong, whatever the figures: `N is not positive`."""
    return re.sub(r"-?[\d.]+(e-?\d+)?", "N", message.split("; ")[0])


@settings(max_examples=100, deadline=None)
@given(front_ends() | mostly_valid(max_n_mels=120))
def test_the_suggested_value_removes_the_problem(front_end: FrontEnd) -> None:
    for key, message in problems(front_end):
        _, _, advice = message.rpartition("; ")
        if "use " not in advice:
            assert advice == "widen f_min … f_max or lengthen window_s"
            continue
        ways = re.findall(r"(\w+) = (-?[\d.]+(?:e-?\d+)?)", advice.rpartition("use ")[2])
        assert ways
        for name, value in ways:
            kind = type(getattr(FrontEnd(), name))
            after = problems(replace(front_end, **{name: kind(value)}))
            assert (key, _reason(message)) not in [(k, _reason(m)) for k, m in after]


@settings(max_examples=60, deadline=None)
@given(mostly_valid(max_n_mels=8))
def test_no_problem_means_features_without_a_hole(front_end: FrontEnd) -> None:
    assume(not problems(front_end))
    assert (mel_filterbank(front_end).max(axis=1) > 0).all()
    wave = np.random.default_rng(0).normal(0, 0.1, front_end.window_samples)
    features = log_mel(wave, front_end)
    assert features.shape == (front_end.n_mels, front_end.n_frames)
    assert np.isfinite(features).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(41, 200), st.integers(64, 300))
def test_suggested_n_mels_is_the_largest(n_mels: int, n_fft: int) -> None:
    front_end = FrontEnd(n_fft=n_fft, win_length=n_fft, hop_length=n_fft, n_mels=n_mels)
    invalid = dict(problems(front_end))
    assume("n_mels" in invalid)
    match = re.search(r"n_mels = (\d+)", invalid["n_mels"])
    largest = int(match[1]) if match else 0
    for more in range(largest + 1, n_mels):
        bank = mel_filterbank(replace(front_end, n_mels=more))
        assert bank.max(axis=1).min() < EMPTY_WEIGHT


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(20, 160), st.floats(60, 300))
def test_remedies_are_the_nearest_that_fill_every_filter(
    n_mels: int, n_fft: int, f_min: float
) -> None:
    """One filter is a remedy too, and so is an FFT of exactly the window; one sample less is none.

    The weights of the filters themselves say what is filled.
    """
    fields: dict[str, Any] = {
        "win_length": n_fft,
        "hop_length": n_fft,
        "f_min": f_min,
        "f_max": f_min + 100,
    }
    front_end = FrontEnd(n_mels=n_mels, n_fft=n_fft, **fields)
    assume("n_mels" in dict(problems(front_end)))

    def filled(**changes: Any) -> bool:
        bank = mel_filterbank(replace(front_end, **changes))
        return bool(bank.max(axis=1).min() >= EMPTY_WEIGHT)

    fewer = [n for n in range(1, n_mels) if filled(n_mels=n)]
    longer = next(n for n in range(n_fft + 1, 16_000) if filled(n_fft=n))
    ways = [f"n_mels = {max(fewer)}"] if fewer else []
    for samples, expected in (
        (longer, [*ways, f"n_fft = {longer}"]),
        (longer - 1, ways),
    ):
        invalid = dict(problems(replace(front_end, window_s=samples / 16_000)))
        assert re.findall(r"n_\w+ = \d+", invalid["n_mels"]) == expected
