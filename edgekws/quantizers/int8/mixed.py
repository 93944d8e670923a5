"""A quantized network with single layers that can be returned to FP32."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgekws.lowering.graph import Graph
from edgekws.lowering.onnx_file import strip
from edgekws.quantizers.int8.integers import refuse_floats, with_integer_weights, without_clamps
from edgekws.quantizers.int8.names import with_layer_names
from edgekws.quantizers.int8.neighbours import LAYERS, MOVING, superfluous_roundings


@dataclass(frozen=True)
class FloatLayer:
    """Weight `(out, in / groups, *kernel)` or `(out, in)` of a layer, and its bias `(out,)`."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None


class QuantizedNetwork:
    """A fully quantized network together with its FP32 weights.

    `layers` are the names of its convolutions and linear layers, as in the network, in the order
    of the graph; `model(keep)` is the ONNX model with the layers in `keep` in FP32.
    """

    def __init__(self, rounded: onnx.ModelProto, source: onnx.ModelProto) -> None:
        """Combine the output of a backend, with the activations' clamps, and the FP32 weights.

        Args:
            rounded: QDQ model; weights float before a QuantizeLinear or integer, biases float.
            source: a model with the FP32 weights of the same layers, by node name.

        Raises:
            UnsupportedError: a constant of the network stays in FP32; the message names its node.
        """
        self._rounded = with_integer_weights(rounded)
        floats = _float_layers(Graph(source))
        named = with_layer_names(self._rounded)
        pairs = zip(self._rounded.graph.node, named.graph.node, strict=True)
        self._nodes = {new.name: old.name for old, new in pairs if old.op_type in LAYERS}
        self._floats = {name: floats[node] for name, node in self._nodes.items()}
        quantized = without_clamps(self._rounded)
        refuse_floats(quantized)
        self._quantized = strip(with_layer_names(quantized))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return tuple(self._nodes)

    @property
    def floats(self) -> Mapping[str, FloatLayer]:
        """The FP32 weights of each layer."""
        return self._floats

    def model(self, keep: Collection[str] = ()) -> onnx.ModelProto:
        """Return the QDQ model with integer constants, the layers in `keep` in FP32.

        A layer in `keep` gets its FP32 weights and bias. The rounding of a tensor is removed if
        only FP32 layers produce or consume it; between other operators, it is removed if one of
        the nearest layers is in FP32.

        Raises:
            KeyError: no layer has that name.
        """
        if not keep:
            model = onnx.ModelProto()
            model.CopyFrom(self._quantized)
            return model
        nodes = {self._nodes[name]: self._floats[name] for name in keep}
        graph = Graph(self._rounded)
        for quantize in superfluous_roundings(graph, nodes):
            for dequantize in graph.consumers(quantize.output[0]):
                graph.remove(dequantize)
            graph.remove(quantize)
        for node in graph.nodes:
            if node.op_type in LAYERS and node.name in nodes:
                _restore_floats(graph, node, nodes[node.name])
        _drop_unused(graph)
        mixed = Graph(without_clamps(graph.to_model()))
        for node in [node for node in mixed.nodes if node.name in nodes]:
            _shield(mixed, node)
        return strip(with_layer_names(mixed.to_model()))


def _float_layers(source: Graph) -> dict[str, FloatLayer]:
    layers = {}
    for node in source.nodes:
        if node.op_type in LAYERS:
            weight, *bias = (source.array(_constant(source, name)) for name in node.input[1:])
            layers[node.name] = FloatLayer(weight, bias[0] if bias else None)
    return layers


def _constant(graph: Graph, name: str) -> str:
    """Return the constant that `name` is, or from which it is rounded."""
    while not graph.is_constant(name):
        producer: Any = graph.producer(name)
        name = producer.input[0]
    return name


def _restore_floats(graph: Graph, node: onnx.NodeProto, layer: FloatLayer) -> None:
    names = [_constant(graph, node.input[1]).removesuffix("_quantized")]
    names += [f"{names[0]}_bias"] if layer.bias is not None else []
    del node.input[1:]
    node.input.extend(names)
    for name, values in zip(names, (layer.weight, layer.bias), strict=False):
        assert values is not None
        graph.set_array(name, values)


def _shield(graph: Graph, layer: onnx.NodeProto) -> None:
    """Separate an FP32 layer from the preceding DequantizeLinear by a Clip without bounds.

    Otherwise onnxruntime would quantize its weights per tensor if its output is rounded too (the
    optimizer `WeightBiasQuantization`); it would look through an Identity or a pool.
    """
    before = graph.producer(layer.input[0])
    while before is not None and before.op_type in MOVING:
        before = graph.producer(before.input[0])
    if before is not None and before.op_type == "DequantizeLinear":
        name = f"{layer.output[0]}_input"
        clip = helper.make_node("Clip", [layer.input[0]], [name])
        layer.input[0] = name
        graph.replace(layer, [clip, layer])


def _drop_unused(graph: Graph) -> None:
    """Remove each DequantizeLinear of a constant that no layer uses."""
    for node in list(graph.nodes):
        constant = node.op_type == "DequantizeLinear" and graph.is_constant(node.input[0])
        if constant and not graph.consumers(node.output[0]):
            graph.replace(node, [])
