"""What a bundle's manifest declares, held against its models and its labels."""

import json
import math
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgekws.bundle import confined, describe_models, operators
from edgekws.bundle.members import MODELS, STREAMING
from edgekws.core.contract import Contract
from edgekws.core.scratch import scratch_folder
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

LONGEST_WINDOW_S = 60.0
"""No window is longer."""

Ends = dict[str, tuple[object, ...]]
"""Inputs or outputs of a model: the shape of one sample of each."""

Described = dict[str, dict[str, Any]]
"""What `describe_models` tells of each model, by file name."""


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

    The models are loaded in a process of their own, after a look at what they compute.

    Raises:
        DataError: the manifest is of another schema, or does not fit the models or the labels; a
            model computes what no bundle does, or cannot be loaded.
    """
    manifest = _manifest(folder)
    contract = _contract(manifest)
    written = (folder / "labels.txt").read_bytes()
    if written != "".join(f"{label}\n" for label in contract.labels).encode():
        raise DataError("labels.txt does not hold the labels of manifest.json; pack it again")
    if any(unicodedata.category(c) == "Cc" for label in contract.labels for c in label):
        raise DataError("labels.txt holds control characters, which could harm a terminal")
    described = _described(folder)
    for name, given, taken in _expected(contract):
        _check_model(detect.model_file(folder, name), given, taken, contract, described)
    if "detection" in manifest:
        _check_detection(folder, manifest["detection"], contract, described)
    return contract, str(manifest.get("edgekws"))


def read_contract(folder: Path) -> Contract:
    """Return the contract that the manifest of a bundle holds.

    Raises:
        DataError: it holds none.
    """
    return _contract(_manifest(folder))


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise DataError(f"manifest.json is not of schema {SCHEMA}; use the edgekws that packed it")
    return manifest


def _contract(manifest: dict[str, Any]) -> Contract:
    try:
        contract = Contract.from_json(json.dumps(manifest.get("contract")))
        front_end = contract.front_end
        expected = (front_end.n_mels, front_end.n_frames)
    except (ValueError, ArithmeticError) as error:  # also numbers that no front end can have
        reason = str(error).splitlines()[0]
        raise DataError(f"manifest.json holds no contract ({reason}); pack it again") from error
    if not front_end.window_s <= LONGEST_WINDOW_S:
        raise DataError(f"manifest.json: window_s is more than {LONGEST_WINDOW_S:g}; pack it again")
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


def _check_detection(folder: Path, settings: Any, contract: Contract, described: Described) -> None:
    if wrong := _wrong_setting(settings, contract):
        raise DataError(f"manifest.json: detection.{wrong}; pack it again")
    front_end, hop_frames = contract.front_end, settings["hop_frames"]
    given: Ends = {"waveform": (front_end.n_fft + (hop_frames - 1) * front_end.hop_length,)}
    taken: Ends = {"features": (front_end.n_mels, hop_frames)}
    path = detect.model_file(folder, "frontend_stream")
    if not path.is_file():
        raise DataError(f"{path.name} is missing; copy the whole bundle again")
    _check_model(path, given, taken, contract, described)
    streaming = detect.model_file(folder, "stream")
    if streaming.is_file():
        _check_stream(streaming, hop_frames, contract, described)


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
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most


def _check_stream(path: Path, hop_frames: int, contract: Contract, described: Described) -> None:
    """Check that a streaming form is fed as its metadata and the manifest say."""
    model = described[path.name]
    try:
        stream: Stream = TypeAdapter(Stream).validate_json(model["metadata"][KEY])
    except (KeyError, ValueError) as error:
        raise DataError(f"{path.name} does not tell how it is fed; pack it again") from error
    *leading, n_mels, n_frames = contract.input_shape
    states = {state.input: state.shape for state in stream.states}
    given, taken = _ends(model["inputs"]), _ends(model["outputs"])
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


def _described(folder: Path) -> Described:
    """Return what the models of a bundle take, give and tell; all have operators of bundles."""
    files = [detect.model_file(folder, name) for name in (*MODELS, *STREAMING)]
    present = [path for path in files if path.is_file()]
    for path in present:
        if path.suffix == ".onnx":
            operators.check_onnx(path)
    with scratch_folder("models") as scratch:
        told = scratch / "told.json"
        confined.run(describe_models.__file__, *(str(p.resolve()) for p in (told, *present)))
        described: Described = json.loads(told.read_text("utf-8"))
    for name, model in described.items():
        if "error" in model:
            raise DataError(f"{name}: onnxruntime cannot load it: {model['error']}")
        operators.check(name, model.get("operators", ()), converted=True)
    return described


def _ends(ends: list[tuple[str, str, list[Any]]]) -> Ends:
    """Return the shapes of a model's inputs or outputs by name."""
    return {name: tuple(shape) for name, _, shape in ends}


def _check_model(
    path: Path, given: Ends, taken: Ends, contract: Contract, described: Described
) -> None:
    model = described[path.name]
    for what, expected, found in (
        ("takes", given, model["inputs"]),
        ("gives", taken, model["outputs"]),
    ):
        first = [shape[0] for _, _, shape in found if shape]
        if many := [size for size in first if isinstance(size, int) and size > 1]:
            raise DataError(
                f"{path.name} {what} {many[0]} clips at once, but the runtime of a bundle hears "
                "one at a time; export it with a batch of 1, or a free one, and pack it again"
            )
        shapes = {name: shape[1:] for name, shape in _ends(found).items()}
        if shapes != expected:
            raise DataError(
                f"{path.name} {what} {shapes}, but by manifest.json it {what} {expected} for each "
                "clip; pack it again"
            )
        if other := [kind for _, kind, _ in found if kind != "tensor(float)"]:
            raise DataError(f"{path.name} {what} a {other[0]}, not a tensor(float); pack it again")
    own = model["metadata"].get("contract")
    try:
        same = own is None or Contract.from_json(own) == contract
    except ValueError:
        same = False
    if not same:
        raise DataError(f"{path.name} holds another contract than manifest.json; pack it again")
