"""Comparison of recordings: the same one at another level, rate or cut, or in another format."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.95
"""Fingerprints with this correlation may be of one recording, or of two takes of a speaker."""

SAME = 0.9
"""Waveforms with this correlation are of one recording; two takes are far below."""

_BLOCK = 1024


def alike(prints: NDArray[np.float32], least: float = ALIKE) -> Iterator[tuple[float, int, int]]:
    """Yield `(correlation, i, j)`, `i < j`, of fingerprints `(N, D)`, if it is at least `least`."""
    for start in range(0, len(prints), _BLOCK):
        block = prints[start : start + _BLOCK] @ prints[start:].T  # (B, N - start)
        for i, j in np.argwhere(block >= least):
            if i < j:
                yield float(block[i, j]), start + int(i), start + int(j)


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the largest absolute correlation of two waveforms at any shift, in 0 … 1."""
    energy = float(np.vdot(a, a)) * float(np.vdot(b, b))
    if energy <= 0:
        return 0.0
    size = 1 << (len(a) + len(b) - 1).bit_length()
    spectrum = np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size))
    return float(np.abs(np.fft.irfft(spectrum, size)).max() / energy**0.5)


def groups(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the connected components of two or more of `count` items, each sorted.

    >>> groups(6, [(4, 1), (1, 5), (0, 2)])
    [[0, 2], [1, 4, 5]]
    """
    parents = list(range(count))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for i, j in pairs:
        low, high = sorted((root(i), root(j)))
        parents[high] = low
    sets: dict[int, list[int]] = {}
    for i in range(count):
        sets.setdefault(root(i), []).append(i)
    return [members for members in sets.values() if len(members) > 1]
