"""The log-mel in front of the word embedding, against a slow one by its definition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from edgekws.core.family import load
from edgekws.errors import UnsupportedError
from edgekws.lowering import audio_graph
from edgekws.metrics import execution


def slow_log_mel(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return `(frames, 64)` of audio in the middle of 1.5 s, band by band and bin by bin."""
    before = (24_000 - len(wave)) // 2
    padded = np.zeros(24_080)
    padded[before : before + len(wave)] = wave
    rows = []
    for start in range(0, 24_000 - 400 + 160, 160):
        power = np.abs(np.fft.rfft(padded[start : start + 400], 512)) ** 2 / 512
        rows.append([np.log(max(float(power @ band), 2.220446049250313e-16)) for band in bands()])
    return np.array(rows)


def bands() -> list[NDArray[np.float64]]:
    top = 2595 * np.log10(1 + 8000 / 700)
    corners = [
        int(513 * 700 * (10 ** (top * i / 65 / 2595) - 1) / 16_000 + 1e-9) for i in range(66)
    ]
    triangles = []
    for low, middle, high in zip(corners, corners[1:], corners[2:], strict=False):
        triangle = np.zeros(257)
        for k in range(low, middle):
            triangle[k] = (k - low) / (middle - low)
        for k in range(middle, high):
            triangle[k] = (high - k) / (high - middle)
        triangles.append(triangle)
    return triangles


def passing_on() -> ModelProto:
    """Return a network whose vector is its input."""
    shape = [1, 1, 149, 64]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("input", "out")]
    node = helper.make_node("Identity", ["input"], ["out"])
    built = helper.make_graph([node], "g", values[:1], values[1:])
    return helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("samples", [16_000, 24_000, 12_345])
def test_it_takes_the_log_mel_of_the_network(samples: int) -> None:
    wave = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    wave[: samples // 3] = 0
    model = audio_graph.spoken_words(passing_on(), samples)
    (vectors,) = execution.outputs(model, {"audio": wave[None]})
    expected = slow_log_mel(wave)
    np.testing.assert_allclose(vectors.reshape(149, 64), expected, atol=2e-3)


def test_the_middle_of_longer_audio_is_taken() -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, 32_000).astype(np.float32)
    model = audio_graph.spoken_words(passing_on(), 32_000)
    (vectors,) = execution.outputs(model, {"audio": wave[None]})
    frames = vectors.reshape(149, 64)
    np.testing.assert_allclose(frames[:147], slow_log_mel(wave[4_000:28_000])[:147], atol=2e-3)
    with pytest.raises(UnsupportedError, match=r"takes 1\.5 s of audio; shorten window_s"):
        audio_graph.spoken_words(passing_on(), 48_001)


def test_the_installed_network_tells_words_of_people_apart(shared_data: Path) -> None:
    """The nearest vector of another speaker is of the same word."""
    words = ("left", "right", "stop", "zero", "one", "two")
    step: Any = load("Step", "embedding_teacher")(package="efficientword-net")
    model = audio_graph.spoken_words(audio_graph.load(step.files()[0]), 16_000)
    vectors, spoken = [], []
    for word in words:
        for path in sorted((shared_data / "asc" / word).glob("*_01.flac"))[:4]:
            wave = soundfile.read(path, dtype="float32", frames=16_000, fill_value=0)[0]
            vectors.append(execution.outputs(model, {"audio": wave[None]})[0][0])
            spoken.append(word)
    unit = np.stack(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = unit @ unit.T - 2 * np.eye(len(unit))
    right = [spoken[i] == spoken[j] for i, j in enumerate(near.argmax(1))]
    assert all(right)
