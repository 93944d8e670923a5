"""Weights in the order in which the kernels read them: `[channels / 16][…][4 bytes / 4][16][4]`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 16
"""Channels that a kernel computes at once, `KWS_BLOCK`."""

DEPTH = 4
"""Neighbouring bytes that it multiplies at once, `KWS_DEPTH`."""

Weights = NDArray[np.int8]


def _padded(values: NDArray[Any], axis: int, multiple: int) -> NDArray[Any]:
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, -values.shape[axis] % multiple)
    return np.pad(values, widths)


def pack(weights: Weights) -> Weights:
    """Return `(channels, taps, size)` as `[channels / 16][taps][size / 4][16][4]`, flat."""
    padded = _padded(_padded(weights, 0, BLOCK), 2, DEPTH)
    channels, taps, size = padded.shape
    blocks = padded.reshape(channels // BLOCK, BLOCK, taps, size // DEPTH, DEPTH)
    return blocks.transpose(0, 2, 3, 1, 4).ravel().astype(np.int8)


def pack_depthwise(weights: Weights) -> Weights:
    """Return `(taps, channels)` as `[channels / 16][taps / 4][16][4]`, flat."""
    padded = _padded(_padded(weights, 0, DEPTH), 1, BLOCK)
    taps, channels = padded.shape
    blocks = padded.reshape(taps // DEPTH, DEPTH, channels // BLOCK, BLOCK)
    return blocks.transpose(2, 0, 3, 1).ravel().astype(np.int8)


def whole_groups(values: NDArray[Any]) -> NDArray[Any]:
    """Return one value a channel, padded with 0 to whole groups of channels."""
    return _padded(values, 0, BLOCK)


def four_taps(taps: tuple[int, ...]) -> tuple[int, ...]:
    """Return offsets of taps in fours; the weights of those that repeat the last one are 0."""
    return taps + taps[-1:] * (-len(taps) % DEPTH)
