"""Find roundings of a quantized graph that serve no layer when some layers are in FP32."""

from collections.abc import Collection

import onnx

from edgekws.lowering.graph import Graph

LAYERS = ("Conv", "Gemm")
_ROUNDING = frozenset({"QuantizeLinear", "DequantizeLinear"})
_SHAPE_ONLY = frozenset(
    {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze", "Dropout"}
)
MOVING = _SHAPE_ONLY | {"MaxPool"}
"""Operators that move values without creating new ones."""
# Operators between a layer and the tensor that it produces or consumes.
_TRANSPARENT = _ROUNDING | _SHAPE_ONLY | {"Relu", "Clip"}


def superfluous_roundings(graph: Graph, in_float: Collection[str]) -> list[onnx.NodeProto]:
    """Return each QuantizeLinear of an activation that may be removed.

    It stays if a layer that is not `in_float` produces or consumes the tensor. If no layer does so
    directly (e.g. the sum of two blocks before a pool), it stays if none of the nearest layers, in
    either direction, is in float.
    """
    return [
        node
        for node in graph.nodes
        if node.op_type == "QuantizeLinear"
        and not graph.is_constant(node.input[0])
        and not _serves(graph, node, in_float)
    ]


def _serves(graph: Graph, quantize: onnx.NodeProto, in_float: Collection[str]) -> bool:
    direct = _layers_around(graph, quantize, through_operators=False)
    if direct:
        return any(name not in in_float for name in direct)
    nearest = _layers_around(graph, quantize, through_operators=True)
    return not any(name in in_float for name in nearest)


def _layers_around(graph: Graph, start: onnx.NodeProto, *, through_operators: bool) -> set[str]:
    """Return the names of the layers reached from `start` in both directions."""
    return {
        layer
        for forward in (False, True)
        for layer in _reached(graph, start, forward, through_operators)
    }


def _reached(
    graph: Graph, start: onnx.NodeProto, forward: bool, through_operators: bool
) -> set[str]:
    layers: set[str] = set()
    todo, seen = _next(graph, start, forward), set[str]()
    while todo:
        node = todo.pop()
        if node.output[0] in seen:
            continue
        seen.add(node.output[0])
        if node.op_type in LAYERS:
            layers.add(node.name)
        elif through_operators or node.op_type in _TRANSPARENT:
            todo += _next(graph, node, forward)
    return layers


def _next(graph: Graph, node: onnx.NodeProto, forward: bool) -> list[onnx.NodeProto]:
    if forward:
        return [user for name in node.output for user in graph.consumers(name)]
    producers = (graph.producer(name) for name in node.input)
    return [producer for producer in producers if producer is not None]
