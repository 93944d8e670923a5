"""Checks of a bundle's manifest against its models and labels."""

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
from edgekws.runtime.front_end import MICROFRONTEND

SCHEMA = 1

LONGEST_MS = 60_000.0
"""Maximum of every detection setting."""

_LEAST_MS = {
    "hop_ms": 0.0,
    "smoothing_ms": 0.0,
    "refractory_ms": 0.0,
    "keyword_ms": 0.0,
    "timing_offset_ms": -LONGEST_MS,
}

_LEAST_MS_EACH = {"keyword_lengths_ms": 0.0, "timing_offsets_ms": -LONGEST_MS}
"""The same for settings of single keywords."""

LONGEST_WINDOW_S = 60.0
"""Maximum length of a window."""

Shapes = dict[str, tuple[object, ...]]
"""The shape of one sample of each input or output of a model, by name."""

Descriptions = dict[str, dict[str, Any]]
"""The result of `describe_models`, by file name."""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        DataError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} cannot be read ({error}); pack the bundle again") from error


def check_declared(folder: Path) -> tuple[Contract, str]:
    """Return the contract, and the version of edgekws that packed the bundle.

    The models are loaded in a separate process, after a check of their operators.

    Raises:
        DataError: the manifest has another schema, or does not match the models or the labels; a
            model has an operator that bundles do not use, or cannot be loaded.
    """
    manifest = _manifest(folder)
    contract = _contract(manifest)
    labels = (folder / "labels.txt").read_bytes()
    if labels != "".join(f"{label}\n" for label in contract.labels).encode():
        raise DataError("labels.txt does not hold the labels of manifest.json; pack it again")
    if any(unicodedata.category(c) == "Cc" for label in contract.labels for c in label):
        raise DataError("labels.txt holds control characters, which could harm a terminal")
    descriptions = _descriptions(folder)
    for name, inputs, outputs in _expected(contract):
        _check_model(detect.model_file(folder, name), inputs, outputs, contract, descriptions)
    if "detection" in manifest:
        _check_detection(folder, manifest["detection"], contract, descriptions)
    return contract, str(manifest.get("edgekws"))


def read_contract(folder: Path) -> Contract:
    """Return the contract in the manifest of a bundle.

    Raises:
        DataError: there is no valid contract.
    """
    return _contract(_manifest(folder))


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise DataError(f"manifest.json does not have schema {SCHEMA}; use the edgekws it is from")
    return manifest


def _contract(manifest: dict[str, Any]) -> Contract:
    try:
        contract = Contract.from_json(json.dumps(manifest.get("contract")))
        front_end = contract.front_end
        expected = (front_end.n_mels, front_end.n_frames)
        fades = front_end.running_seconds is None or 0 <= front_end.decay < 1
    except (ValueError, ArithmeticError) as error:  # the latter for impossible front-end numbers
        reason = str(error).splitlines()[0]
        raise DataError(f"manifest.json holds no contract ({reason}); pack it again") from error
    if not front_end.window_s <= LONGEST_WINDOW_S:
        raise DataError(f"manifest.json: window_s is more than {LONGEST_WINDOW_S:g}; pack it again")
    if not fades:  # including NaN
        raise DataError("manifest.json: the mean of the front end does not fade; pack it again")
    if contract.input_shape not in (expected, (1, *expected)):
        raise DataError(
            f"manifest.json: input_shape {contract.input_shape} is not the {expected} of its "
            "front end; pack it again"
        )
    return contract


def _expected(contract: Contract) -> Iterator[tuple[str, Shapes, Shapes]]:
    front_end = contract.front_end
    features = (front_end.n_mels, front_end.n_frames)
    yield "frontend", {"waveform": (front_end.window_samples,)}, {"features": features}
    yield "model", {"features": contract.input_shape}, {"logits": (len(contract.labels),)}


def _check_detection(
    folder: Path, settings: Any, contract: Contract, descriptions: Descriptions
) -> None:
    if problem := _setting_problem(settings, contract):
        raise DataError(f"manifest.json: detection.{problem}; pack it again")
    front_end, hop_frames = contract.front_end, settings["hop_frames"]
    samples = front_end.n_fft + (hop_frames - 1) * front_end.hop_length
    inputs: Shapes = {"waveform": (samples,)}
    outputs: Shapes = {"features": (front_end.n_mels, hop_frames)}
    if front_end.kind == MICROFRONTEND:
        inputs["noise"] = outputs["next_noise"] = (2, front_end.n_mels)
    path = detect.model_file(folder, "frontend_stream")
    if not path.is_file():
        raise DataError(f"{path.name} is missing; copy the whole bundle again")
    _check_model(path, inputs, outputs, contract, descriptions)
    streaming = detect.model_file(folder, "stream")
    if streaming.is_file():
        _check_stream(streaming, hop_frames, contract, descriptions)


def _setting_problem(settings: Any, contract: Contract) -> str:
    """Return the first invalid setting and the reason, empty if there is none."""
    if not isinstance(settings, dict):
        return "* is not a table"
    hop_frames, thresholds = settings.get("hop_frames"), settings.get("thresholds")
    if type(hop_frames) is not int or not 1 <= hop_frames <= contract.front_end.n_frames:
        return f"hop_frames {hop_frames} is not a number of frames within a window"
    for key, least in _LEAST_MS.items():
        if not _number(settings.get(key), least, LONGEST_MS):
            return f"{key} {settings.get(key)} is not from {least:g} to {LONGEST_MS:g}"
    front_end = contract.front_end
    try:
        frame_hop_ms = 1000 * hop_frames * front_end.hop_length / front_end.sample_rate
        detect.decision_hops(settings["hop_ms"], frame_hop_ms)
    except ValueError as error:
        return f"hop_ms: {error}"
    words = [label for label in contract.labels if label not in detect.FILLERS]
    if not isinstance(thresholds, dict) or sorted(thresholds) != sorted(words):
        return "thresholds does not hold exactly one for every keyword"
    if invalid := [word for word in words if not _number(thresholds[word], 0.0, math.inf)]:
        return f"thresholds.{invalid[0]} {thresholds[invalid[0]]} is not a number from 0 up"
    return _placing_problem(settings, words)


def _placing_problem(settings: dict[str, Any], words: list[str]) -> str:
    """Return what is invalid in the settings of single keywords, empty if nothing is."""
    for key, least in _LEAST_MS_EACH.items():
        each = settings.get(key, {})
        if not isinstance(each, dict) or not set(each) <= set(words):
            return f"{key} does not hold values of keywords"
        for word, value in each.items():
            if not _number(value, least, LONGEST_MS):
                return f"{key}.{word} {value} is not from {least:g} to {LONGEST_MS:g}"
    return ""


def _number(value: object, least: float, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most


def _check_stream(
    path: Path, hop_frames: int, contract: Contract, descriptions: Descriptions
) -> None:
    """Check the inputs and outputs of a streaming network against its metadata and the manifest."""
    model = descriptions[path.name]
    try:
        stream: Stream = TypeAdapter(Stream).validate_json(model["metadata"][KEY])
    except (KeyError, ValueError) as error:
        raise DataError(f"{path.name} has no valid stream metadata; pack it again") from error
    *leading, n_mels, n_frames = contract.input_shape
    states = {state.input: state.shape for state in stream.states}
    inputs, outputs = _shapes(model["inputs"]), _shapes(model["outputs"])
    matches = (
        (stream.hop_frames, stream.window_frames) == (hop_frames, n_frames)
        and inputs.pop("features", ())[:-1] == (1, *leading, n_mels)
        and inputs == states
        and outputs.pop("logits", ())[1:] == (len(contract.labels),)
        and set(outputs) == {state.output for state in stream.states}
    )
    if not matches:
        raise DataError(
            f"{path.name} has other inputs or outputs than its metadata and manifest.json state; "
            "pack it again"
        )


def _descriptions(folder: Path) -> Descriptions:
    """Return the descriptions of a bundle's models, after a check of their operators."""
    files = [detect.model_file(folder, name) for name in (*MODELS, *STREAMING)]
    present = [path for path in files if path.is_file()]
    for path in present:
        if path.suffix == ".onnx":
            operators.check_onnx(path)
    with scratch_folder("models") as scratch:
        output = scratch / "descriptions.json"
        confined.run(describe_models.__file__, *(str(p.resolve()) for p in (output, *present)))
        descriptions: Descriptions = json.loads(output.read_text("utf-8"))
    for name, model in descriptions.items():
        if "error" in model:
            raise DataError(f"{name}: onnxruntime cannot load it: {model['error']}")
        operators.check(name, model.get("operators", ()), converted=True)
    return descriptions


def _shapes(tensors: list[tuple[str, str, list[Any]]]) -> Shapes:
    """Return the shapes of a model's inputs or outputs by name."""
    return {name: tuple(shape) for name, _, shape in tensors}


def _check_model(
    path: Path, inputs: Shapes, outputs: Shapes, contract: Contract, descriptions: Descriptions
) -> None:
    model = descriptions[path.name]
    for verb, expected, tensors in (
        ("takes", inputs, model["inputs"]),
        ("gives", outputs, model["outputs"]),
    ):
        batches = [shape[0] for _, _, shape in tensors if shape]
        if fixed := [size for size in batches if isinstance(size, int) and size > 1]:
            raise DataError(
                f"{path.name} {verb} {fixed[0]} clips at once, but the runtime of a bundle passes "
                "one at a time; export it with a batch of 1, or a free one, and pack it again"
            )
        shapes = {name: shape[1:] for name, shape in _shapes(tensors).items()}
        if shapes != expected:
            raise DataError(
                f"{path.name} {verb} {shapes}, but by manifest.json it {verb} {expected} for each "
                "clip; pack it again"
            )
        if other := [kind for _, kind, _ in tensors if kind != "tensor(float)"]:
            raise DataError(f"{path.name} {verb} a {other[0]}, not a tensor(float); pack it again")
    text = model["metadata"].get("contract")
    try:
        same = text is None or Contract.from_json(text) == contract
    except ValueError:
        same = False
    if not same:
        raise DataError(f"{path.name} holds another contract than manifest.json; pack it again")
