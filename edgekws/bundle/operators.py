"""The operators that the models of a bundle may have: those that the steps of a recipe write."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgekws.errors import DataError

ALLOWED = frozenset(
    {
        "Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv",
        "Constant", "CumSum", "DequantizeLinear", "Div", "Flatten", "Floor", "Gather", "Gemm",
        "GlobalAveragePool", "Greater", "Equal", "Identity", "Less", "Log", "MatMul", "Max",
        "MaxPool", "Min", "Mul", "Pad", "Pow", "QLinearConv", "QuantizeLinear", "ReduceMax",
        "ReduceMean", "ReduceSum", "Relu", "Reshape", "Round", "Selu", "Sigmoid", "Slice", "Split",
        "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Standard ONNX operators; no control flow, file access or random numbers."""

_SIZED = frozenset(
    {
        "Pad", "ReduceMax", "ReduceMean", "ReduceSum", "Reshape", "Slice", "Split", "Squeeze",
        "Unsqueeze",
    }
)  # fmt: skip
"""Operators with inputs, after the first, that determine the output size."""

CONVERTED = frozenset(
    {
        "FusedConv", "FusedGemm", "FusedMatMul", "QGemm", "QLinearAdd", "QLinearAveragePool",
        "QLinearConcat", "QLinearGlobalAveragePool", "QLinearMul", "QLinearSigmoid", "QuickGelu",
    }
)  # fmt: skip
"""Operators of `com.microsoft` that onnxruntime substitutes in an `.ort` file."""


def check_onnx(path: Path) -> None:
    """Check the operators of an ONNX file without loading it into a runtime.

    Raises:
        DataError: it is not an ONNX model, stores weights in another file, or has an operator that
            no model of a bundle has.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise DataError(f"{path.name} is not an ONNX model; pack the bundle again") from error
    if _has_external_data(model):
        raise DataError(
            f"{path.name} stores weights in another file; a bundle's model contains its weights"
        )
    if model.functions:
        raise DataError(f"{path.name} defines functions; no model of a bundle does")
    if computed := _computed_size(model.graph):
        raise DataError(
            f"{path.name}: the output size of {computed} is computed at run time; the models of a "
            "bundle store it, so that every clip takes the same memory"
        )
    check(path.name, ((node.domain, node.op_type) for node in model.graph.node))


def _computed_size(graph: Any) -> str:
    """Return the first node with an output size that may depend on the input, empty if none."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    for node in graph.node:
        if node.op_type in _SIZED and not stored.issuperset(filter(None, node.input[1:])):
            return f"{node.op_type} ({node.name or node.output[0]})"
    return ""


def check(name: str, operators: Iterable[tuple[str, str]], *, converted: bool = False) -> None:
    """Check operators, `(domain, name)` each.

    Raises:
        DataError: no model of a bundle has one of them; the message names it.
    """
    for domain, operator in operators:
        standard = domain in ("", "ai.onnx") and operator in ALLOWED
        if standard or (converted and domain == "com.microsoft" and operator in CONVERTED):
            continue
        full = f"{domain}.{operator}" if domain else operator
        raise DataError(
            f"{name} has the operator {full}, which no model of a bundle has; nothing of it was run"
        )


def _has_external_data(message: Any) -> bool:
    """Return whether any tensor in a protobuf message stores its values in another file."""
    import onnx

    if isinstance(message, onnx.TensorProto):
        return message.data_location == onnx.TensorProto.EXTERNAL
    return any(
        _has_external_data(part)
        for field, value in message.ListFields()
        if field.type == field.TYPE_MESSAGE
        for part in ([value] if hasattr(value, "ListFields") else value)
    )
