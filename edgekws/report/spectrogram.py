"""A spectrogram as a small picture within a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

FRAME_S, HOP_S = 0.025, 0.01
RANGE_DB = 70.0

STEP_DB = 3.5
"""Levels of a picture are this far apart, which makes it half as large."""


def spectrogram(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Return levels `(bands, frames)` in dB below the loudest, at most `RANGE_DB`, low bands first.

    A band is two bins of the transform, 80 Hz.

    >>> spectrogram(np.zeros(1600, np.float32), 16_000).shape
    (100, 8)
    """
    size, hop = round(FRAME_S * sample_rate), round(HOP_S * sample_rate)
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1))).T
    bands = power[: len(power) // 2 * 2].reshape(-1, 2, power.shape[1]).mean(axis=1)
    levels = 10 * np.log10(np.maximum(bands, 1e-12))
    clipped: NDArray[np.float64] = np.maximum(levels - levels.max(), -RANGE_DB)
    return clipped


def as_png(samples: NDArray[np.float32], sample_rate: int) -> str:
    """Return the spectrogram of samples `(n,)` as a PNG in a data URI, low frequencies below."""
    from matplotlib.image import imsave

    picture = io.BytesIO()
    levels = np.round(spectrogram(samples, sample_rate) / STEP_DB) * STEP_DB
    imsave(picture, levels, cmap="magma", origin="lower", vmin=-RANGE_DB, vmax=0, format="png")
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode("ascii")
