"""Activation ranges by entropy: what is cut off and what is rounded lose the least together.

Source: Migacz, "8-bit Inference with TensorRT", GPU Technology Conference 2017; for UINT8 with a
zero point, where the range keeps the sign that the values have.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.quantizers.int8.values import values_of

BINS = 2048
LEVELS = 256
STEP = 8
"""Bins by which one candidate reaches less far than the one before."""
SMALLEST = 1e-4
"""Values that stand for those cut off to a bin that was empty, as in Apache MXNet's calibration."""

Range = tuple[float, float]


def ranges(model: onnx.ModelProto, clips: NDArray[np.float32]) -> dict[str, Range]:
    """Return the range of each float tensor that moves, by name, over clips `(N, *input_shape)`."""
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
    """Return the range of values that are all at hand."""
    span = min(0.0, float(values.min())), max(0.0, float(values.max()))
    return entropy_range(histogram(values, span), span) if span[0] < span[1] else span


def histogram(values: NDArray[Any], span: Range) -> NDArray[np.int64]:
    """Count values `(…)` in `BINS` equal bins; zeros are left out, being exact in any range."""
    counts: NDArray[np.int64] = np.histogram(values[values != 0], BINS, span)[0]
    return counts


def entropy_range(counts: NDArray[np.int64], span: Range) -> Range:
    """Return the part of `span` in which UINT8 keeps the most of a distribution.

    Of all ranges that reach equally far from zero, as far as `span` does, the one of the smallest
    Kullback-Leibler divergence from `counts` `(bins,)`; of equal ones the widest.
    """
    edges = np.linspace(*span, len(counts) + 1)
    zero = int(np.abs(edges).argmin())
    best, smallest = (0, len(counts)), np.inf
    for reach in range(max(zero, len(counts) - zero), 0, -STEP):
        start, end = max(zero - reach, 0), min(zero + reach, len(counts))
        if end - start < LEVELS:
            break
        lost = divergence(counts, start, end)
        if lost < smallest:
            best, smallest = (start, end), lost
    return float(edges[best[0]]), float(edges[best[1]])


def divergence(counts: NDArray[np.int64], start: int, end: int) -> float:
    """Return the divergence, in nats, of what `LEVELS` levels over the bins keep from `counts`.

    What lies outside is cut off to the first or last bin, and kept by what is in that bin.
    """
    inside = counts[start:end]
    level = np.arange(len(inside)) * LEVELS // len(inside)
    seen = inside > 0
    shared = np.bincount(level, inside, LEVELS) / np.bincount(level, seen, LEVELS).clip(1)
    kept = np.where(seen, shared[level], 0.0)
    true = inside.astype(np.float64)
    true[0] += counts[:start].sum()
    true[-1] += counts[end:].sum()
    there = true > 0
    true, kept = true[there], np.maximum(kept[there], SMALLEST)
    true, kept = true / true.sum(), kept / kept.sum()
    return float((true * np.log(true / kept)).sum())
