"""Activation ranges by entropy: the least total loss from clipping and rounding.

Source: Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017; for UINT8 with a
zero point, where the range keeps the sign of the values.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.quantizers.int8.values import values_of

BINS = 2048
LEVELS = 256
STEP = 8
"""Bins by which the reach of each candidate is smaller than the previous one."""
SMALLEST = 1e-4
"""Stand-in count for values clipped to an empty bin, as in Apache MXNet's calibration."""

Range = tuple[float, float]


def ranges(model: onnx.ModelProto, clips: NDArray[np.float32]) -> dict[str, Range]:
    """Return the range of each non-constant float tensor, by name, on clips `(N, *input_shape)`."""
    tensors = [model.graph.input[0].name]
    tensors += [name for node in model.graph.node for name in node.output if name]
    widest: dict[str, Range] = {}
    for batch in values_of(model, tensors, clips):
        for name, values in batch.items():
            if values.dtype == np.float32:
                low, high = widest.get(name, (0.0, 0.0))
                widest[name] = min(low, float(values.min())), max(high, float(values.max()))
    widest = {name: (low, high) for name, (low, high) in widest.items() if low < high}
    counts = {name: np.zeros(BINS, np.int64) for name in widest}
    for batch in values_of(model, widest, clips):
        for name, span in widest.items():
            counts[name] += histogram(batch[name], span)
    return {name: entropy_range(counts[name], widest[name]) for name in widest}


def range_of(values: NDArray[np.float32]) -> Range:
    """Return the range of `values`, given all at once."""
    span = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return entropy_range(histogram(values, span), span) if span[0] < span[1] else span


def histogram(values: NDArray[Any], span: Range) -> NDArray[np.int64]:
    """Count values `(…)` in `BINS` equal bins; zeros are excluded, being exact in any range."""
    counts: NDArray[np.int64] = np.histogram(values[values != 0], BINS, span)[0]
    return counts


def entropy_range(counts: NDArray[np.int64], span: Range) -> Range:
    """Return the part of `span` in which UINT8 preserves a distribution best.

    Of all ranges symmetric around zero, cut off at `span`, the one with the smallest
    Kullback-Leibler divergence from `counts` `(bins,)`; at a tie the widest.
    """
    edges = np.linspace(*span, len(counts) + 1)
    zero = int(np.abs(edges).argmin())
    best, smallest = (0, len(counts)), np.inf
    for reach in range(max(zero, len(counts) - zero), 0, -STEP):
        start, end = max(zero - reach, 0), min(zero + reach, len(counts))
        if end - start < LEVELS:
            break
        loss = divergence(counts, start, end)
        if loss < smallest:
            best, smallest = (start, end), loss
    return float(edges[best[0]]), float(edges[best[1]])


def divergence(counts: NDArray[np.int64], start: int, end: int) -> float:
    """Return the divergence, in nats, of `counts` quantized to `LEVELS` levels over these bins.

    Values outside are clipped to the first or last bin.
    """
    inside = counts[start:end]
    level = np.arange(len(inside)) * LEVELS // len(inside)
    seen = inside > 0
    shared = np.bincount(level, inside, LEVELS) / np.bincount(level, seen, LEVELS).clip(1)
    quantized = np.where(seen, shared[level], 0.0)
    true = inside.astype(np.float64)
    true[0] += counts[:start].sum()
    true[-1] += counts[end:].sum()
    occupied = true > 0
    true, quantized = true[occupied], np.maximum(quantized[occupied], SMALLEST)
    true, quantized = true / true.sum(), quantized / quantized.sum()
    return float((true * np.log(true / quantized)).sum())
