"""Channels of zeros, so that every layer fills whole vector registers. Exact."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.errors import UnsupportedError
from edgekws.lowering.forms import constant_behind
from edgekws.lowering.graph import Graph, attribute

LANES = 16
"""Channels to a block: of onnxruntime's FP32 convolutions with AVX-512 (8 with AVX2, 4 with Neon,
which divide it), and of its symmetric INT8 convolutions."""

_SAME_CHANNELS = frozenset({
    "AveragePool", "Clip", "DequantizeLinear", "GlobalAveragePool", "HardSigmoid", "HardSwish",
    "Identity", "MaxPool", "QuantizeLinear", "Relu", "Sigmoid",
})  # fmt: skip


class _Channels:
    """Which tensors have the same channels, and which of those must stay as they are."""

    def __init__(self, graph: Graph, ends: Sequence[str]) -> None:
        self._parents: dict[str, str] = {}
        self._fixed: set[str] = set()
        self.fix(ends)
        for node in graph.nodes:
            self._add(graph, node)

    def root(self, name: str) -> str:
        """Return what stands for all tensors with the channels of this one."""
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def fix(self, names: Sequence[str]) -> None:
        """Keep the channels of these tensors as they are."""
        self._fixed.update(names)

    def is_fixed(self, name: str) -> bool:
        """Tell whether channels may not be added to a tensor."""
        return self.root(name) in {self.root(each) for each in self._fixed}

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
    """Tell whether a node flattens one value a channel, whatever their number."""
    maker = graph.producer(node.input[0])
    while maker is not None and maker.op_type in ("QuantizeLinear", "DequantizeLinear"):
        maker = graph.producer(maker.input[0])
    free = node.op_type != "Reshape" or graph.array(node.input[1]).tolist()[1:] == [-1]
    return maker is not None and maker.op_type == "GlobalAveragePool" and free


def padded_channels(model: onnx.ModelProto, lanes: int = LANES) -> onnx.ModelProto:
    """Return the model with channels of zero weight, up to a multiple of `lanes` in each layer.

    What an added channel holds is multiplied by zero by the layers that read it, so that every
    other value stays the same. Channels of input and output stay, and so do those of grouped
    convolutions and of operators that are not known to keep channels apart.

    Raises:
        UnsupportedError: no layer has channels to be added.
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
        raise UnsupportedError(f"no layer has channels to be added up to a multiple of {lanes}")
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
    """Pad the constant in an input of a layer, and what it is dequantized by, under new names."""
    maker = graph.producer(node.input[slot])
    name = f"{node.output[0]}.padded{slot}"
    values = graph.array(constant_behind(graph, node.input[slot]))
    graph.set_array(name, _grown(values, more_out, more_in))
    if maker is None:
        node.input[slot] = name
        return
    own = onnx.NodeProto()
    own.CopyFrom(maker)
    own.input[0], own.output[0] = name, f"{name}.dequantized"
    for i in range(1, len(own.input)):
        steps = graph.array(own.input[i])
        if steps.ndim:  # those of the last channel: the bias has to keep to the weight's
            graph.set_array(f"{name}.{i}", np.append(steps, np.repeat(steps[-1:], more_out)))
            own.input[i] = f"{name}.{i}"
    node.input[slot] = own.output[0]
    graph.replace(node, [own, node])
    if not graph.consumers(maker.output[0]):
        graph.replace(maker, [])


def _grown(values: NDArray[Any], more_out: int, more_in: int) -> NDArray[Any]:
    """Add zeros behind the first axis and, where there is one, the second."""
    widths = [(0, more_out), (0, more_in), *[(0, 0)] * values.ndim][: values.ndim]
    grown: NDArray[Any] = np.pad(values, widths)
    return grown
