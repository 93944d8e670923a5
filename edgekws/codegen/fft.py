"""The plan of an FFT of real samples: its passes, the order of its inputs, its roots of unity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 1 << 16
"""The places of points are 16-bit numbers."""


@dataclass(frozen=True)
class Pass:
    """A pass of the FFT: transforms of `length` points become those of `radix * length`.

    The root of unity of the longer transform is entry `stride` of the table of roots.
    """

    radix: int
    length: int
    stride: int

    @property
    def last_root(self) -> int:
        """The highest entry of the table of roots that the pass reads."""
        if self.radix in (2, 4):
            return (self.radix - 1) * (self.length - 1) * self.stride
        return self.radix * self.length * self.stride - 1


def n_points(n_fft: int) -> int:
    """Return the points of the complex FFT that transforms `n_fft` real samples."""
    return n_fft // 2 if n_fft % 2 == 0 else n_fft


def passes(n_fft: int) -> tuple[Pass, ...]:
    """Return the passes of the complex FFT, radix 4 first.

    >>> [p.radix for p in passes(512)], [p.radix for p in passes(400)]
    ([4, 4, 4, 4], [4, 2, 5, 5])
    """
    left, length, chosen = n_points(n_fft), 1, list[Pass]()
    radix = 4
    while left > 1:
        if left % radix:
            radix = {4: 2, 2: 3}.get(radix, radix + 2)
            if radix * radix > left and radix > 2:
                radix = left
            continue
        length *= radix
        chosen.append(Pass(radix, length // radix, n_fft // length))
        left //= radix
    return tuple(chosen)


def places(n_fft: int) -> NDArray[np.int64]:
    """Return where each input of the complex FFT is stored: its digits reversed, `(n_points,)`."""
    inputs, block = np.arange(n_points(n_fft)), n_points(n_fft)
    result = np.zeros_like(inputs)
    for fft_pass in reversed(passes(n_fft)):
        block //= fft_pass.radix
        result += inputs % fft_pass.radix * block
        inputs = inputs // fft_pass.radix
    return result


def butterfly_radix(n_fft: int) -> int:
    """Return the largest radix that is transformed in a buffer of its own; 0 if there is none."""
    return max((p.radix for p in passes(n_fft) if p.radix not in (2, 4)), default=0)


def roots_of_unity(n_fft: int) -> NDArray[np.float64]:
    """Return (cos, -sin) of each root up to the last one that is read, `(2 * entries,)`."""
    last = max((p.last_root for p in passes(n_fft)), default=0)
    if n_fft % 2 == 0:
        last = max(last, n_fft // 4)
    angles = 2 * np.pi * np.arange(last + 1) / n_fft
    return np.stack([np.cos(angles), -np.sin(angles)], axis=1).ravel()
