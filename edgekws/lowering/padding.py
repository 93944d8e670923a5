"""Pad channels with zeros, so that every layer fills whole vector registers; exact."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.errors import UnsupportedError
from edgekws.lowering.forms import constant_behind
from edgekws.lowering.graph import Graph, attribute

LANES = 16
"""Channels per block of onnxruntime's FP32 convolutions with AVX-512 (8 with AVX2 and 4 with Neon
divide it), and of its symmetric INT8 convolutions."""

_SAME_CHANNELS = frozenset({
    "AveragePool", "Clip", "DequantizeLinear", "GlobalAveragePool", "HardSigmoid", "HardSwish",
    "Identity", "MaxPool", "QuantizeLinear", "Relu", "Sigmoid",
})  # fmt: skip


class _Channels:
    """Groups of tensors with the same channels; some groups must not be padded."""

    def __init__(self, graph: Graph, ends: Sequence[str]) -> None:
        self._parents: dict[str, str] = {}
        self._fixed: set[str] = set()
        self.fix(ends)
        for node in graph.nodes:
            self._add(graph, node)

    def root(self, name: str) -> str:
        """Return the representative of all tensors with the same channels as this one."""
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def fix(self, names: Sequence[str]) -> None:
        """Exclude the channels of these tensors from padding."""
        self._fixed.update(names)

    def is_fixed(self, name: str) -> bool:
        """Return whether no channels may be added to a tensor."""
        return self.root(name) in {self.root(fixed) for fixed in self._fixed}

    def _join(self, names: Sequence[str]) -> None:
        for name in names[1:]:
            self._parents[self.root(name)] = self.root(names[0])

    def _add(self, graph: Graph, node: onnx.NodeProto) -> None:
        flowing = [name for name in node.input if name and not graph.is_constant(name)]
        constants = [graph.array(name) for name in node.input if graph.is_constant(name)]
        if node.op_type == "Conv":
            self._add_conv(graph, node)
        elif node.op_type == "Gemm":
            self.fix([*node.output, *([] if attribute(node, "transB", 0) else node.input[:1])])
        elif node.op_type == "DequantizeLinear" and not flowing:
            return
        elif node.op_type in _SAME_CHANNELS and all(c.ndim == 0 for c in constants):
            self._join([*node.output, flowing[0]])
        elif node.op_type in ("Add", "Mul") and not constants:
            self._join([*node.output, *flowing])
        elif node.op_type in ("Flatten", "Reshape", "Squeeze") and _pooled(graph, node):
            self._join([*node.output, flowing[0]])
        else:
            self.fix([*flowing, *node.output])

    def _add_conv(self, graph: Graph, node: onnx.NodeProto) -> None:
        groups = attribute(node, "group", 1)
        out, width = graph.array(constant_behind(graph, node.input[1])).shape[:2]
        if groups == out and width == 1:
            self._join([node.output[0], node.input[0]])
        elif groups > 1:
            self.fix([node.input[0], node.output[0]])


def _pooled(graph: Graph, node: onnx.NodeProto) -> bool:
    """Return whether a node flattens one value per channel, for any number of channels."""
    producer = graph.producer(node.input[0])
    while producer is not None and producer.op_type in ("QuantizeLinear", "DequantizeLinear"):
        producer = graph.producer(producer.input[0])
    any_width = node.op_type != "Reshape" or graph.array(node.input[1]).tolist()[1:] == [-1]
    return producer is not None and producer.op_type == "GlobalAveragePool" and any_width


def padded_channels(model: onnx.ModelProto, lanes: int = LANES) -> onnx.ModelProto:
    """Return the model with channels of zero weight added, to a multiple of `lanes` in each layer.

    Consumers multiply an added channel by zero, so every other value stays the same. The channels
    of input and output are not padded, nor those of grouped convolutions and of operators that may
    mix channels.

    Raises:
        UnsupportedError: no layer can be padded.
    """
    graph = Graph(model)
    channels = _Channels(graph, [v.name for v in (*model.graph.input, *model.graph.output)])
    padded = 0
    for node in [n for n in graph.nodes if n.op_type in ("Conv", "Gemm")]:
        weight = graph.array(constant_behind(graph, node.input[1]))
        depthwise = attribute(node, "group", 1) == len(weight) and weight.shape[1] == 1
        more_out = 0 if channels.is_fixed(node.output[0]) else -len(weight) % lanes
        more_in = 0 if channels.is_fixed(node.input[0]) else -weight.shape[1] % lanes
        if node.op_type == "Conv" and depthwise and len(weight) > 1:
            more_in = 0
            _set_groups(node, len(weight) + more_out)
        _pad(graph, node, more_out, more_in)
        padded += more_out + more_in
    if not padded:
        raise UnsupportedError(f"no layer can be padded to a multiple of {lanes} channels")
    return graph.to_model()


def _set_groups(node: onnx.NodeProto, groups: int) -> None:
    for entry in node.attribute:
        if entry.name == "group":
            entry.i = groups


def _pad(graph: Graph, node: onnx.NodeProto, more_out: int, more_in: int) -> None:
    """Add rows and columns of zeros to the weight of a layer, and zeros to its bias."""
    if not more_out and not more_in:
        return
    _pad_constant(graph, node, 1, more_out, more_in)
    if len(node.input) > 2 and more_out:
        _pad_constant(graph, node, 2, more_out, 0)


def _pad_constant(
    graph: Graph, node: onnx.NodeProto, slot: int, more_out: int, more_in: int
) -> None:
    """Pad the constant in an input of a layer, with its scales and zero points, under new names."""
    dequantize = graph.producer(node.input[slot])
    name = f"{node.output[0]}.padded{slot}"
    values = graph.array(constant_behind(graph, node.input[slot]))
    graph.set_array(name, _with_zeros(values, more_out, more_in))
    if dequantize is None:
        node.input[slot] = name
        return
    copy = onnx.NodeProto()
    copy.CopyFrom(dequantize)
    copy.input[0], copy.output[0] = name, f"{name}.dequantized"
    for i in range(1, len(copy.input)):
        steps = graph.array(copy.input[i])
        if steps.ndim:  # repeat the last channel's: the bias must match the weight
            graph.set_array(f"{name}.{i}", np.append(steps, np.repeat(steps[-1:], more_out)))
            copy.input[i] = f"{name}.{i}"
    node.input[slot] = copy.output[0]
    graph.replace(node, [copy, node])
    if not graph.consumers(dequantize.output[0]):
        graph.replace(dequantize, [])


def _with_zeros(values: NDArray[Any], more_out: int, more_in: int) -> NDArray[Any]:
    """Append zeros along the first axis and, if there is one, the second."""
    widths = [(0, more_out), (0, more_in), *[(0, 0)] * values.ndim][: values.ndim]
    padded: NDArray[Any] = np.pad(values, widths)
    return padded
