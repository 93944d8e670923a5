"""Parameters, MACs and INT8 coverage, counted over the ONNX graph.

MACs are multiply-accumulates of convolutions, matrix products and recurrent layers for one
inference at batch 1 (per sample, if the batch is fixed to more). Elementwise additions and
products, pooling, normalization and quantization count as zero, as in the usual hook-based
counters; `_operators.NO_MACS` lists them all.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, inliner, numpy_helper

from edgekws.errors import UnsupportedError
from edgekws.metrics import execution
from edgekws.metrics._operators import (
    CONVOLUTIONS,
    INTEGER,
    NO_MACS,
    PASSES,
    PRODUCTS,
    QUANTIZATION,
    RECURRENT,
    WEIGHT_INPUTS,
)

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
_NO_WEIGHTS = {TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING}
_DOMAINS = {"", "ai.onnx", "com.microsoft"}

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layer:
    """A node that multiplies or holds weights.

    `int8` is true if the operator itself multiplies 8-bit integers (`QLinearConv`); standing
    between quantizers does not count.
    """

    name: str
    op: str
    macs: int
    parameters: int
    int8: bool


def layers(model: Path | onnx.ModelProto) -> tuple[Layer, ...]:
    """Return the layers in the order of the graph, with their MACs at batch 1.

    Raises:
        UnsupportedError: the counter does not support an operator, or the graph cannot be run.
    """
    graph = _load(model)
    parameters_of = [0] * len(graph.graph.node)
    for tensor, user in _weights(graph):
        parameters_of[user] += math.prod(tensor.dims)
    macs = _node_macs(graph)
    return tuple(
        Layer(_name(node), node.op_type, macs[i], parameters_of[i], node.op_type in INTEGER)
        for i, node in enumerate(graph.graph.node)
        if macs[i] or parameters_of[i]
    )


def parameters(model: Path | onnx.ModelProto) -> int:
    """Return the number of weights and biases of any type, each counted once.

    Quantization scales and zero points, shapes and single constants do not count; a remaining
    BatchNorm counts as scale and shift, into which mean and variance fold.
    """
    return sum(math.prod(tensor.dims) for tensor, _ in _weights(_load(model)))


def macs(model: Path | onnx.ModelProto) -> int:
    """Return the multiply-accumulates of one inference at batch 1.

    Raises:
        UnsupportedError: the counter does not support an operator, or the graph cannot be run.
    """
    return sum(_node_macs(_load(model)))


def fixed_batch(model: Path | onnx.ModelProto) -> int:
    """Return the number of samples in one run, 1 if the batch is free.

    Raises:
        UnsupportedError: the graph cannot be run.
    """
    return execution.fixed_batch(_load(model))


def float_weights(model: Path | onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the weights and biases stored as floats."""
    return tuple(t.name for t, _ in _weights(_load(model)) if t.data_type in _FLOATS)


def executed_layers(model: Path | onnx.ModelProto) -> tuple[Layer, ...]:
    """Return the layers of the graph that onnxruntime's CPU provider executes after its fusions.

    Raises:
        UnsupportedError: the counter does not support an operator, or the graph cannot be run.
    """
    return layers(execution.optimized(_load(model)))


def int8_coverage(model: Path | onnx.ModelProto) -> float:
    """Return the share of MACs that onnxruntime executes in INT8, between 0 and 1.

    Raises:
        UnsupportedError: the counter does not support an operator, nothing in the graph
            multiplies, or the graph cannot be run.
    """
    executed = executed_layers(model)
    total = sum(layer.macs for layer in executed)
    if not total:
        raise UnsupportedError("the graph has no layer that multiplies: no INT8 coverage")
    return sum(layer.macs for layer in executed if layer.int8) / total


def _load(model: Path | onnx.ModelProto) -> onnx.ModelProto:
    graph = onnx.load(model) if isinstance(model, Path) else model
    return inliner.inline_local_functions(graph) if graph.functions else graph


def _name(node: NodeProto) -> str:
    return node.name or node.output[0]


def _attribute(node: NodeProto, name: str) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), 0)


def _check(node: NodeProto) -> None:
    known = {*CONVOLUTIONS, *PRODUCTS, *RECURRENT, "ConvTranspose"} | NO_MACS
    if node.op_type not in known or node.domain not in _DOMAINS:
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise UnsupportedError(
            f"operator {operator} (node {_name(node)}): its MACs cannot be counted;"
            " write it in operators that metrics/_operators.py lists, or add it there"
        )


def _factors(node: NodeProto) -> tuple[str, ...]:
    """Return the tensors whose shapes determine the MACs of `node`; empty if it has none."""
    op, inputs = node.op_type, node.input
    if op in CONVOLUTIONS:
        return node.output[0], inputs[CONVOLUTIONS[op]]
    if op in PRODUCTS:
        return node.output[0], inputs[PRODUCTS[op][0]]
    if op in RECURRENT:
        return inputs[0], inputs[1], inputs[2]
    return (inputs[0], inputs[1]) if op == "ConvTranspose" else ()


def _node_macs(model: onnx.ModelProto) -> list[int]:
    for node in model.graph.node:
        _check(node)
    computed = {name for node in model.graph.node for name in node.output}
    wanted = [n for node in model.graph.node for n in _factors(node) if n in computed]
    known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    flowing = known | execution.shapes(model, wanted)
    batch = execution.fixed_batch(model)
    return [_macs(node, [flowing[n] for n in _factors(node)]) // batch for node in model.graph.node]


def _macs(node: NodeProto, shapes: list[tuple[int, ...]]) -> int:
    """Return MACs from the shapes of `_factors`.

    Convolution: every output value uses one row of the weight `(C_out, C_in / groups, *kernel)`;
    transposed: every input value is multiplied by `(C_out / groups, *kernel)`. Recurrent: input
    and recurrent weights `(directions, gates * hidden, n)` once per frame.
    """
    if not shapes:
        return 0
    first, second = shapes[0], shapes[1]
    if node.op_type in RECURRENT:
        return math.prod(first[:2]) * (math.prod(second) + math.prod(shapes[2]))
    if node.op_type in PRODUCTS:
        turned = _attribute(node, "transA") and len(second) > 1
        return math.prod(first) * second[-2 if turned else -1]
    return math.prod(first) * math.prod(second[1:])


def _constants(model: onnx.ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise UnsupportedError(f"sparse weight {name}: store it dense")
    for node in model.graph.node:
        if node.op_type == "Constant":
            yield _constant(node)


def _constant(node: NodeProto) -> TensorProto:
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        tensor = TensorProto()
        tensor.CopyFrom(value)
    elif attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
        kind = "float32" if "float" in attribute.name else "int64"
        tensor = numpy_helper.from_array(np.asarray(value, kind))
    else:
        raise UnsupportedError(f"constant {node.output[0]}: {attribute.name} is not a dense number")
    tensor.name = node.output[0]
    return tensor


def _weights(model: onnx.ModelProto) -> list[tuple[TensorProto, int]]:
    """Return the constants that are weights, each with the index of the node that uses it."""
    uses: dict[str, list[tuple[int, int]]] = {}
    for i, node in enumerate(model.graph.node):
        for slot, name in enumerate(node.input):
            uses.setdefault(name, []).append((i, slot))
    weights = []
    for tensor in _constants(model):
        if tensor.data_type in _NO_WEIGHTS:
            continue
        users = _users(model, uses, tensor.name, math.prod(tensor.dims), tensor.data_type)
        if users:
            weights.append((tensor, min(users)))
    return weights


def _users(
    model: onnx.ModelProto,
    uses: dict[str, list[tuple[int, int]]],
    name: str,
    size: int,
    data_type: int,
) -> list[int]:
    """Return the nodes that use the constant `name` as a weight, directly or through others."""
    users: list[int] = []
    for i, slot in uses.get(name, ()):
        node = model.graph.node[i]
        if node.op_type in PASSES:
            if slot == 0:
                real = TensorProto.FLOAT if node.op_type in QUANTIZATION else data_type
                users += _users(model, uses, node.output[0], size, real)
        elif node.op_type in WEIGHT_INPUTS:
            users += [i] if slot in WEIGHT_INPUTS[node.op_type] else []
        elif size > 1 and data_type in _FLOATS:
            users.append(i)
    return users
