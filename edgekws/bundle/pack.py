"""Pack a bundle: one folder with model, front end, labels, runtime, golden clips, checksums."""

import json
import shutil
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.about import version
from edgekws.bundle.members import CARD, MANIFEST, SUMS, is_member
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import Contract
from edgekws.runtime import detect
from edgekws.runtime.front_end import FrontEnd

HOP_MS = 20.0
"""Approximate length in ms of the new frames per hop of the streaming front end."""


def pack(
    folder: Path,
    model: Path,
    contract: Contract,
    golden: NDArray[np.int16],
    origin: dict[str, Any],
    stream: Path | None = None,
    detection: dict[str, Any] | None = None,
) -> str:
    """Write a bundle into the empty `folder` and return its identity.

    `golden` are windows `(n, window_samples)`; `origin` is the origin of the model, for the
    manifest; `stream` is the model's streaming form, if it has one; `detection` are settings of
    detection that were chosen on recordings. `seal` adds the model card and the checksums.
    """
    import onnx

    from edgekws.audio.front_ends import front_end_model, hop_front_end_model

    shutil.copyfile(model, folder / "model.onnx")
    if stream is not None:
        shutil.copyfile(stream, folder / "stream.onnx")
    detection = detection or default_detection(contract, stream)
    one_hop = hop_front_end(contract.front_end, detection["hop_frames"])
    graphs = {
        "frontend": front_end_model(contract.front_end, contract.normalization),
        "frontend_stream": hop_front_end_model(one_hop, contract.normalization),
    }
    for name, graph in graphs.items():
        onnx.save(graph, str(folder / f"{name}.onnx"))
    shutil.copyfile(detect.__file__, folder / "detect.py")
    (folder / "labels.txt").write_text("\n".join(contract.labels) + "\n", encoding="utf-8")
    manifest = {
        "schema": 1,
        "edgekws": version(),
        "contract": json.loads(contract.to_json()),
        "origin": origin,
        "detection": detection,
    }
    _write_json(folder / MANIFEST, manifest)
    _write_golden(folder, contract, golden)
    return identity(folder)


def hop_front_end(front_end: FrontEnd, hop_frames: int) -> FrontEnd:
    """Return the front end with a window of `hop_frames` frames."""
    samples = front_end.n_fft + (hop_frames - 1) * front_end.hop_length
    return replace(front_end, window_s=samples / front_end.sample_rate)


def default_detection(contract: Contract, stream: Path | None) -> dict[str, Any]:
    """Return the detection settings before calibration.

    There is a decision every hop of the streaming form or, without one, about every 100 ms. A
    keyword is assumed to fill 60 % of the window, 0.6 s at most, and to be centred in the window
    when its score peaks, as in the training clips.
    """
    front_end = contract.front_end
    frame_ms = 1000 * front_end.hop_length / front_end.sample_rate
    hop_frames = _stream_hop(stream) if stream else max(1, round(HOP_MS / frame_ms))
    hop_ms = hop_frames * frame_ms
    keyword_ms = min(600.0, 600 * front_end.window_s)
    return {
        "hop_frames": hop_frames,
        "hop_ms": hop_ms if stream else max(1, round(100 / hop_ms)) * hop_ms,
        "smoothing_ms": 200.0,
        "refractory_ms": 500.0,
        "keyword_ms": keyword_ms,
        "timing_offset_ms": (1000 * front_end.window_s - keyword_ms) / 2,
        "thresholds": {word: 0.7 for word in contract.labels if word not in detect.FILLERS},
        "source": "default",
    }


def _stream_hop(stream: Path) -> int:
    metadata = detect.session(stream, threads=1).get_modelmeta().custom_metadata_map
    hop_frames: int = json.loads(metadata["stream"])["hop_frames"]
    return hop_frames


def _write_golden(folder: Path, contract: Contract, windows: NDArray[np.int16]) -> None:
    (folder / "golden").mkdir()
    classifier = detect.Classifier(folder)
    streaming = (folder / "stream.onnx").is_file()
    network = detect.streaming_network(folder) if streaming else None
    rows = []
    for number, window in enumerate(windows):
        path = folder / "golden" / f"{number:02d}.wav"
        with path.open("wb") as raw, wave.open(raw, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(contract.front_end.sample_rate)
            file.writeframes(window.astype("<i2").tobytes())
        waveform = window.astype(np.float32) / 32768
        logits = classifier.logits(waveform)
        label = contract.labels[int(logits.argmax())]
        row = {"file": path.name, "label": label, "logits": [float(x) for x in logits]}
        if isinstance(network, detect.StreamingNetwork):
            logits = network.window_logits(classifier.features(waveform))
            row["stream_logits"] = [float(x) for x in logits]
        rows.append(row)
    _write_json(folder / "golden" / "golden.json", rows)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def members(folder: Path) -> list[str]:
    """Return the sorted relative names of the bundle's files, without the checksums."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if is_member(name) and name != SUMS)


def identity(folder: Path) -> str:
    """Return the bundle's sha256, over all files except the model card and the checksums."""
    return sha256_of({n: sha256_file(folder / n) for n in members(folder) if n != CARD})


def seal(folder: Path, card: str) -> None:
    """Add the model card and the checksums of every file."""
    (folder / CARD).write_text(card, encoding="utf-8")
    sums = (f"{sha256_file(folder / name)}  {name}\n" for name in members(folder))
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")
