"""From the graph that onnxruntime runs to TFLite; refuses by the layer's name."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from edgekws.codegen.graph_nodes import Node, OptimizedGraph, optimized_graph
from edgekws.codegen.movements import MOVEMENTS, split
from edgekws.errors import UnsupportedError
from edgekws.lowering.stream_state import stream_of
from edgekws.tflite import layers
from edgekws.tflite.builder import SIGNED, Builder
from edgekws.tflite.graph import Graph

LAYERS: dict[str, Callable[[Builder, Node], None]] = {
    "QLinearConv": layers.convolution,
    "QGemm": layers.matrix_product,
    "QLinearAdd": layers.addition,
    "QLinearMul": layers.multiplication,
    "QLinearGlobalAveragePool": layers.global_average_pool,
    "QLinearAveragePool": layers.average_pool,
    "NhwcMaxPool": layers.max_pool,
    "MaxPool": layers.max_pool,
    "QuantizeLinear": layers.requantization,
    "QLinearSigmoid": layers.sigmoid,
    "QLinearLeakyRelu": layers.leaky_relu,
    "Concat": layers.concatenation,
}
"""What makes operators of each kind of node."""


def read(model: onnx.ModelProto) -> Graph:
    """Return a quantized model, windowed or streaming, as TFLite.

    Raises:
        UnsupportedError: a layer has no form in TFLite; the message names it.
    """
    graph = optimized_graph(model, "TFLite")
    builder = Builder(graph.constants)
    first, features = _add_features(builder, graph)
    stream = stream_of(model)
    for state in stream.states if stream else ():
        builder.add_state(state.input, state.shape, int(state.fill) - SIGNED)
    for node in graph.nodes:
        if node.outputs != first.outputs:
            _read_node(builder, node, graph.outputs)
    for state in stream.states if stream else ():
        builder.check_kept(state.input, state.output)
    view = builder.views["logits"]
    output = builder.reshaped(view.storage, (1, view.index.size))
    return builder.graph(features, output)


def _add_features(builder: Builder, graph: OptimizedGraph) -> tuple[Node, str]:
    """Add the input, one frame a row; return the node that quantizes the features, and its name."""
    for node in graph.nodes:
        if node.op == "QuantizeLinear" and node.inputs[0] == "features":
            if graph.constants[node.inputs[2]].dtype != np.uint8:
                raise node.refuse("features are not quantized to unsigned bytes")
            shape = graph.inputs["features"]  # (1, n_mels, T) or (1, 1, n_mels, T)
            n_mels, frames = shape[-2:]
            scales = builder.scales(*node.inputs[1:3])
            name = builder.add_tensor("features", (1, frames, n_mels), "int8", scales)
            rows = np.arange(frames * n_mels).reshape(frames, n_mels)
            builder.set_output(node, name, rows.T.reshape(shape))
            return node, name
    raise UnsupportedError("the features of this model are not quantized; TFLite needs INT8")


def _read_node(builder: Builder, node: Node, outputs: tuple[str, ...]) -> None:
    if node.op == "DequantizeLinear" and node.outputs[0] in outputs:
        builder.views[node.outputs[0]] = builder.view(node, node.inputs[0])
    elif node.op == "DequantizeLinear":
        scales = builder.scales(*node.inputs[1:3])
        builder.dequantized[node.outputs[0]] = (builder.view(node, node.inputs[0]), scales)
    elif node.op in MOVEMENTS and node.inputs[0] in builder.dequantized:
        source, scales = builder.dequantized[node.inputs[0]]
        index = MOVEMENTS[node.op](node, builder.constants, source.index)
        builder.dequantized[node.outputs[0]] = (replace(source, index=index), scales)
    elif node.op == "Split":
        source = builder.view(node, node.inputs[0])
        parts = split(node, builder.constants, source.index)
        for name, index in zip(node.outputs, parts, strict=True):
            builder.views[name] = replace(source, index=index)
    elif node.op in MOVEMENTS:
        source = builder.view(node, node.inputs[0])
        index = MOVEMENTS[node.op](node, builder.constants, source.index)
        builder.views[node.outputs[0]] = replace(source, index=index)
    elif node.op in LAYERS:
        LAYERS[node.op](builder, node)
    else:
        raise node.refuse("only INT8 layers and movements of bytes do; quantize all layers")
