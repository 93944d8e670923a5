"""Scales of values near zero: large enough to divide by, small enough to lose nothing."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.lowering.graph import Graph, attribute

UNMOVED = 1e-6
"""An activation with a smaller step than this was constant during calibration."""
UNIT_STEP = np.float32(1 / 255)
"""The step it gets: a range of one, like that of features and normalized activations."""
VANISHING = 1e-5
"""Smallest step of a channel, as a share of the largest in its layer. The loss is far below the
step of the layer's output, and the bias, stored in these steps, fits in 32 bits."""
TINY = 1e-12
"""Smallest step of all: the product of two is still well within float32."""


def floor_scales(graph: Graph) -> None:
    """Give constant activations and channels near zero usable scales."""
    for node in graph.nodes:
        if node.op_type == "QuantizeLinear" and graph.array(node.input[1]).max() < UNMOVED:
            users = graph.consumers(node.output[0])
            _set_scale(graph, [node, *users], UNIT_STEP)
    for node in [node for node in graph.nodes if node.op_type in ("Conv", "Gemm")]:
        weights = graph.producer(node.input[1])
        if weights is not None and graph.is_constant(weights.input[0]):
            _floor_channels(graph, weights)


def _floor_channels(graph: Graph, weights: onnx.NodeProto) -> None:
    scale = graph.array(weights.input[1])
    floor = max(VANISHING * float(scale.max()), TINY)
    if scale.ndim and scale.min() < floor:
        widen(graph, weights, np.maximum(scale, np.float32(floor)))


def widen(graph: Graph, weights: onnx.NodeProto, wider: NDArray[np.float32]) -> None:
    """Round the integers `(C, …)` of a DequantizeLinear to steps `(C,)` at least as wide."""
    integers, scale = graph.array(weights.input[0]), graph.array(weights.input[1])
    axis = attribute(weights, "axis", 1)
    ratio = (scale.astype(np.float64) / wider).reshape(
        [-1 if i == axis else 1 for i in range(integers.ndim)]
    )
    graph.set_array(weights.input[0], np.rint(integers * ratio).astype(integers.dtype))
    _set_scale(graph, [weights], wider)


def _set_scale(graph: Graph, nodes: list[onnx.NodeProto], scale: Any) -> None:
    """Give these nodes a separate scale: an initializer may be shared."""
    name = f"{nodes[0].output[0]}_scale"
    graph.set_array(name, np.asarray(scale, np.float32))
    for node in nodes:
        node.input[1] = name
