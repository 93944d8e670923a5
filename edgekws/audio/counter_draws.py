"""Uniform random numbers of many clips at once, each determined by (seed, epoch, clip) alone."""

import numpy as np
from numpy.typing import NDArray


def uniform(seed: int, epoch: int, clips: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return `(B, n)` in [0, 1), determined by (seed, epoch, clip).

    SplitMix64 (Steele, Lea, Flood 2014) in counter form for all clips at once, because a generator
    per clip would cost more than the masks.
    """
    state = _splitmix64(_splitmix64(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch))
    streams = _splitmix64(state + clips.astype(np.uint64))[:, None]  # (B, 1)
    words = _splitmix64(streams + np.arange(n).astype(np.uint64))
    return np.asarray((words >> np.uint64(11)) * 2.0**-53)


def _splitmix64(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = word + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed
