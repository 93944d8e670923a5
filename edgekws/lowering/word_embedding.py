"""The graph from audio to the vectors of EfficientWord-Net, a ResNet-50 trained on spoken words.

Its input is 1.5 s at 16 kHz as the log of 64 mel bands: 25 ms without a window function every
10 ms, a Fourier transform of 512 samples, triangles between bins (as python_speech_features).
Trained with ArcFace on the words of many speakers (Multilingual Spoken Words Corpus).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgekws.errors import UnsupportedError

SAMPLE_RATE = 16_000
_SAMPLES, _FRAME, _HOP, _N_FFT, _BANDS = 24_000, 400, 160, 512, 64
_FRAMES = -(-(_SAMPLES - _FRAME) // _HOP) + 1

Array = NDArray[np.float64]


def nodes(
    audio: str, features: str, samples: int, prefix: str
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the nodes and constants from `audio` `(1, samples)` to `features` `(1, 1, T, bands)`.

    Shorter audio is in the middle of its 1.5 s, and of longer audio the middle is taken.

    Raises:
        UnsupportedError: `samples` is more than twice what the network takes.
    """
    if samples > 2 * _SAMPLES:
        raise UnsupportedError(
            f"the word embedding takes {_SAMPLES / SAMPLE_RATE:g} s of audio; shorten window_s in "
            "[front_end]"
        )
    before = (_SAMPLES - samples) // 2
    after = (_FRAMES - 1) * _HOP + _FRAME - samples - before
    arrays: dict[str, NDArray[Any]] = {
        "pads": np.array([0, 0, before, 0, 0, after], np.int64),
        "shape": np.array([1, 1, samples], np.int64),
        "fourier": fourier().astype(np.float32)[:, None, :],
        "halves": np.array([_N_FFT // 2 + 1] * 2, np.int64),
        "bank": mel_bank().astype(np.float32),
        "least": np.array(np.finfo(float).eps, np.float32),
        "out": np.array([1, 1, _FRAMES, _BANDS], np.int64),
    }
    steps: list[tuple[str, str, str, dict[str, Any]]] = [
        ("Reshape", f"{audio} shape", "row", {}),
        ("Pad", "row pads", "padded", {}),
        ("Conv", "padded fourier", "waves", {"strides": [_HOP]}),
        ("Mul", "waves waves", "squares", {}),
        ("Split", "squares halves", "real imaginary", {"axis": 1}),
        ("Add", "real imaginary", "power", {}),
        ("Transpose", "power", "frames", {"perm": [0, 2, 1]}),
        ("MatMul", "frames bank", "mel", {}),
        ("Max", "mel least", "floored", {}),
        ("Log", "floored", "log", {}),
        ("Reshape", "log out", features, {}),
    ]

    def names(values: str) -> list[str]:
        return [v if v in (audio, features) else f"{prefix}{v}" for v in values.split()]

    written = [helper.make_node(op, names(i), names(o), **extra) for op, i, o, extra in steps]
    return written, [numpy_helper.from_array(array, f"{prefix}{n}") for n, array in arrays.items()]


def fourier() -> Array:
    """Return the real and imaginary parts of the transform, `(2 · bins, frame)`, over √n_fft."""
    turns = np.outer(np.arange(_N_FFT // 2 + 1), np.arange(_FRAME)) / _N_FFT
    waves = np.exp(-2j * np.pi * turns) / np.sqrt(_N_FFT)
    return np.concatenate((waves.real, waves.imag))


def mel_bank() -> Array:
    """Return the mel filters, `(bins, bands)`: triangles whose corners are whole bins."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, _BANDS + 2) / 2595) - 1)
    corners = np.floor((_N_FFT + 1) * hertz / SAMPLE_RATE)
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.arange(_N_FFT // 2 + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # bands narrower than a bin
        rising = np.where((low <= bins) & (bins < middle), (bins - low) / (middle - low), 0)
        falling = np.where((middle <= bins) & (bins < high), (high - bins) / (high - middle), 0)
    return rising + falling
