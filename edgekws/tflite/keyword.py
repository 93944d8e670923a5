"""A streaming network with a score for one keyword, as ESPHome's micro_wake_word takes it.

The last layer gives logits `l`. In its place stands one that gives the differences `l_k - l_j` of
the keyword `k` to each other label, from rounded differences of its weights. The score is the
product of their logistic functions, `1 / prod(1 + exp(l_j - l_k))`. The softmax of the keyword is
`1 / (1 + sum(exp(l_j - l_k)))`, which is never less: both are equal where one other label counts,
and to the second order where the score is high.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgekws.errors import UnsupportedError
from edgekws.tflite.graph import Graph, Operator, Scales, Tensor, Type
from edgekws.tflite.layers import LOGISTIC

OPERATORS = frozenset(
    {
        "CALL_ONCE", "VAR_HANDLE", "RESHAPE", "READ_VARIABLE", "STRIDED_SLICE", "CONCATENATION",
        "ASSIGN_VARIABLE", "CONV_2D", "MUL", "ADD", "MEAN", "FULLY_CONNECTED", "LOGISTIC",
        "QUANTIZE", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "PACK", "SPLIT_V",
    }
)  # fmt: skip
"""Those that ESPHome registers."""

MOST_VARIABLES = 20
INPUT = Scales((np.float32(26 / 255).item(),), -128)
OUTPUT = Scales((1 / 256,), 0)
_DIFFERENCE = Scales((11.5 / 255,), -17)
"""Of differences of logits, from -5 to 6.5: scores near a cutoff need the finest steps."""


def check(graph: Graph) -> None:
    """Check that ESPHome can run a streaming network.

    Raises:
        UnsupportedError: it has an operator or more states than ESPHome has; the message names it.
    """
    for operator in graph.operators:
        if operator.code not in OPERATORS:
            layer = (operator.outputs or operator.inputs)[0]
            raise UnsupportedError(
                f"layer {layer} needs the operator {operator.code}, which ESPHome does not have; "
                "use another backbone, such as inverted_bottleneck"
            )
    if len(graph.variables) > MOST_VARIABLES:
        raise UnsupportedError(
            f"the network keeps {len(graph.variables)} states; ESPHome has room for "
            f"{MOST_VARIABLES}: use fewer layers"
        )


def keyword_graph(graph: Graph, keyword: int) -> Graph:
    """Return a streaming network of logits as one of the score of label `keyword`.

    Input and output have the types and scales that ESPHome expects.

    Raises:
        UnsupportedError: logits are not made by a dense layer.
    """
    head = _Head(graph, keyword)
    operators = head.replace_dense(_dense(graph))
    operators = head.with_input(operators)
    known = {name for operator in operators for name in (*operator.inputs, *operator.outputs)}
    tensors = {name: tensor for name, tensor in head.tensors.items() if name in known}
    return _compact(Graph(tensors, tuple(operators), graph.variables, (head.input,), head.output))


def _compact(graph: Graph) -> Graph:
    """Return a graph with numbers as names, and without what consumers do not read.

    That is the scale of a bias: kernels multiply those of input and weights.
    """
    names = {name: str(number) for number, name in enumerate(graph.tensors)}
    variables = {variable.name: str(number) for number, variable in enumerate(graph.variables)}
    tensors = [
        replace(tensor, name=names[name], scales=None if tensor.type == "int32" else tensor.scales)
        for name, tensor in graph.tensors.items()
    ]
    operators = []
    for operator in graph.operators:
        inputs, outputs = ([names[n] for n in part] for part in (operator.inputs, operator.outputs))
        options = dict(operator.options)
        if "sharedName" in options:
            options["sharedName"] = variables[options["sharedName"]]
        operators.append(Operator(operator.code, tuple(inputs), tuple(outputs), options))
    return Graph(
        {tensor.name: tensor for tensor in tensors},
        tuple(operators),
        tuple(
            replace(v, name=variables[v.name], before=names[v.before], after=names[v.after])
            for v in graph.variables
        ),
        tuple(names[name] for name in graph.inputs),
        names[graph.output],
    )


@dataclass(frozen=True)
class _Dense:
    """The layer of the logits: what it reads, its weights and bias as numbers.

    `operators` are those before it.
    """

    operators: tuple[Operator, ...]
    source: str
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]


def _dense(graph: Graph) -> _Dense:
    makers = {name: i for i, op in enumerate(graph.operators) for name in op.outputs}
    name = graph.output
    while name in makers and graph.operators[makers[name]].code == "RESHAPE":
        name = graph.operators[makers[name]].inputs[0]
    number = makers.get(name, -1)
    operator = graph.operators[number]
    source, *parts = operator.inputs
    if number < 0 or operator.code != "CONV_2D":
        raise UnsupportedError(
            "logits are not made by a dense layer, so that a score of one keyword cannot be "
            "derived; use another backbone, such as inverted_bottleneck"
        )
    weights, bias = (_real(graph.tensors[part]) for part in parts)
    before = graph.operators[:number]
    if graph.tensors[source].type == "int16":
        widening = graph.operators[makers[source]]
        before = tuple(operator for operator in before if operator != widening)
        (source,) = widening.inputs
    if weights.shape[1:3] != (1, 1) or graph.tensors[source].size != weights.shape[3]:
        raise UnsupportedError("logits are averaged over several frames; use another backbone")
    return _Dense(before, source, weights[:, 0, 0], bias)


def _real(tensor: Tensor) -> NDArray[np.float64]:
    assert tensor.data is not None
    assert tensor.scales is not None
    values = np.array(tensor.scales.values).reshape(-1, *[1] * (tensor.data.ndim - 1))
    real: NDArray[np.float64] = tensor.data * values
    return real


class _Head:
    """Tensors and operators behind the network and before it."""

    def __init__(self, graph: Graph, keyword: int) -> None:
        self.tensors, self.input, self.output = dict(graph.tensors), graph.inputs[0], ""
        self._graph, self._keyword = graph, keyword
        self._constants = {
            (tensor.type, tensor.shape, tensor.data.tobytes(), tensor.scales): tensor.name
            for tensor in graph.tensors.values()
            if tensor.data is not None
        }

    def replace_dense(self, dense: _Dense) -> list[Operator]:
        """Return the operators, with the head in place of the last layer."""
        others = [j for j in range(len(dense.bias)) if j != self._keyword]
        weights = dense.weights[self._keyword] - dense.weights[others]
        bias = dense.bias[self._keyword] - dense.bias[others]
        source = self.tensors[dense.source]
        assert source.scales is not None
        steps = np.maximum(np.abs(weights).max(axis=1), 1e-9) / 127
        rounded = np.rint(weights / steps[:, None]).astype(np.int8)[:, None, None, :]
        units = steps * source.scales.values[0]
        operators = list(dense.operators)
        if source.shape != (1, 1, 1, source.size):
            sizes = np.array((1, 1, 1, source.size), np.int32)
            constant = self._constant("head/shape", sizes)
            flat = self._add("head/source", tuple(sizes.tolist()), "int8", source.scales)
            options = {"newShape": sizes.tolist()}
            operators.append(Operator("RESHAPE", (dense.source, constant), (flat,), options))
            dense = replace(dense, source=flat)
        count = len(others)
        inputs = (
            dense.source,
            self._constant("head/weights", rounded, Scales(tuple(steps.tolist()))),
            self._constant(
                "head/bias", np.rint(bias / units).astype(np.int32), Scales(tuple(units.tolist()))
            ),
        )
        differences = self._add("head", (1, 1, 1, count), "int8", _DIFFERENCE)
        options = {"padding": "VALID", "strideH": 1, "strideW": 1}
        operators.append(Operator("CONV_2D", inputs, (differences,), options))
        shape = self._constant("head/row", np.array((1, count), np.int32))
        row = self._add("head/differences", (1, count), "int8", _DIFFERENCE)
        options = {"newShape": [1, count]}
        operators.append(Operator("RESHAPE", (differences, shape), (row,), options))
        factors = self._add("head/factors", (1, count), "int8", LOGISTIC)
        operators.append(Operator("LOGISTIC", (row,), (factors,)))
        product = self._product(operators, factors, count)
        self.output = self._add("score", (1, 1), "uint8", OUTPUT)
        operators.append(Operator("QUANTIZE", (product,), (self.output,)))
        return operators

    def with_input(self, operators: Sequence[Operator]) -> list[Operator]:
        """Return the operators with a change of scales before them, from that of ESPHome."""
        network = self._graph.inputs[0]
        shape = self.tensors[network].shape
        self.input = self._add("input", shape, "int8", INPUT)
        return [Operator("QUANTIZE", (self.input,), (network,)), *operators]

    def _product(self, operators: list[Operator], name: str, count: int) -> str:
        """Add the product of `count` factors, half by half; return its tensor `(1, 1)`."""
        while count > 1:
            half = count // 2
            parts = [self._part(operators, name, start, half) for start in (0, half)]
            product = self._add(f"{name}/product", (1, half), "int8", LOGISTIC)
            operators.append(Operator("MUL", tuple(parts), (product,)))
            if count % 2:
                last = self._part(operators, name, 2 * half, 1)
                joint = self._add(f"{name}/joint", (1, half + 1), "int8", LOGISTIC)
                operators.append(Operator("CONCATENATION", (product, last), (joint,), {"axis": 1}))
                product = joint
            name, count = product, half + count % 2
        return name

    def _part(self, operators: list[Operator], name: str, start: int, count: int) -> str:
        ends = {"begin": (0, start), "end": (1, start + count), "strides": (1, 1)}
        constants = [
            self._constant(f"{name}/{start}/{key}", np.array(value, np.int32))
            for key, value in ends.items()
        ]
        part = self._add(f"{name}/{start}", (1, count), "int8", LOGISTIC)
        operators.append(Operator("STRIDED_SLICE", (name, *constants), (part,)))
        return part

    def _constant(self, name: str, data: NDArray[np.generic], scales: Scales | None = None) -> str:
        """Add a constant, unless an equal one is there; return its name."""
        kind: Type = "int8" if data.dtype == np.int8 else "int32"
        key = (kind, data.shape, data.tobytes(), scales)
        if key not in self._constants:
            self.tensors[name] = Tensor(name, data.shape, kind, scales, data)
            self._constants[key] = name
        return self._constants[key]

    def _add(self, name: str, shape: tuple[int, ...], kind: Type, scales: Scales) -> str:
        self.tensors[name] = Tensor(name, shape, kind, scales)
        return name
