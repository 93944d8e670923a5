"""A spectrogram as a small picture within a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

FRAME_S, HOP_S = 0.025, 0.01
RANGE_DB = 70.0


def spectrogram(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Return levels `(bins, frames)` in dB below the loudest, at most `RANGE_DB`, low bins first.

    >>> spectrogram(np.zeros(1600, np.float32), 16_000).shape
    (201, 8)
    """
    size, hop = round(FRAME_S * sample_rate), round(HOP_S * sample_rate)
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1))).T
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    clipped: NDArray[np.float64] = np.maximum(levels - levels.max(), -RANGE_DB)
    return clipped


def as_png(samples: NDArray[np.float32], sample_rate: int) -> str:
    """Return the spectrogram of samples `(n,)` as a PNG in a data URI, low frequencies below."""
    from matplotlib.image import imsave

    picture = io.BytesIO()
    levels = spectrogram(samples, sample_rate)
    imsave(picture, levels, cmap="magma", origin="lower", vmin=-RANGE_DB, vmax=0, format="png")
    return "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode("ascii")
