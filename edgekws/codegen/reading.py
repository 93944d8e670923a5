"""From the graph that onnxruntime runs to the intermediate form; refuses by the layer's name."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from edgekws.codegen import layers
from edgekws.codegen.builder import Builder
from edgekws.codegen.graph_nodes import Node, OptimizedGraph, optimized_graph, scalar
from edgekws.codegen.ir import Network, Quantization, Span
from edgekws.codegen.movements import MOVEMENTS, split
from edgekws.codegen.views import View
from edgekws.errors import UnsupportedError
from edgekws.lowering.stream_state import Stream, stream_of

LAYERS: dict[str, Callable[[Builder, Node], None]] = {
    "QLinearConv": layers.convolution,
    "QGemm": layers.matrix_product,
    "DequantizeLinear": layers.dequantization,
    "QLinearAdd": layers.addition,
    "QLinearMul": layers.multiplication,
    "QLinearGlobalAveragePool": layers.global_average_pool,
    "QLinearAveragePool": layers.average_pool,
    "NhwcMaxPool": layers.max_pool,
    "MaxPool": layers.max_pool,
    "QuantizeLinear": layers.requantization,
    "QLinearSigmoid": layers.lookup,
    "QLinearLeakyRelu": layers.lookup,
    "Concat": layers.concatenation,
}
"""What makes an operator of each kind of node."""


def read(model: onnx.ModelProto) -> Network:
    """Return a quantized model, windowed or streaming, in the intermediate form.

    Raises:
        UnsupportedError: a layer has no form in C; the message names it.
    """
    graph = optimized_graph(model)
    stream = stream_of(model)
    builder = Builder(graph.constants)
    first, quantization = _input_quantization(graph)
    frames, n_mels = _add_features(builder, graph, first, quantization)
    for state in stream.states if stream else ():
        builder.add_state(state.input, state.shape, int(state.fill))
    for node in graph.nodes:
        if node.outputs != first.outputs:
            _read_node(builder, node, graph.outputs)
    if stream:
        _add_shifts(builder, stream)
    return Network(
        features=builder.placed(Span("features", 0, frames * n_mels)),
        frames=frames,
        n_mels=n_mels,
        input=quantization,
        n_labels=builder.n_labels,
        buffers=builder.buffers(),
        operators=builder.placed_operators(),
        streaming=stream is not None,
    )


def _read_node(builder: Builder, node: Node, outputs: tuple[str, ...]) -> None:
    if node.op == "DequantizeLinear" and node.outputs[0] not in outputs:
        builder.dequantized[node.outputs[0]] = (builder.view(node, node.inputs[0]), node)
    elif node.op in MOVEMENTS and node.inputs[0] in builder.dequantized:
        source, scale = builder.dequantized[node.inputs[0]]
        index = MOVEMENTS[node.op](node, builder.constants, source.index)
        builder.dequantized[node.outputs[0]] = (replace(source, index=index), scale)
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


def _input_quantization(graph: OptimizedGraph) -> tuple[Node, Quantization]:
    """Return the node that quantizes the features, and how."""
    for node in graph.nodes:
        if node.op == "QuantizeLinear" and node.inputs[0] == "features":
            if graph.constants[node.inputs[2]].dtype != np.uint8:
                raise node.refuse("features are not quantized to unsigned bytes")
            constants = graph.constants
            scale, zero = (scalar(constants, name) for name in node.inputs[1:3])
            return node, Quantization(scale, zero)
    raise UnsupportedError("the features of this model are not quantized; C needs an INT8 model")


def _add_features(
    builder: Builder, graph: OptimizedGraph, first: Node, quantization: Quantization
) -> tuple[int, int]:
    """Add the quantized features, stored one frame a row; return frames and mels."""
    shape = graph.inputs["features"]  # (1, n_mels, T) or (1, 1, n_mels, T)
    n_mels, frames = shape[-2:]
    rows = np.arange(frames * n_mels).reshape(frames, n_mels)
    builder.add_storage("features", frames * n_mels, "features", quantization.zero)
    builder.views[first.outputs[0]] = View("features", rows.T.reshape(shape))
    return frames, n_mels


def _add_shifts(builder: Builder, stream: Stream) -> None:
    """Keep the last frames of each buffer of states for the next hop."""
    for state in stream.states:
        builder.keep(state.input, state.output)
