"""What a model hears in the streams of a split, by the runtime of its bundle, on all cores."""

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
"""About so much audio is heard by one process."""


def listen(
    split: Split, source: Source, cache: Path, emit: Emit, model: Path, stream: Path | None
) -> Path:
    """Let an ONNX model and its streaming form hear the streams of `split`, packed as in a bundle.

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
    """Let a bundle hear the streams of `split` by the `detect.py` at `runtime`, and return where.

    The bundle's own runs only where the bundle was packed here. Each recording is a stream of its
    own, in an interpreter without torch. The result does not depend on thresholds, smoothing and
    refractory time: that of another bundle of the same models comes from the cache.

    Raises:
        MachineError: the runtime failed; the message ends with what it said.
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
        recordings = [one.path for one in read_streams(streams)]
        np.savez_compressed(
            folder / COUNTS, **_heard(bundle, runtime, recordings, split, folder, emit)
        )

    return build_folder(cache / "listening" / sha256_of(key), build, emit)


def _heard(
    bundle: Path,
    runtime: Path,
    recordings: Sequence[Path],
    split: Split,
    folder: Path,
    emit: Emit,
) -> dict[str, Any]:
    """Return what `hear_streams` writes of all recordings, heard in several processes."""
    parts = _parts(recordings)

    def run(number: int) -> Path:
        output = folder / f"part-{number}.npz"
        _run(runtime, bundle, output, [recordings[i] for i in parts[number]])
        return output

    outputs = in_parallel(run, len(parts), emit, f"listening to {split}", 1, unit="parts")
    joined: dict[str, Any] = {}
    seconds = np.zeros(len(recordings))
    for output, part in zip(outputs, parts, strict=True):
        with np.load(output) as heard:
            joined["first_s"] = heard["first_s"]
            seconds[part] = heard["seconds"]
            joined |= {f"counts_{i}": heard[f"counts_{n}"] for n, i in enumerate(part)}
        output.unlink()
    return joined | {"seconds": seconds}


def _parts(recordings: Sequence[Path]) -> list[list[int]]:
    """Return the numbers of the recordings in parts of about the same length."""
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
    """Return how an ONNX model does on the dev streams, and the details for the report.

    Thresholds are chosen on the same streams for a rate of false alarms: what the model can reach.
    """
    heard = listen("dev", source, cache, emit, artifact.path, None)
    key = [heard.name, false_alarms_per_hour, closure(["edgekws.spotting.calibration"])]

    def build(folder: Path) -> None:
        _, made = calibrate_on(read_scores(heard), false_alarms_per_hour, TOLERANCE_S, emit, {})
        (folder / "evaluation.json").write_text(json.dumps(as_details(made)), encoding="utf-8")

    folder = build_folder(cache / "measurements" / sha256_of(key), build, emit)
    details: dict[str, Any] = json.loads((folder / "evaluation.json").read_text("utf-8"))
    made = from_details(details)
    assert made is not None
    return event_measurements(made), details


def judge(
    bundle: Path, runtime: Path, split: Split, source: Source, cache: Path, emit: Emit
) -> tuple[tuple[Measurement, ...], dict[str, Any]]:
    """Return how a bundle does on the streams of `split` with its own settings, and the details."""
    heard = hear(bundle, runtime, split, source, cache, emit)
    settings = json.loads((bundle / MANIFEST).read_text("utf-8"))["detection"]
    made = evaluate_settings(read_scores(heard), settings, TOLERANCE_S, read_notes(heard))
    return event_measurements(made), as_details(made) | {"speech": summary(made)}
