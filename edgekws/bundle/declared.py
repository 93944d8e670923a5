"""What a bundle's manifest declares, held against its models and its labels."""

import json
import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgekws.core.contract import Contract
from edgekws.errors import DataError
from edgekws.lowering.stream_state import KEY, Stream
from edgekws.runtime import detect

SCHEMA = 1

LONGEST_MS = 60_000.0
"""No setting of detection is longer."""

_LEAST_MS = {
    "hop_ms": 0.0,
    "smoothing_ms": 0.0,
    "refractory_ms": 0.0,
    "keyword_ms": 0.0,
    "timing_offset_ms": -LONGEST_MS,
}

Ends = dict[str, tuple[object, ...]]
"""Inputs or outputs of a model: the shape of one sample of each."""


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} cannot be read ({error}); pack the bundle again") from error


def check_declared(folder: Path) -> tuple[Contract, str]:
    """Return the contract, and the version of edgekws that packed the bundle.

    Raises:
        DataError: the manifest is of another schema, or does not fit the models or the labels.
    """
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise DataError(f"manifest.json is not of schema {SCHEMA}; use the edgekws that packed it")
    contract = _contract(manifest)
    written = (folder / "labels.txt").read_bytes()
    if written != "".join(f"{label}\n" for label in contract.labels).encode():
        raise DataError("labels.txt does not hold the labels of manifest.json; pack it again")
    if any(unicodedata.category(c) == "Cc" for label in contract.labels for c in label):
        raise DataError("labels.txt holds control characters, which could harm a terminal")
    for name, given, taken in _expected(contract):
        _check_model(detect.model_file(folder, name), given, taken, contract)
    if "detection" in manifest:
        _check_detection(folder, manifest["detection"], contract)
    return contract, str(manifest.get("edgekws"))


def _contract(manifest: dict[str, Any]) -> Contract:
    try:
        contract = Contract.from_json(json.dumps(manifest.get("contract")))
        front_end = contract.front_end
        expected = (front_end.n_mels, front_end.n_frames)
    except (ValueError, ArithmeticError) as error:  # also numbers that no front end can have
        reason = str(error).splitlines()[0]
        raise DataError(f"manifest.json holds no contract ({reason}); pack it again") from error
    if contract.input_shape not in (expected, (1, *expected)):
        raise DataError(
            f"manifest.json: input_shape {contract.input_shape} is not the {expected} of its "
            "front end; pack it again"
        )
    return contract


def _expected(contract: Contract) -> Iterator[tuple[str, Ends, Ends]]:
    front_end = contract.front_end
    features = (front_end.n_mels, front_end.n_frames)
    yield "frontend", {"waveform": (front_end.window_samples,)}, {"features": features}
    yield "model", {"features": contract.input_shape}, {"logits": (len(contract.labels),)}


def _check_detection(folder: Path, settings: Any, contract: Contract) -> None:
    if wrong := _wrong_setting(settings, contract):
        raise DataError(f"manifest.json: detection.{wrong}; pack it again")
    front_end, hop_frames = contract.front_end, settings["hop_frames"]
    given: Ends = {"waveform": (front_end.n_fft + (hop_frames - 1) * front_end.hop_length,)}
    taken: Ends = {"features": (front_end.n_mels, hop_frames)}
    path = detect.model_file(folder, "frontend_stream")
    if not path.is_file():
        raise DataError(f"{path.name} is missing; copy the whole bundle again")
    _check_model(path, given, taken, contract)
    streaming = detect.model_file(folder, "stream")
    if streaming.is_file():
        _check_stream(streaming, hop_frames, contract)


def _wrong_setting(settings: Any, contract: Contract) -> str:
    """Name the first setting that cannot be, with the reason; empty where there is none."""
    if not isinstance(settings, dict):
        return "* is not a table"
    hop_frames, thresholds = settings.get("hop_frames"), settings.get("thresholds")
    if type(hop_frames) is not int or not 1 <= hop_frames <= contract.front_end.n_frames:
        return f"hop_frames {hop_frames} is no number of frames of a window"
    for key, least in _LEAST_MS.items():
        if not _number(settings.get(key), least, LONGEST_MS):
            return f"{key} {settings.get(key)} is not from {least:g} to {LONGEST_MS:g}"
    front_end = contract.front_end
    try:
        own_ms = 1000 * hop_frames * front_end.hop_length / front_end.sample_rate
        detect.decision_hops(settings["hop_ms"], own_ms)
    except ValueError as error:
        return f"hop_ms: {error}"
    words = [label for label in contract.labels if label not in detect.FILLERS]
    if not isinstance(thresholds, dict) or sorted(thresholds) != sorted(words):
        return "thresholds does not hold one for every keyword, and for nothing else"
    if bad := [word for word in words if not _number(thresholds[word], 0.0, math.inf)]:
        return f"thresholds.{bad[0]} {thresholds[bad[0]]} is not a number from 0 up"
    return ""


def _number(value: object, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def _check_stream(path: Path, hop_frames: int, contract: Contract) -> None:
    """Check that a streaming form is fed as its metadata and the manifest say."""
    session = _session(path)
    try:
        told = session.get_modelmeta().custom_metadata_map[KEY]
        stream: Stream = TypeAdapter(Stream).validate_json(told)
    except (KeyError, ValueError) as error:
        raise DataError(f"{path.name} does not tell how it is fed; pack it again") from error
    *leading, n_mels, n_frames = contract.input_shape
    states = {state.input: state.shape for state in stream.states}
    given = {end.name: tuple(end.shape) for end in session.get_inputs()}
    taken = {end.name: tuple(end.shape) for end in session.get_outputs()}
    fits = (
        (stream.hop_frames, stream.window_frames) == (hop_frames, n_frames)
        and given.pop("features", ())[:-1] == (1, *leading, n_mels)
        and given == states
        and taken.pop("logits", ())[1:] == (len(contract.labels),)
        and set(taken) == {state.output for state in stream.states}
    )
    if not fits:
        raise DataError(
            f"{path.name} takes or gives something else than its metadata and manifest.json say; "
            "pack it again"
        )


def _check_model(path: Path, given: Ends, taken: Ends, contract: Contract) -> None:
    session = _session(path)
    for what, expected, found in (
        ("takes", given, session.get_inputs()),
        ("gives", taken, session.get_outputs()),
    ):
        shapes = {end.name: tuple(end.shape[1:]) for end in found}
        if shapes != expected:
            raise DataError(
                f"{path.name} {what} {shapes}, but by manifest.json it {what} {expected} for each "
                "clip; pack it again"
            )
    own = session.get_modelmeta().custom_metadata_map.get("contract")
    try:
        same = own is None or Contract.from_json(own) == contract
    except ValueError:
        same = False
    if not same:
        raise DataError(f"{path.name} holds another contract than manifest.json; pack it again")


def _session(path: Path) -> Any:
    """Load a model as it is stored; nothing is run, not even to fold a constant."""
    import onnxruntime

    if path.suffix == ".onnx":
        _refuse_external_data(path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _onnxruntime_errors() as error:
        raise DataError(f"{path.name}: onnxruntime cannot load it: {error}") from error


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return onnxruntime's exceptions, which share no base of their own, and `RuntimeError`."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
    return (*own, RuntimeError)


def _refuse_external_data(path: Path) -> None:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise DataError(f"{path.name} is not an ONNX model; pack the bundle again") from error
    if _stored_outside(model):
        raise DataError(
            f"{path.name} keeps weights in another file; a bundle's model holds its own"
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
