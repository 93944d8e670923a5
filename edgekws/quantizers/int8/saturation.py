"""Count exactly how often INT8 layers would saturate on x86 CPUs without VNNI.

These CPUs multiply with `vpmaddubsw`: it adds the products of two adjacent U8 × S8 pairs in 16
bits, saturating, before they are widened. In onnxruntime's kernels (MLAS `QgemmU8S8KernelAvx2` and
its AVX-512 variant), pairs are adjacent along the inputs of a matrix product; a convolution is one
over its kernel positions with the channels innermost, per group. Depthwise convolutions have a
separate kernel that multiplies in 16 and adds in 32 bits, without saturation.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.lowering.graph import Graph, attribute
from edgekws.quantizers.int8.names import weight_of
from edgekws.quantizers.int8.values import values_of

LOWEST, HIGHEST = -(2**15), 2**15 - 1

Bytes = NDArray[Any]


def saturating_pairs(inputs: Bytes, weights: Bytes) -> int:
    """Count the pair sums that overflow 16 bits: U8 `(rows, K)` with S8 `(outputs, K)`.

    >>> saturating_pairs(np.uint8([[255, 255, 255, 255]]), np.int8([[127, 127, 64, 64]]))
    1
    """
    even, odd = _halves(inputs), _halves(weights)
    count = 0
    for first, second in zip(*odd, strict=True):  # of one output, (K / 2,)
        largest = 255 * np.maximum(np.maximum(first, second), first + second)
        smallest = 255 * np.minimum(np.minimum(first, second), first + second)
        pairs = np.flatnonzero((largest > HIGHEST) | (smallest < LOWEST))
        if len(pairs):
            sums = even[0][:, pairs] * first[pairs] + even[1][:, pairs] * second[pairs]
            count += int(((sums > HIGHEST) | (sums < LOWEST)).sum())
    return count


def _halves(values: Bytes) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the first and second value of each pair; an odd last value is paired with zero."""
    wide = values.astype(np.int32)
    if wide.shape[1] % 2:
        wide = np.pad(wide, ((0, 0), (0, 1)))
    return wide[:, ::2], wide[:, 1::2]


def layer_products(
    node: onnx.NodeProto, inputs: Bytes, weight: Bytes, zero_point: int
) -> Iterator[tuple[Bytes, Bytes]]:
    """Yield the products of a Conv or Gemm as rows `(rows, K)` and weights `(outputs, K)`.

    `inputs` is `(N, K)` or `(N, C, H, W)`; borders are padded with the zero point. One product per
    group; none for depthwise convolutions.
    """
    if node.op_type == "Gemm":
        yield inputs, weight if attribute(node, "transB", 0) else weight.T
        return
    groups = attribute(node, "group", 1)
    if weight.shape[1] == 1 and len(weight) == groups:
        return
    windows = _windows(node, inputs, weight.shape[2:], zero_point)  # (N, C, H', W', kh, kw)
    for part, kernels in zip(
        np.split(windows, groups, axis=1), np.split(weight, groups), strict=True
    ):
        rows = part.transpose(0, 2, 3, 4, 5, 1).reshape(-1, kernels[0].size)
        yield rows, kernels.transpose(0, 2, 3, 1).reshape(len(kernels), -1)


def _windows(node: onnx.NodeProto, x: Bytes, kernel: tuple[int, ...], zero_point: int) -> Bytes:
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=zero_point)
    (dy, dx), (sy, sx) = attribute(node, "dilations", [1, 1]), attribute(node, "strides", [1, 1])
    span = ((kernel[0] - 1) * dy + 1, (kernel[1] - 1) * dx + 1)
    windows = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3))
    return windows[:, :, ::sy, ::sx, ::dy, ::dx]


def count_saturation(
    model: onnx.ModelProto, clips: NDArray[np.float32], variants: dict[str, dict[str, Bytes]]
) -> list[dict[str, Any]]:
    """Count, per layer, the pairs that would saturate on clips `(N, *input_shape)`.

    `variants` maps the names of columns to other S8 weights of each layer, counted on the same
    inputs; the column `shipped` counts the model's own. `pairs` is the number of all sums.
    """
    layers = dict(_integer_layers(Graph(model)))
    counts = {name: dict.fromkeys(("pairs", "shipped", *variants), 0) for name in layers}
    for inputs in values_of(model, [layer[0] for layer in layers.values()], clips):
        for name, (tensor, zero_point, node, shipped) in layers.items():
            x, count = inputs[tensor], counts[name]
            for rows, weights in layer_products(node, x, shipped, zero_point):
                count["pairs"] += len(rows) * len(weights) * -(-rows.shape[1] // 2)
                count["shipped"] += saturating_pairs(rows, weights)
            for column, weight in variants.items():
                products = layer_products(node, x, weight[name], zero_point)
                count[column] += sum(saturating_pairs(*product) for product in products)
    return [{"layer": name, **count} for name, count in counts.items()]


def in_bits(weight: NDArray[np.float32], bits: int) -> NDArray[np.int8]:
    """Round weights `(out, …)` symmetrically per channel, to 8 bits, or to 7 as with reduce_range.

    >>> in_bits(np.float32([[0.25, -1.0]]), 7)
    array([[ 16, -63]], dtype=int8)
    """
    peaks = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    largest = 2 ** (bits - 1) - 1
    scale = np.maximum(peaks, np.finfo(np.float32).tiny) / largest
    steps = weight / scale.reshape(-1, *[1] * (weight.ndim - 1))
    integers: NDArray[np.int8] = np.rint(steps).clip(-largest, largest).astype(np.int8)
    return integers


def _integer_layers(graph: Graph) -> Iterator[tuple[str, tuple[str, int, onnx.NodeProto, Bytes]]]:
    """Yield each INT8 layer: name, U8 input and its zero point, node, S8 weight."""
    for node in graph.nodes:
        weight = weight_of(graph, node)
        before = graph.producer(node.input[0])
        if weight and before is not None and before.op_type == "DequantizeLinear":
            integers = graph.array(weight)
            if integers.dtype == np.int8:
                zero_point = int(graph.array(before.input[2]))
                yield node.name, (before.input[0], zero_point, node, integers)
