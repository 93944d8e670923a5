"""The same recording twice: at another level, rate or cut, or in another format."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.95
"""Prints that correlate so much may be of one recording; two takes of a speaker may reach it."""

SAME = 0.9
"""Waveforms that correlate so much are of one recording; two takes do not come near it."""

_BLOCK = 1024


def alike(prints: NDArray[np.float32], least: float = ALIKE) -> Iterator[tuple[float, int, int]]:
    """Yield `(correlation, i, j)`, `i < j`, of prints `(N, D)` of norm 1 or 0, from `least` on."""
    for start in range(0, len(prints), _BLOCK):
        block = prints[start : start + _BLOCK] @ prints[start:].T  # (B, N - start)
        for i, j in np.argwhere(block >= least):
            if i < j:
                yield float(block[i, j]), start + int(i), start + int(j)


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the largest correlation of two waveforms at any shift, sign aside, in 0 … 1."""
    energy = float(np.vdot(a, a)) * float(np.vdot(b, b))
    if energy <= 0:
        return 0.0
    size = 1 << (len(a) + len(b) - 1).bit_length()
    spectrum = np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size))
    return float(np.abs(np.fft.irfft(spectrum, size)).max() / energy**0.5)


def groups(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the connected sets of two or more of `count` things, each sorted.

    >>> groups(6, [(4, 1), (1, 5), (0, 2)])
    [[0, 2], [1, 4, 5]]
    """
    above = list(range(count))

    def top(i: int) -> int:
        while above[i] != i:
            above[i] = above[above[i]]
            i = above[i]
        return i

    for i, j in pairs:
        low, high = sorted((top(i), top(j)))
        above[high] = low
    sets: dict[int, list[int]] = {}
    for i in range(count):
        sets.setdefault(top(i), []).append(i)
    return [members for members in sets.values() if len(members) > 1]
