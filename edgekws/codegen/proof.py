"""Proof by enumeration: the rounding of the kernels on everything that a network can reach."""

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
    fraction, exponent = np.frexp(scale)
    digits, shift = np.int64(fraction * 2**24), 24 - int(exponent)
    exact = _to_24_bits(sums.astype(np.int64))
    product = exact * digits
    if not 0 < shift <= 62:
        whole = np.sign(product) * (512 if shift <= 0 else 0)
    else:
        part = (product + (1 << shift >> 1)) & ((1 << shift) - 1)
        near = 1 << max(shift - 16, 0)
        doubtful = (part <= near) | (part >= (1 << shift) - near) | (shift < 17)
        doubtful |= np.abs(sums.astype(np.int64)) >= 1 << 24
        product[doubtful] = _to_24_bits(product[doubtful])
        raised = product + (1 << shift >> 1)
        whole = raised >> shift
        whole -= (doubtful & (raised == whole << shift) & (whole % 2 == 1)).astype(np.int64)
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
    return int((round_as_kernel(outer, 0) != expected).sum())


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
