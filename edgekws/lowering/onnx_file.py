"""ONNX files: the model with its contract, without traces of when or where it was written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from edgekws.core.contract import Contract
from edgekws.core.output import OTHER_CACHE, write_bytes
from edgekws.errors import UsageError
from edgekws.lowering.stream_state import KEY as STREAM

IR_VERSION = 10
"""Set in every file, independent of the installed onnx."""


def save(model: onnx.ModelProto, contract: Contract, path: Path) -> None:
    """Write `model` with the contract as JSON in its metadata under `contract`.

    The metadata of a streaming graph's state are kept. Doc strings, the exporter's notes (file
    names, versions) and inferred shapes are dropped. The same model and contract give the same
    bytes; the file is written atomically.
    """
    clean = strip(model)
    clean.metadata_props.extend(entry for entry in model.metadata_props if entry.key == STREAM)
    entry = clean.metadata_props.add()
    entry.key, entry.value = "contract", contract.to_json()
    write_bytes(path, clean.SerializeToString(deterministic=True), OTHER_CACHE)


def external_files(path: Path) -> tuple[Path, ...]:
    """Return the external data files that an ONNX file refers to, each once, whether they exist.

    Raises:
        google.protobuf.message.DecodeError: the file is no ONNX model.
    """
    model = onnx.load(path, load_external_data=False)
    names = (
        entry.value
        for tensor in _tensors(model)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    )
    return tuple(path.parent / name for name in dict.fromkeys(names))


def size_kib(path: Path) -> float:
    """Return the size of a model including its external data files."""
    return sum(file.stat().st_size for file in (path, *external_files(path))) / 1024


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Yield every tensor anywhere in a protobuf message."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(part)


def load(path: Path) -> tuple[onnx.ModelProto, Contract]:
    """Return the model, with the contract in its metadata, and the contract.

    Raises:
        UsageError: the file is no ONNX model, or holds no contract.
    """
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise UsageError(f"{path}: expected an ONNX model: {error}") from error
    for entry in model.metadata_props:
        if entry.key == "contract":
            return model, Contract.from_json(entry.value)
    raise UsageError(f"{path}: holds no contract; expected a model written by edgekws")


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with only the graph: no doc strings, metadata, versions, inferred shapes."""
    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    for field in ("doc_string", "metadata_props", "producer_version", "domain", "model_version"):
        clean.ClearField(field)
    clean.producer_name = "edgekws"
    clean.ir_version = IR_VERSION
    graph = clean.graph
    graph.name = "edgekws"
    graph.ClearField("value_info")
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return clean
