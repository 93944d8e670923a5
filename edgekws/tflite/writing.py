"""A graph as the bytes of a TFLite file, with the schema that the package tflite-micro has."""

from collections.abc import Iterable
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from edgekws.tflite.graph import Graph, Operator, Scales, Tensor, Variable

VERSION = 3
IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Bytes to which constants are aligned, as the schema demands; flatbuffers in Python does not."""

_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "ADD": "AddOptions",
    "MUL": "MulOptions",
    "MEAN": "ReducerOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "RESHAPE": "ReshapeOptions",
    "TRANSPOSE": "TransposeOptions",
    "GATHER": "GatherOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "CONCATENATION": "ConcatenationOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "QUANTIZE": "QuantizeOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "CALL_ONCE": "CallOnceOptions",
    "VAR_HANDLE": "VarHandleOptions",
    "READ_VARIABLE": "ReadVariableOptions",
    "ASSIGN_VARIABLE": "AssignVariableOptions",
}
"""The options of each operator that has some."""


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A constant, aligned."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the name that the schema calls
        data = self.data.tobytes()
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Writes equal vectors and strings once, which the format allows."""

    def __init__(self) -> None:
        super().__init__(1024)
        self._written: dict[Any, int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 - that of flatbuffers
        key = (x.dtype.name, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]

    def CreateString(self, s: str, *options: Any) -> int:  # noqa: N802 - that of flatbuffers
        if s not in self._written:
            self._written[s] = super().CreateString(s, *options)
        return self._written[s]


class _Once:
    """A table that several others refer to; written with the first of them."""

    def __init__(self, table: Any) -> None:
        self._table, self._place = table, 0

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the name that the schema calls
        self._place = self._place or self._table.Pack(builder)
        return self._place


class _Writer:
    """What the subgraphs share: buffers, operator codes, scales and options."""

    def __init__(self) -> None:
        self.buffers: list[Any] = [schema.BufferT()]  # the first one is empty: no constant
        self.codes: dict[str, int] = {}
        self._constants: dict[bytes, int] = {}
        self._scales: dict[Scales, _Once] = {}
        self._options: dict[tuple[str, str], _Once] = {}

    def subgraph(
        self,
        tensors: dict[str, Tensor],
        operators: tuple[Operator, ...],
        inputs: tuple[str, ...] = (),
        outputs: tuple[str, ...] = (),
    ) -> Any:
        numbers = {name: number for number, name in enumerate(tensors)}
        written = schema.SubGraphT()
        written.tensors = [self._tensor(tensor) for tensor in tensors.values()]
        written.operators = [self._operator(operator, numbers) for operator in operators]
        written.inputs = _integers(numbers[name] for name in inputs)
        written.outputs = _integers(numbers[name] for name in outputs)
        return written

    def _tensor(self, tensor: Tensor) -> Any:
        written = schema.TensorT()
        written.name = "" if tensor.data is not None else tensor.name
        written.shape = _integers(tensor.shape)
        written.type = getattr(schema.TensorType, tensor.type.upper())
        written.buffer = 0
        if tensor.data is not None:
            written.buffer = self._buffer(tensor.data)
        if tensor.scales is not None:
            written.quantization = self._quantization(tensor.scales)
        return written

    def _quantization(self, scales: Scales) -> _Once:
        if scales not in self._scales:
            written = schema.QuantizationParametersT()
            written.scale = np.array(scales.values, np.float32)
            written.zeroPoint = np.full(len(scales.values), scales.zero, np.int64)
            written.quantizedDimension = scales.axis
            self._scales[scales] = _Once(written)
        return self._scales[scales]

    def _buffer(self, data: NDArray[Any]) -> int:
        """Return the number of a constant; equal bytes are written once."""
        key = data.tobytes()
        if key not in self._constants:
            self._constants[key] = len(self.buffers)
            buffer = _Buffer()
            buffer.data = data
            self.buffers.append(buffer)
        return self._constants[key]

    def _operator(self, operator: Operator, numbers: dict[str, int]) -> Any:
        written = schema.OperatorT()
        written.opcodeIndex = self.codes.setdefault(operator.code, len(self.codes))
        written.inputs = _integers(numbers[name] for name in operator.inputs)
        written.outputs = _integers(numbers[name] for name in operator.outputs)
        if operator.code in _OPTIONS:
            name = _OPTIONS[operator.code]
            written.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            key = (name, repr(sorted(operator.options.items())))
            if key not in self._options:
                self._options[key] = _Once(_options(name, operator))
            written.builtinOptions = self._options[key]
        return written

    def operator_codes(self) -> list[Any]:
        written = []
        for name in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = 1
            written.append(code)
        return written


def _options(name: str, operator: Operator) -> Any:
    written = getattr(schema, f"{name}T")()
    for field, value in operator.options.items():
        assert hasattr(written, field), (operator.code, field)
        setattr(written, field, getattr(schema.Padding, value) if field == "padding" else value)
    return written


def _integers(values: Iterable[int]) -> NDArray[np.int32]:
    return np.array(list(values), np.int32)


def write(graph: Graph, description: str) -> bytes:
    """Return a graph as a TFLite file; the same graph gives the same bytes."""
    writer, model = _Writer(), schema.ModelT()
    operators = graph.operators
    subgraphs = []
    if graph.variables:
        operators = (Operator("CALL_ONCE", (), (), {"initSubgraphIndex": 1}), *operators)
    subgraphs.append(writer.subgraph(graph.tensors, operators, graph.inputs, (graph.output,)))
    if graph.variables:
        subgraphs.append(writer.subgraph(*_beginning(graph.variables)))
    for written, name in zip(subgraphs, ("main", "reset"), strict=False):
        written.name = name
    model.version, model.description = VERSION, description
    model.subgraphs, model.buffers = subgraphs, writer.buffers
    model.operatorCodes = writer.operator_codes()
    builder = _Builder()
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _beginning(
    variables: tuple[Variable, ...],
) -> tuple[dict[str, Tensor], tuple[Operator, ...]]:
    """Return what a stream begins with: every variable is filled with its byte."""
    tensors: dict[str, Tensor] = {}
    operators = []
    for variable in variables:
        handle, value = f"{variable.name}/handle", f"{variable.name}/fill"
        filled = np.full(variable.shape, variable.fill, np.int8)
        tensors[handle] = Tensor(handle, (1,), "resource")
        tensors[value] = Tensor(value, variable.shape, "int8", variable.scales, filled)
        shared = {"container": "", "sharedName": variable.name}
        operators.append(Operator("VAR_HANDLE", (), (handle,), shared))
        operators.append(Operator("ASSIGN_VARIABLE", (handle, value), ()))
    return tensors, tuple(operators)
