"""A quantized network of which single layers can be put back to FP32."""

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
    """Every rounding of a network, and its weights as they were before.

    `layers` are the names of its convolutions and dense layers, as in the network, in the order
    of the graph; `model(keep)` is the ONNX model, with the layers in `keep` left in FP32.
    """

    def __init__(self, rounded: onnx.ModelProto, source: onnx.ModelProto) -> None:
        """Take what a backend made, its activations' clamps still in, and the FP32 weights.

        Args:
            rounded: QDQ model; weights float behind a QuantizeLinear or integer, biases float.
            source: a model with the same layers, by node name, that holds their FP32 weights.

        Raises:
            UnsupportedError: a constant of the network stays in FP32; the message names its node.
        """
        self._rounded = with_integer_weights(rounded)
        floats = _float_layers(Graph(source))
        named = with_layer_names(self._rounded)
        pairs = zip(self._rounded.graph.node, named.graph.node, strict=True)
        self._nodes = {new.name: old.name for old, new in pairs if old.op_type in LAYERS}
        self._floats = {name: floats[node] for name, node in self._nodes.items()}
        bare = without_clamps(self._rounded)
        refuse_floats(bare)
        self._quantized = strip(with_layer_names(bare))

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

        A layer that is put back has its FP32 weights and bias again. The rounding of a tensor
        goes where only layers in FP32 make or read it; between operators that are no layers, it
        goes as soon as one of the layers nearest to it is in FP32.

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
                _put_back(graph, node, nodes[node.name])
        _drop_unread(graph)
        bare = Graph(without_clamps(graph.to_model()))
        for node in [node for node in bare.nodes if node.name in nodes]:
            _shield(bare, node)
        return strip(with_layer_names(bare.to_model()))


def _float_layers(source: Graph) -> dict[str, FloatLayer]:
    layers = {}
    for node in source.nodes:
        if node.op_type in LAYERS:
            weight, *bias = (source.array(_constant(source, name)) for name in node.input[1:])
            layers[node.name] = FloatLayer(weight, bias[0] if bias else None)
    return layers


def _constant(graph: Graph, name: str) -> str:
    """Return the constant that `name` is, or is rounded from."""
    while not graph.is_constant(name):
        maker: Any = graph.producer(name)
        name = maker.input[0]
    return name


def _put_back(graph: Graph, node: onnx.NodeProto, layer: FloatLayer) -> None:
    names = [_constant(graph, node.input[1]).removesuffix("_quantized")]
    names += [f"{names[0]}_bias"] if layer.bias is not None else []
    del node.input[1:]
    node.input.extend(names)
    for name, values in zip(names, (layer.weight, layer.bias), strict=False):
        assert values is not None
        graph.set_array(name, values)


def _shield(graph: Graph, layer: onnx.NodeProto) -> None:
    """Part a layer in FP32 from the DequantizeLinear before it by a Clip without bounds.

    onnxruntime would quantize its weights otherwise, per tensor, where its output is rounded as
    well (the optimizer `WeightBiasQuantization`); an Identity, or a pool, it would see through.
    """
    before = graph.producer(layer.input[0])
    while before is not None and before.op_type in MOVING:
        before = graph.producer(before.input[0])
    if before is not None and before.op_type == "DequantizeLinear":
        name = f"{layer.output[0]}_input"
        clip = helper.make_node("Clip", [layer.input[0]], [name])
        layer.input[0] = name
        graph.replace(layer, [clip, layer])


def _drop_unread(graph: Graph) -> None:
    """Take out each DequantizeLinear of a constant that no layer reads any more."""
    for node in list(graph.nodes):
        constant = node.op_type == "DequantizeLinear" and graph.is_constant(node.input[0])
        if constant and not graph.consumers(node.output[0]):
            graph.replace(node, [])
