"""Equivalent rewrites of an ONNX graph, FP32 or QDQ, with other operators.

None of them is always better: which one is fastest depends on the runtime's kernels and must be
measured. Each raises `UnsupportedError` if the graph has no such form.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import onnx
from onnx import helper

from edgekws.errors import UnsupportedError
from edgekws.lowering.graph import Graph, attribute

_ANY_RANK = frozenset({
    "Add", "Clip", "DequantizeLinear", "GlobalAveragePool", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Mul", "QuantizeLinear", "Relu", "Selu", "Sigmoid", "Sub", "Tanh",
})  # fmt: skip
"""Operators that work in the same way on a row of height 1 and on a sequence."""

PLAIN = "FP32, plain export"
"""The name of the unmodified output of `torch.onnx.export`."""

_WINDOWS = ("AveragePool", "Conv", "MaxPool")
_ENDS = ("Flatten", "Reshape", "Squeeze")


def conv1d(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every Conv2d of height 1 as Conv1d, without the added input axis.

    Raises:
        UnsupportedError: no axis of height 1 is added to an input `(batch, n_mels, T)`, or an
            operator before the classifier needs that axis.
    """
    graph = Graph(model)
    flat: set[str] = set()
    done: set[str] = set()
    for node in list(graph.nodes):
        if node.op_type == "Unsqueeze" and _axes(graph, node) == [2]:
            flat.add(node.output[0])
        elif flat & set(node.input):
            flat |= _without_height(graph, node, done)
    if not flat:
        raise UnsupportedError("no axis of height 1 is added to the input: it has no Conv1d form")
    for node in [n for n in graph.nodes if n.op_type == "Unsqueeze" and n.output[0] in flat]:
        graph.remove(node)
    return graph.to_model()


def _without_height(graph: Graph, node: onnx.NodeProto, done: set[str]) -> set[str]:
    """Remove the height from a node; return its outputs if they had one."""
    if node.op_type in _WINDOWS:
        _narrow_windows(node)
        if node.op_type == "Conv":
            _narrow_weight(graph, node, done)
        return set(node.output)
    if node.op_type in ("ReduceMean", "Squeeze"):
        return _narrow_axes(graph, node)
    if node.op_type == "Slice" and len(node.input) > 3:
        _narrow_slice(graph, node)
        return set(node.output)
    if node.op_type in _ENDS and _to_rows(graph, node):
        return set()
    if node.op_type in ("Gather", "Reshape") and _keeps_height(graph, node):
        return set(node.output)
    values = [graph.array(name) for name in node.input if graph.is_constant(name)]
    if node.op_type not in _ANY_RANK or any(value.ndim > 1 for value in values):
        raise UnsupportedError(f"{node.op_type} {node.name}: it needs the axis of height 1")
    return set(node.output)


def _narrow_windows(node: onnx.NodeProto) -> None:
    """Keep only the time's value of each attribute that also has one for the height."""
    for entry in node.attribute:
        values = list(entry.ints)
        if entry.name == "pads":
            heights, entry.ints[:] = [values[0] + 1, values[2] + 1], values[1::2]
        elif entry.name in ("kernel_shape", "strides", "dilations"):
            heights, entry.ints[:] = values[:1], values[1:]
        else:
            continue
        if entry.name != "dilations" and max(heights) != 1:
            raise UnsupportedError(f"{node.op_type} {node.name}: its window is not of height 1")


def _narrow_weight(graph: Graph, node: onnx.NodeProto, done: set[str]) -> None:
    """Remove the height from a weight `(out, in / groups, 1, kernel)`; once if it is shared."""
    name = constant_behind(graph, node.input[1])
    if name not in done:
        graph.set_array(name, graph.array(name)[:, :, 0])
        done.add(name)


def _narrow_axes(graph: Graph, node: onnx.NodeProto) -> set[str]:
    """Remove the height from the axes of a ReduceMean or Squeeze over height and time."""
    axes = sorted(axis % 4 for axis in _axes(graph, node))
    if axes != [2, 3]:
        raise UnsupportedError(f"{node.op_type} {node.name}: it needs the axis of height 1")
    _set_axes(graph, node, [2])
    keeps = node.op_type == "ReduceMean" and attribute(node, "keepdims", 1)
    return set(node.output) if keeps else set()


def _narrow_slice(graph: Graph, node: onnx.NodeProto) -> None:
    """Move a slice along time to the axis of the time without the height."""
    axes = [int(axis) % 4 for axis in graph.array(node.input[3])]
    if axes != [3]:
        raise UnsupportedError(f"Slice {node.name}: it needs the axis of height 1")
    name = f"{node.output[0]}.axes"
    graph.set_array(name, np.array([2], np.int64))
    node.input[3] = name


def _keeps_height(graph: Graph, node: onnx.NodeProto) -> bool:
    """Remove the height from a node that only selects or rearranges channels, if it is one."""
    if node.op_type == "Gather":
        return bool(attribute(node, "axis", 0) == 1)
    shape = graph.array(node.input[1])
    if len(shape) != 4 or shape[2] != 1:
        return False
    name = f"{node.output[0]}.shape"
    graph.set_array(name, np.delete(shape, 2))
    node.input[1] = name
    return True


def _to_rows(graph: Graph, node: onnx.NodeProto) -> bool:
    """Return whether a node flattens any input to `(batch, values)`."""
    if node.op_type == "Flatten":
        return bool(attribute(node, "axis", 1) == 1)
    return node.op_type == "Reshape" and len(graph.array(node.input[1])) == 2


def channels_last_end(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the pooled values flattened in channels-last layout.

    The values and their order stay the same. If the runtime uses channels-last convolutions too,
    as onnxruntime does for INT8, it need not transpose them back.

    Raises:
        UnsupportedError: nothing is flattened directly after a GlobalAveragePool.
    """
    shaped = onnx.shape_inference.infer_shapes(model)
    graph = Graph(shaped)
    for node in [n for n in graph.nodes if n.op_type in _ENDS]:
        pool = _producer(graph, node.input[0])
        rank = graph.rank(node.input[0])
        if pool is None or pool.op_type != "GlobalAveragePool" or rank not in (3, 4):
            continue
        moved = f"{node.output[0]}.channels_last"
        order = [0, *range(2, rank), 1]
        transpose = helper.make_node("Transpose", node.input[:1], [moved], f"{node.name}.turn")
        transpose.attribute.append(helper.make_attribute("perm", order))
        node.input[0] = moved
        if node.op_type == "Squeeze":
            _set_axes(graph, node, list(range(1, rank - 1)))
        graph.replace(node, [transpose, node])
        return graph.to_model()
    raise UnsupportedError("nothing is flattened directly after a GlobalAveragePool")


def _producer(graph: Graph, name: str) -> onnx.NodeProto | None:
    """Return the node that produces a tensor, ignoring roundings."""
    node = graph.producer(name)
    while node is not None and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        node = graph.producer(node.input[0])
    return node


def mean_instead_of_pool(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with each GlobalAveragePool as ReduceMean, as in plain exports.

    Raises:
        UnsupportedError: there is none.
    """
    graph = Graph(onnx.shape_inference.infer_shapes(model))
    pools = [n for n in graph.nodes if n.op_type == "GlobalAveragePool"]
    for node in pools:
        axes = f"{node.output[0]}.axes"
        rank = graph.rank(node.input[0]) or 4
        graph.set_array(axes, np.arange(2, rank, dtype=np.int64))
        mean = helper.make_node("ReduceMean", [node.input[0], axes], node.output, node.name)
        graph.replace(node, [mean])
    if not pools:
        raise UnsupportedError("the graph has no GlobalAveragePool")
    return graph.to_model()


def signed_activations(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the QDQ model with S8 instead of U8 activations: the same steps, from −128.

    Raises:
        UnsupportedError: nothing is rounded to U8.
    """
    graph = Graph(model)
    points: set[str] = set()
    for node in graph.nodes:
        if node.op_type == "QuantizeLinear" and len(node.input) > 2:
            points.add(node.input[2])
            points |= {n.input[2] for n in graph.consumers(node.output[0]) if len(n.input) > 2}
    unsigned = [name for name in sorted(points) if graph.array(name).dtype == np.uint8]
    for name in unsigned:
        graph.set_array(name, (graph.array(name).astype(np.int16) - 128).astype(np.int8))
    if not unsigned:
        raise UnsupportedError("the graph rounds nothing to U8")
    return graph.to_model()


def constant_behind(graph: Graph, name: str) -> str:
    """Return the constant that a tensor is, or from which it is dequantized.

    Raises:
        UnsupportedError: it is not constant.
    """
    producer = graph.producer(name)
    if producer is not None and producer.op_type == "DequantizeLinear":
        name = producer.input[0]
    if not graph.is_constant(name):
        raise UnsupportedError(f"{name}: a computed weight has no other form")
    return name


def _axes(graph: Graph, node: onnx.NodeProto) -> list[int]:
    return [int(axis) for axis in graph.array(node.input[1])] if len(node.input) > 1 else []


def _set_axes(graph: Graph, node: onnx.NodeProto, axes: list[int]) -> None:
    """Give a node separate axes: an initializer may be shared."""
    name = f"{node.output[0]}.axes"
    graph.set_array(name, np.array(axes, np.int64))
    node.input[1:] = [name]


FLOAT: Mapping[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = MappingProxyType(
    {"Conv1d": conv1d, "ReduceMean": mean_instead_of_pool}
)
"""The rewrites that may make an FP32 network faster, by name."""


def float_forms(lowered: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """Return an FP32 network in lowered form and in every possible rewrite of it."""
    forms = {"FP32": lowered}
    for name, rewrite in FLOAT.items():
        try:
            forms[f"FP32, {name}"] = rewrite(lowered)
        except UnsupportedError:
            continue  # not every graph has every form
    return forms
