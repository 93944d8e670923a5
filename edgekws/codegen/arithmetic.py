"""The arithmetic of onnxruntime's INT8 operators, exact and slow: what every kernel is held to.

onnxruntime computes in float32 between integers. Each function does the same operations in the
same order, so that no bit differs. Source: onnxruntime's `mlas/lib` (`qlgavgpool.cpp`,
`qladd.cpp`, `qlmul.cpp`, `qgemm.cpp`, `quantize.cpp`), checked by running it.
"""

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


def to_bytes(values: Floats, zero: int) -> Bytes:
    """Return float32 values rounded half to even, `zero` added, saturated at 0 and 255.

    NaN gives 0, as the instruction for a maximum returns the bound.
    """
    low, high = np.float32(-zero), np.float32(255 - zero)
    bounded = np.minimum(np.where(values > low, values, low), high)
    return (np.rint(bounded).astype(np.int32) + zero).astype(np.uint8)


def requantize(accumulator: Integers, scale: Floats, zero: int) -> Bytes:
    """Return int32 accumulators (…, channels) as bytes; `scale` (channels,)."""
    return to_bytes(accumulator.astype(np.float32) * scale, zero)


def quantize(features: Floats, scale: np.float32, zero: int) -> Bytes:
    """Return float32 features as bytes."""
    return to_bytes(features / scale, zero)


def dequantize(values: Bytes, scale: np.float32, zero: int) -> Floats:
    """Return bytes as float32."""
    return (values.astype(np.int32) - zero).astype(np.float32) * scale


def fma(a: Floats, b: Floats, c: Floats) -> Floats:
    """Return `a * b + c` rounded once to float32, as a fused multiply-add.

    The product of two float32 is exact in float64. The sum is rounded to odd, so that the second
    rounding cannot go wrong. Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded
    sums: proved algorithms using rounding to odd", 2008.
    """
    product = a.astype(np.float64) * b.astype(np.float64)
    other = c.astype(np.float64)
    total = product + other
    virtual = total - product
    error = (product - (total - virtual)) + (other - virtual)
    even = total.view(np.int64) % 2 == 0
    towards = np.where(error > 0, np.inf, -np.inf)
    odd = np.where((error != 0) & even, np.nextafter(total, towards), total)
    return odd.astype(np.float32)


def add_constants(
    a: tuple[np.float32, int], b: tuple[np.float32, int], y: tuple[np.float32, int]
) -> tuple[np.float32, np.float32, np.float32]:
    """Return the scales of `a` and `b` and the offset of QLinearAdd, each (scale, zero point)."""
    a_scale, b_scale = np.float32(a[0] / y[0]), np.float32(b[0] / y[0])
    inner = np.array([b_scale * np.float32(b[1])], np.float32)
    outer = fma(np.array([a_scale]), np.array([a[1]], np.float32), inner)
    return a_scale, b_scale, np.float32(np.float32(y[1]) - outer[0])


def add(a: Bytes, b: Bytes, scales: tuple[np.float32, np.float32], offset: np.float32) -> Bytes:
    """Return QLinearAdd; the zero points are in `offset`, see `add_constants`."""
    one = np.ones(np.broadcast(a, b).shape, np.float32)
    inner = fma(b.astype(np.float32), one * scales[1], one * offset)
    return to_bytes(fma(a.astype(np.float32), one * scales[0], inner), 0)


def multiply(a: Bytes, b: Bytes, zeros: tuple[int, int], scale: np.float32, zero: int) -> Bytes:
    """Return QLinearMul."""
    product = (a.astype(np.int32) - zeros[0]) * (b.astype(np.int32) - zeros[1])
    return to_bytes(product.astype(np.float32) * scale + np.float32(zero), 0)


def average(taps: Bytes, x: tuple[np.float32, int], y: tuple[np.float32, int]) -> Bytes:
    """Return QLinearAveragePool over a part of an image: `taps` (places, taps, channels)."""
    total = np.zeros((taps.shape[0], taps.shape[2]), np.float32)
    for tap in range(taps.shape[1]):
        total += dequantize(taps[:, tap], *x)
    return to_bytes(total / np.float32(taps.shape[1]) / y[0] + np.float32(y[1]), 0)
