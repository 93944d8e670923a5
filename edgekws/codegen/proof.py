"""Proof by enumeration: the rounding of the kernels on everything that a network can reach."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen import arithmetic
from edgekws.codegen.ir import Add, Conv, Depthwise, Multiply, Network

_SHIFT = np.float32(12582912.0)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Proof:
    """How many accumulators of channels and pairs of bytes were tried, and how many differ."""

    accumulators: int
    pairs: int
    different: int


def prove(network: Network) -> Proof:
    """Compare the rounding in C with that of onnxruntime on all that can be reached.

    A channel's accumulators lie between the sums of its negative and of its positive products.
    Where both are saturated they are equal, because both grow with the accumulator; all others are
    tried one by one. Sums and products of two tensors are tried for all 65,536 pairs of bytes.
    """
    accumulators = pairs = different = 0
    for operator in network.operators:
        match operator:
            case Conv() | Depthwise():
                tried, wrong = _prove_channels(operator)
                accumulators += tried
            case Add():
                wrong = _prove_add(operator)
                pairs += 1 << 16
            case Multiply():
                wrong = _prove_multiply(operator)
                pairs += 1 << 16
            case _:
                continue
        different += wrong
    return Proof(accumulators, pairs, different)


def _prove_channels(layer: Conv | Depthwise) -> tuple[int, int]:
    """Return how many accumulators a layer can reach, and how many are rounded otherwise."""
    weights = layer.weights.T if isinstance(layer, Depthwise) else layer.weights
    products = weights.reshape(len(layer.bias), -1).astype(np.int64) * 255
    lows = layer.bias + np.minimum(products, 0).sum(axis=1)
    highs = layer.bias + np.maximum(products, 0).sum(axis=1)
    wrong = 0
    for low, high, scale in zip(lows, highs, layer.rounding.scale, strict=True):
        wrong += _prove_channel(int(low), int(high), scale, layer.rounding.zero)
    return int((highs - lows + 1).sum()), wrong


def _prove_channel(low: int, high: int, scale: np.float32, zero: int) -> int:
    """Try the accumulators from `low` to `high` that are not saturated; return how many differ."""
    first = max(low, int((-zero - 2) / float(scale)) - 1)
    last = min(high, int((257 - zero) / float(scale)) + 1)
    wrong = 0
    for start in range(first, last + 1, _CHUNK):
        sums = np.arange(start, min(start + _CHUNK, last + 1), dtype=np.int32)
        expected = arithmetic.requantize(sums, np.array(scale), zero)
        in_floats = round_as_kernel(sums.astype(np.float32) * scale, zero)
        in_integers = round_in_integers(sums, scale, zero)
        wrong += int(((in_floats != expected) | (in_integers != expected)).sum())
    return wrong


def round_as_kernel(values: NDArray[np.float32], zero: int) -> NDArray[np.uint8]:
    """Return what `kws_round` in `network_rounding.h` does."""
    low, high = np.float32(-zero), np.float32(255 - zero)
    bounded = np.minimum(np.where(values > low, values, low), high)
    whole = ((bounded + _SHIFT) - _SHIFT).astype(np.int32)
    return (whole + zero).astype(np.uint8)


def round_in_integers(sums: NDArray[np.int32], scale: np.float32, zero: int) -> NDArray[np.uint8]:
    """Return what `kws_round_product` in `network_integer.h` does."""
    exact = _round_exactly(sums, scale, zero)
    bits = int(scale.view(np.uint32))
    shift, digits, rest = 126 - (bits >> 23), bits >> 8 & 0x7FFF | 0x8000, bits & 0xFF
    if not 3 <= shift <= 16:
        return exact
    upper, lower = sums.astype(np.int64) >> 16, sums.astype(np.int64) & 0xFFFF
    high, low = upper * digits, lower * digits + (lower * rest >> 8)
    raised = (high << (16 - shift)) + (low >> shift) + (upper * rest * 256 >> shift) + 0x8000
    code = np.clip((raised >> 16) + zero, 0, 255)
    code = np.where(high >= 8192 << shift, 255, np.where(high < -(8192 << shift), 0, code))
    saturated = (high >= 8192 << shift) | (high < -(8192 << shift))
    part = raised & 0xFFFF
    near_a_tie = ((part < 8) | (part > 0xFFF8)) & ~saturated
    return np.where((np.abs(upper) >= 256) | near_a_tie, exact, code).astype(np.uint8)


def _round_exactly(sums: NDArray[np.int32], scale: np.float32, zero: int) -> NDArray[np.uint8]:
    """Return what `kws_round_exactly` does: products are rounded to 24 bits, then to integers."""
    fraction, exponent = np.frexp(scale)
    digits, shift = np.int64(fraction * 2**24), 24 - int(exponent)
    product = _to_24_bits(_to_24_bits(sums.astype(np.int64)) * digits)
    if not 0 < shift <= 62:
        whole = np.sign(product) * (512 if shift <= 0 else 0)
    else:
        raised = product + (1 << shift >> 1)
        whole = raised >> shift
        whole -= ((raised == whole << shift) & (whole % 2 == 1)).astype(np.int64)
    result: NDArray[np.uint8] = np.clip(whole + zero, 0, 255).astype(np.uint8)
    return result


def _to_24_bits(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return integers below 2^53, rounded half to even to 24 significant bits."""
    excess = np.maximum(np.frexp(values.astype(np.float64))[1] - 24, 0)
    rounded: NDArray[np.int64] = np.rint(np.ldexp(values, -excess)).astype(np.int64) << excess
    return rounded


def _pairs() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    a, b = np.divmod(np.arange(1 << 16), 256)
    return a.astype(np.uint8), b.astype(np.uint8)


def _prove_add(add: Add) -> int:
    a, b = _pairs()
    expected = arithmetic.add(a, b, (add.a_scale, add.b_scale), add.offset)
    inner = _twice_rounded(b, add.b_scale, np.float64(add.offset))
    outer = _twice_rounded(a, add.a_scale, inner.astype(np.float64))
    in_floats = round_as_kernel(outer, 0)
    in_integers = add_in_integers(a, b, (add.a_scale, add.b_scale, add.offset), expected)
    return int(((in_floats != expected) | (in_integers != expected)).sum())


def add_in_integers(
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    scales: tuple[np.float32, np.float32, np.float32],
    exact: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Return what `kws_add` does without floating point.

    `scales` are those of `a` and `b` and the offset; close to a tie the sum is `exact`.
    """
    exponents = [int(scale.view(np.uint32)) >> 23 & 0xFF for scale in scales]
    bits = 154 - max(8 + max(exponents[:2]), exponents[2])
    if not 14 <= bits <= 30:
        return exact
    a_fixed, b_fixed, offset = (math.floor(float(scale) * 2.0**bits) for scale in scales)
    raised = a.astype(np.int64) * a_fixed + b.astype(np.int64) * b_fixed + offset
    raised += 1 << (bits - 1)
    part = raised & ((1 << bits) - 1)
    near_a_tie = (part < 1024) | (part > (1 << bits) - 1024)
    return np.where(near_a_tie, exact, np.clip(raised >> bits, 0, 255)).astype(np.uint8)


def _twice_rounded(
    values: NDArray[np.uint8], scale: np.float32, addend: np.float64 | NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return what the kernel does where the CPU has no fused multiply-add."""
    total: NDArray[np.float64] = values.astype(np.float64) * np.float64(scale) + addend
    return total.astype(np.float32)


def _prove_multiply(product: Multiply) -> int:
    a, b = _pairs()
    zeros = (product.a_zero, product.b_zero)
    expected = arithmetic.multiply(a, b, zeros, product.scale, product.zero)
    whole = (a.astype(np.int32) - zeros[0]) * (b.astype(np.int32) - zeros[1])
    zero = np.float32(product.zero)
    scaled = np.clip(whole.astype(np.float32) * product.scale, -1 - zero, 256 - zero)
    return int((round_as_kernel(scaled + zero, 0) != expected).sum())
