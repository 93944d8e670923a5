"""Labels for unlabelled audio, from a bundle."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.reading import AUDIO_SUFFIXES, read_audio
from edgekws.bundle.verify import verify
from edgekws.core.events import Emit, Event, progress
from edgekws.errors import DataError, MachineError
from edgekws.runtime.detect import Classifier


@dataclass(frozen=True)
class Predicted:
    """How many rows were written, and the files that could not be read, each with the reason."""

    rows: int
    unreadable: tuple[tuple[str, str], ...]


def predict(bundle: Path, folder: Path, output: Path, emit: Emit) -> Predicted:
    """Write `file,label,score` for every audio file under `folder`, sorted by name.

    `file` is relative to `folder`. The table appears under its name only when it is complete.

    Raises:
        DataError: no bundle, no audio there, or not one file that can be read.
        MachineError: `output` cannot be written.
    """
    _check_output(output)
    files = _audio_files(folder)
    for note in verify(bundle).notes:
        emit(Event("warning", f"{bundle}: {note}"))
    classifier = Classifier(bundle)
    rows, unreadable = [], []
    for done, file in enumerate(files):
        name = file.relative_to(folder).as_posix()
        progress(emit, "predict", done, len(files))
        try:
            label, score = classifier.classify(_samples(file, classifier.sample_rate))
        except DataError as error:
            unreadable.append((name, str(error)))
            emit(Event("warning", str(error)))
            continue
        rows.append((name, label, f"{score:.6f}"))
    progress(emit, "predict", len(files), len(files))
    if not rows:
        raise DataError(f"{folder}: none of its {len(files)} audio files can be read")
    _write(output, rows)
    return Predicted(len(rows), tuple(unreadable))


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise MachineError(f"{output}: is a folder; name the file to write with --output")


def _samples(file: Path, sample_rate: int) -> NDArray[np.float32]:
    samples = read_audio(file, sample_rate)
    if not len(samples):
        raise DataError(f"{file}: holds no samples; record it again, or leave it out")
    return samples


def _audio_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that holds the audio")
    files = [p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and not p.is_dir()]
    if not files:
        raise DataError(f"{folder} holds no audio ({', '.join(sorted(AUDIO_SUFFIXES))})")
    return sorted(files)


def _write(output: Path, rows: list[tuple[str, str, str]]) -> None:
    fresh = output.with_name(f".{output.name}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("file", "label", "score"))
            writer.writerows(rows)
        fresh.replace(output)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise MachineError(
            f"{output}: cannot be written ({error}); name another --output"
        ) from error
