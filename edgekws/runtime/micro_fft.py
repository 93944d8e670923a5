"""The real Fourier transform of 512 samples in 16 bits that the micro front end uses.

Integers are those of kissfft with 16-bit samples: each butterfly divides before it adds, products
are rounded to 15 fractional bits, and sums wrap. Source: M. Borgerding, kissfft, `kiss_fft.c`,
`kiss_fftr.c`; checked by running it.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.signedinteger[Any]]

LENGTH = 512
_HALF = LENGTH // 2
_ONE = 32767
"""What 1 is in 15 fractional bits."""


def spectrum(samples: Integers) -> tuple[Integers, Integers]:
    """Return real and imaginary part `(N, 257)` of 16-bit samples `(N, 512)`, over 512."""
    re, im = _complex_spectrum(samples[:, 0::2], samples[:, 1::2])
    k = np.arange(1, _HALF // 2 + 1)
    front = _divided(re[:, k], 2), _divided(im[:, k], 2)
    back = _divided(re[:, _HALF - k], 2), _divided(_wrapped(-im[:, _HALF - k]), 2)
    total = _wrapped(front[0] + back[0]), _wrapped(front[1] + back[1])
    apart = _wrapped(front[0] - back[0]), _wrapped(front[1] - back[1])
    turned = _product(apart, _half_roots())
    real = np.zeros((len(samples), _HALF + 1), np.int32)
    imaginary = np.zeros_like(real)
    real[:, _HALF - k], imaginary[:, _HALF - k] = (
        (total[0] - turned[0]) >> 1,
        (turned[1] - total[1]) >> 1,
    )
    real[:, k], imaginary[:, k] = (total[0] + turned[0]) >> 1, (total[1] + turned[1]) >> 1
    first, last = _divided(re[:, 0], 2), _divided(im[:, 0], 2)
    real[:, 0], real[:, _HALF] = _wrapped(first + last), _wrapped(first - last)
    return real, imaginary


def _complex_spectrum(re: Integers, im: Integers) -> tuple[Integers, Integers]:
    """Return the transform of 256 complex samples `(N, 256)`, by four rounds of radix 4."""
    order = np.arange(_HALF).reshape(4, 4, 4, 4).transpose(3, 2, 1, 0).ravel()
    re, im = re[:, order], im[:, order]
    roots = _roots()
    for size in (1, 4, 16, 64):
        parts = (
            _divided(re, 4).reshape(len(re), -1, 4, size),
            _divided(im, 4).reshape(len(im), -1, 4, size),
        )
        steps = np.arange(size) * (_HALF // (4 * size))
        terms = [
            _product(
                (parts[0][:, :, q], parts[1][:, :, q]), (roots[0][q * steps], roots[1][q * steps])
            )
            for q in (1, 2, 3)
        ]
        re, im = _butterfly((parts[0][:, :, 0], parts[1][:, :, 0]), terms)
    return re, im


def _butterfly(
    first: tuple[Integers, Integers], terms: list[tuple[Integers, Integers]]
) -> tuple[Integers, Integers]:
    one, two, three = terms
    odd = [_wrapped(a + b) for a, b in zip(one, three, strict=True)]
    cross = [_wrapped(a - b) for a, b in zip(one, three, strict=True)]
    even = [_wrapped(a + b) for a, b in zip(first, two, strict=True)]
    apart = [_wrapped(a - b) for a, b in zip(first, two, strict=True)]
    real = (even[0] + odd[0], apart[0] + cross[1], even[0] - odd[0], apart[0] - cross[1])
    imaginary = (even[1] + odd[1], apart[1] - cross[0], even[1] - odd[1], apart[1] + cross[0])
    n = len(first[0])
    return (
        _wrapped(np.stack(real, axis=2)).reshape(n, _HALF),
        _wrapped(np.stack(imaginary, axis=2)).reshape(n, _HALF),
    )


@lru_cache(maxsize=1)
def _roots() -> tuple[Integers, Integers]:
    return turns(-2 * np.pi * np.arange(_HALF) / _HALF)


@lru_cache(maxsize=1)
def _half_roots() -> tuple[Integers, Integers]:
    return turns(-np.pi * (np.arange(1, _HALF // 2 + 1) / _HALF + 0.5))


def turns(phases: NDArray[np.float64]) -> tuple[Integers, Integers]:
    """Return cosine and sine in 15 fractional bits."""
    cosine, sine = (np.floor(0.5 + _ONE * f(phases)).astype(np.int32) for f in (np.cos, np.sin))
    return cosine, sine


def _product(
    a: tuple[Integers, Integers], b: tuple[Integers, Integers]
) -> tuple[Integers, Integers]:
    return _rounded(a[0] * b[0] - a[1] * b[1]), _rounded(a[0] * b[1] + a[1] * b[0])


def _divided(values: Integers, by: int) -> Integers:
    return _rounded(values * (_ONE // by))


def _rounded(products: Integers) -> Integers:
    return _wrapped((products + (1 << 14)) >> 15)


def _wrapped(values: Integers) -> Integers:
    """Return what 16 bits hold of integers."""
    return values.astype(np.int16).astype(np.int32)
