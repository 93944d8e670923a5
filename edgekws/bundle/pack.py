"""What is deployed: one folder with model, front end, labels, runtime, golden clips, checksums."""

import fcntl
import json
import os
import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgekws
from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import Contract
from edgekws.runtime import detect

SUMS = "SHA256SUMS"
CARD = "MODEL_CARD.md"


def pack(
    folder: Path,
    model: Path,
    contract: Contract,
    golden: NDArray[np.int16],
    origin: dict[str, Any],
) -> str:
    """Write a bundle into the empty `folder` and return its identity.

    `golden` are windows `(n, window_samples)`; `origin` says in the manifest where the model
    comes from. The model card and the checksums are added by `seal`.
    """
    import onnx

    from edgekws.audio.front_end_graph import front_end_model

    shutil.copyfile(model, folder / "model.onnx")
    front_end = front_end_model(contract.front_end, contract.normalization)
    onnx.save(front_end, str(folder / "frontend.onnx"))
    shutil.copyfile(detect.__file__, folder / "detect.py")
    (folder / "labels.txt").write_text("\n".join(contract.labels) + "\n", encoding="utf-8")
    manifest = {
        "schema": 1,
        "edgekws": edgekws.__version__,
        "contract": asdict(contract),
        "origin": origin,
    }
    _write_json(folder / "manifest.json", manifest)
    _write_golden(folder, contract, golden)
    return identity(folder)


def _write_golden(folder: Path, contract: Contract, windows: NDArray[np.int16]) -> None:
    (folder / "golden").mkdir()
    classifier = detect.Classifier(folder)
    rows = []
    for number, window in enumerate(windows):
        path = folder / "golden" / f"{number:02d}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(contract.front_end.sample_rate)
            file.writeframes(window.astype("<i2").tobytes())
        logits = classifier.logits(window.astype(np.float32) / 32768)
        label = contract.labels[int(logits.argmax())]
        rows.append({"file": path.name, "label": label, "logits": [float(x) for x in logits]})
    _write_json(folder / "golden" / "golden.json", rows)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def members(folder: Path) -> list[str]:
    """Return the names of the bundle's files, relative and sorted, without the checksums."""
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(n for n in names if n != SUMS and "__pycache__" not in n)


def identity(folder: Path) -> str:
    """Return the sha256 that results are bound to: that of all files but the model card."""
    return sha256_of({n: sha256_file(folder / n) for n in members(folder) if n != CARD})


def seal(folder: Path, card: str) -> None:
    """Add the model card and the checksums of every file."""
    (folder / CARD).write_text(card, encoding="utf-8")
    sums = (f"{sha256_file(folder / name)}  {name}\n" for name in members(folder))
    (folder / SUMS).write_text("".join(sums), encoding="utf-8")


def deliver(folder: Path, destination: Path) -> None:
    """Copy a sealed bundle to `destination`, replacing what is there in one rename.

    Raises:
        OSError: the destination cannot be written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (destination.with_name(f".{destination.name}.{x}") for x in ("new", "old"))
    with _locked(destination.parent):
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copytree(folder, fresh)
        if destination.exists():
            destination.rename(old)
        fresh.rename(destination)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep another process from delivering into `folder` at the same moment."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
