"""Run a model over the streams of a split, with the runtime of its bundle, on all cores."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekws.audio.parallel import cores, in_parallel
from edgekws.bundle import pack
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.child import raise_if_disk_full, run_child
from edgekws.core.contract import Artifact
from edgekws.core.corpus import Split
from edgekws.core.events import Emit
from edgekws.core.measurement import Measurement
from edgekws.core.scratch import scratch_folder
from edgekws.core.source_code import closure
from edgekws.core.store import build_folder
from edgekws.engine.data import Source
from edgekws.errors import MachineError
from edgekws.lowering import onnx_file
from edgekws.runtime import detect, hear_streams
from edgekws.spotting.calibration import calibrate_on
from edgekws.spotting.held_out import NOTES, TABLE, read_notes, read_streams
from edgekws.spotting.proof import summary
from edgekws.spotting.results import as_details, evaluate_settings, event_measurements, from_details
from edgekws.spotting.scores import COUNTS, MANIFEST, TOLERANCE_S, read_scores

PART_S = 600.0
"""Approximate length of audio for one process."""


def listen(
    split: Split, source: Source, cache: Path, emit: Emit, model: Path, stream: Path | None
) -> Path:
    """Run an ONNX model and its streaming form, packed as a bundle, over the streams of `split`.

    Returns the folder that `spotting.scores.read_scores` reads.
    """
    _, contract = onnx_file.load(model)
    with scratch_folder("listen") as bundle:
        no_clips = np.zeros((0, contract.front_end.window_samples), np.int16)
        pack.pack(bundle, model, contract, no_clips, {}, stream)
        return hear(bundle, bundle / "detect.py", split, source, cache, emit)


def hear(
    bundle: Path, runtime: Path, split: Split, source: Source, cache: Path, emit: Emit
) -> Path:
    """Run a bundle over the streams of `split` with the `detect.py` at `runtime`.

    Returns the folder of the result. Pass the bundle's own `detect.py` only if it was packed here.
    Each recording is a separate stream, in an interpreter without torch. The result does not
    depend on thresholds, smoothing and refractory time: bundles with the same models share it in
    the cache.

    Raises:
        MachineError: the runtime failed; the message ends with its output.
    """
    manifest = json.loads((bundle / MANIFEST).read_text("utf-8"))
    names = ("frontend_stream", "stream", "model")
    files = [path for name in names if (path := detect.model_file(bundle, name)).is_file()]
    key = {
        "files": {path.name: sha256_file(path) for path in [*files, runtime]},
        "contract": manifest["contract"],
        "decisions": [manifest["detection"][name] for name in ("hop_frames", "hop_ms")],
        "streams": source.streams_key(split),
        "source": closure(["edgekws.runtime.hear_streams", __name__]),
    }

    def build(folder: Path) -> None:
        streams = source.streams(split)
        for name in (TABLE, NOTES):
            shutil.copyfile(streams / name, folder / name)
        shutil.copyfile(bundle / MANIFEST, folder / MANIFEST)
        recordings = [recording.path for recording in read_streams(streams)]
        np.savez_compressed(
            folder / COUNTS, **_posteriors(bundle, runtime, recordings, split, folder, emit)
        )

    return build_folder(cache / "listening" / sha256_of(key), build, emit)


def _posteriors(
    bundle: Path,
    runtime: Path,
    recordings: Sequence[Path],
    split: Split,
    folder: Path,
    emit: Emit,
) -> dict[str, Any]:
    """Return the output of `hear_streams` for all recordings, run in several processes."""
    parts = _parts(recordings)

    def run(number: int) -> Path:
        output = folder / f"part-{number}.npz"
        _run(runtime, bundle, output, [recordings[i] for i in parts[number]])
        return output

    outputs = in_parallel(run, len(parts), emit, f"listening to {split}", 1, unit="parts")
    joined: dict[str, Any] = {}
    seconds = np.zeros(len(recordings))
    for output, part in zip(outputs, parts, strict=True):
        with np.load(output) as arrays:
            joined["first_s"] = arrays["first_s"]
            seconds[part] = arrays["seconds"]
            joined |= {f"counts_{i}": arrays[f"counts_{n}"] for n, i in enumerate(part)}
        output.unlink()
    return joined | {"seconds": seconds}


def _parts(recordings: Sequence[Path]) -> list[list[int]]:
    """Return the indices of the recordings in parts of about the same length."""
    sizes = np.cumsum([path.stat().st_size for path in recordings])
    rate_bytes = 2 * 16_000
    count = max(cores(), round(sizes[-1] / rate_bytes / PART_S))
    places = np.minimum((sizes - 1) * count // sizes[-1], count - 1)
    parts = [np.flatnonzero(places == n).tolist() for n in range(count)]
    return [part for part in parts if part]


def _run(runtime: Path, bundle: Path, output: Path, recordings: Sequence[Path]) -> None:
    paths = (runtime, bundle, output, *recordings)
    done = run_child(
        hear_streams.__file__, *(str(path.resolve()) for path in paths), flags=("-I", "-B")
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise_if_disk_full(words)
        raise MachineError(f"the bundle's runtime failed in continuous audio: {words[-2000:]}")


def measure_on_dev(
    artifact: Artifact, false_alarms_per_hour: float, source: Source, cache: Path, emit: Emit
) -> tuple[tuple[Measurement, ...], dict[str, Any]]:
    """Return the results of an ONNX model on the dev streams, and the details for the report.

    Thresholds are chosen on the same streams for a rate of false alarms: the best case.
    """
    scored = listen("dev", source, cache, emit, artifact.path, None)
    key = [scored.name, false_alarms_per_hour, closure(["edgekws.spotting.calibration"])]

    def build(folder: Path) -> None:
        scores = read_scores(scored)
        _, chosen = calibrate_on(scores, false_alarms_per_hour, TOLERANCE_S, emit, {})
        (folder / "evaluation.json").write_text(json.dumps(as_details(chosen)), encoding="utf-8")

    folder = build_folder(cache / "measurements" / sha256_of(key), build, emit)
    details: dict[str, Any] = json.loads((folder / "evaluation.json").read_text("utf-8"))
    evaluation = from_details(details)
    assert evaluation is not None
    return event_measurements(evaluation), details


def judge(
    bundle: Path, runtime: Path, split: Split, source: Source, cache: Path, emit: Emit
) -> tuple[tuple[Measurement, ...], dict[str, Any]]:
    """Return a bundle's results on the streams of `split` with its settings, and the details."""
    scored = hear(bundle, runtime, split, source, cache, emit)
    settings = json.loads((bundle / MANIFEST).read_text("utf-8"))["detection"]
    evaluation = evaluate_settings(read_scores(scored), settings, TOLERANCE_S, read_notes(scored))
    return event_measurements(evaluation), as_details(evaluation) | {"speech": summary(evaluation)}
