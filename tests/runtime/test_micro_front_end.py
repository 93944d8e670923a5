"""The micro front end gives the integers of pymicro-features."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from pymicro_features import MicroFrontend

from edgekws.runtime.micro_front_end import CHANNELS, RUN_IN, SCALE, MicroFrontEnd, clip_features

Samples = NDArray[np.int16]
FULL = 32_767


def theirs(samples: Samples) -> NDArray[np.int64]:
    front_end, raw, rows, place = MicroFrontend(), samples.tobytes(), [], 0
    while place + 320 <= len(raw):
        output = front_end.process_samples(raw[place : place + 320])
        place += 2 * output.samples_read
        if output.features:
            rows.append(output.features)
    return np.rint(np.array(rows) / SCALE).astype(np.int64)


def clipped(loudness: float) -> Samples:
    noise = np.random.default_rng(0).standard_normal(8_000) * loudness
    return np.clip(noise, -FULL - 1, FULL).astype(np.int16)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(clipped(3), id="near silence"),
        pytest.param(clipped(1_000), id="noise"),
        pytest.param(clipped(30_000), id="clipped"),
        pytest.param(np.zeros(8_000, np.int16), id="silence"),
        pytest.param(np.full(8_000, -FULL - 1, np.int16), id="lowest"),
        pytest.param((np.sin(np.arange(8_000) * 0.3) * FULL).astype(np.int16), id="tone"),
        pytest.param(clipped(1_000) * (np.arange(8_000) > 4_000), id="onset"),
    ],
)
def test_every_integer_is_equal(samples: Samples) -> None:
    samples = samples.astype(np.int16)
    assert np.array_equal(MicroFrontEnd().feed(samples), theirs(samples))


def test_every_integer_is_equal_on_real_speech(shared_data: Path) -> None:
    recordings = sorted((shared_data / "asc").rglob("*.flac"))[::1_200]
    for recording in recordings:
        samples, rate = soundfile.read(recording, dtype="int16")
        assert rate == 16_000
        assert np.array_equal(MicroFrontEnd().feed(samples), theirs(samples)), recording.name
    assert len(recordings) >= 5


def test_pieces_of_any_length_give_the_same() -> None:
    samples, front_end = clipped(1_000), MicroFrontEnd()
    ends = [0, 1, 479, 480, 481, 1_000, 1_159, 5_000, 8_000]
    pieces = [front_end.feed(samples[a:b]) for a, b in pairwise(ends)]
    assert np.array_equal(np.concatenate(pieces), MicroFrontEnd().feed(samples))


def test_a_lone_clip_has_a_noise_before_it() -> None:
    samples = clipped(1_000)
    features = clip_features(samples)
    assert features.shape == (48, CHANNELS)
    steady = MicroFrontEnd().feed(np.resize(samples, 10 * len(samples)))
    start = MicroFrontEnd().feed(samples)
    level, lone, fresh = (float(f.mean()) for f in (steady[-40:], features[:20], start[:20]))
    assert abs(lone - level) < 0.2 * abs(fresh - level)
    assert RUN_IN == 100
