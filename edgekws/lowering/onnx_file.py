"""ONNX files: the model with its contract, and nothing that tells where or when it was made."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edgekws.core.contract import Contract
from edgekws.errors import UsageError
from edgekws.lowering.stream_state import KEY as STREAM

IR_VERSION = 10
"""Written into every file, so that the installed onnx does not decide it."""


def save(model: onnx.ModelProto, contract: Contract, path: Path) -> None:
    """Write `model` with the contract as JSON in its metadata under `contract`.

    How a streaming graph is fed stays in its metadata. Doc strings, the exporter's notes (file
    names, versions) and inferred shapes are left out. The same model and contract give the same
    bytes; the file appears whole or not at all.
    """
    clean = strip(model)
    clean.metadata_props.extend(entry for entry in model.metadata_props if entry.key == STREAM)
    entry = clean.metadata_props.add()
    entry.key, entry.value = "contract", contract.to_json()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(clean.SerializeToString(deterministic=True))
    partial.replace(path)


def load(path: Path) -> tuple[onnx.ModelProto, Contract]:
    """Return the model, its contract still in its metadata, and the contract.

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
    """Return a copy with the graph alone: no doc strings, metadata, versions, inferred shapes."""
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
