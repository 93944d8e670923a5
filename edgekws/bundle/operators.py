"""What the models of a bundle may compute: what the steps of a recipe can write, nothing else."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgekws.errors import DataError

ALLOWED = frozenset(
    {
        "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "Constant",
        "DequantizeLinear", "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity", "Log",
        "MatMul", "MaxPool", "Mul", "Pad", "QLinearConv", "QuantizeLinear", "ReduceMean", "Relu",
        "Reshape", "Selu", "Sigmoid", "Slice", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators of ONNX itself: no control flow, and none that reads files or draws numbers."""

_SIZED = frozenset({"Pad", "ReduceMean", "Reshape", "Slice", "Squeeze", "Unsqueeze"})
"""Those whose inputs but the first decide on the size of what they make."""

CONVERTED = frozenset(
    {
        "FusedConv", "FusedGemm", "FusedMatMul", "QGemm", "QLinearAdd", "QLinearAveragePool",
        "QLinearConcat", "QLinearGlobalAveragePool", "QLinearMul", "QLinearSigmoid", "QuickGelu",
    }
)  # fmt: skip
"""Operators of `com.microsoft` that onnxruntime puts in their place in an `.ort` file."""


def check_onnx(path: Path) -> None:
    """Read an ONNX file, without loading it into a runtime, for what it computes.

    Raises:
        DataError: it is no ONNX model, keeps weights in another file, or has an operator that no
            model of a bundle has.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise DataError(f"{path.name} is not an ONNX model; pack the bundle again") from error
    if _stored_outside(model):
        raise DataError(
            f"{path.name} keeps weights in another file; a bundle's model holds its own"
        )
    if model.functions:
        raise DataError(f"{path.name} defines functions; no model of a bundle does")
    if computed := _computed_size(model.graph):
        raise DataError(
            f"{path.name}: what {computed} is to make is computed while it runs; the models of a "
            "bundle store it, so that every clip takes the same memory"
        )
    check(path.name, ((node.domain, node.op_type) for node in model.graph.node))


def _computed_size(graph: Any) -> str:
    """Name the first node whose output's size may depend on what the model hears; empty if none."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    for node in graph.node:
        if node.op_type in _SIZED and not stored.issuperset(filter(None, node.input[1:])):
            return f"{node.op_type} ({node.name or node.output[0]})"
    return ""


def check(name: str, operators: Iterable[tuple[str, str]], *, converted: bool = False) -> None:
    """Refuse operators, `(domain, name)` each, that no model of a bundle has.

    Raises:
        DataError: there is one; the message names it.
    """
    for domain, operator in operators:
        own = domain in ("", "ai.onnx") and operator in ALLOWED
        if own or (converted and domain == "com.microsoft" and operator in CONVERTED):
            continue
        full = f"{domain}.{operator}" if domain else operator
        raise DataError(
            f"{name} has the operator {full}, which no model of a bundle has; nothing of it was run"
        )


def _stored_outside(message: Any) -> bool:
    """Say whether any tensor anywhere in a protobuf message refers to a file for its values."""
    import onnx

    if isinstance(message, onnx.TensorProto):
        return message.data_location == onnx.TensorProto.EXTERNAL
    return any(
        _stored_outside(part)
        for field, value in message.ListFields()
        if field.type == field.TYPE_MESSAGE
        for part in ([value] if hasattr(value, "ListFields") else value)
    )
