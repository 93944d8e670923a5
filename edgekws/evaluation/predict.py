"""Labels for unlabelled audio, from a bundle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekws.audio.parallel import in_parallel
from edgekws.audio.reading import read_blocks
from edgekws.bundle.archive import unpacked
from edgekws.bundle.verify import errors_named, verify_folder
from edgekws.core.canonical import file_state, sha256_of
from edgekws.core.events import Emit, Event, progress, quiet
from edgekws.core.partial_table import Partial, partial_beside
from edgekws.datasets.listing.unlabelled import Unlabelled, list_unlabelled
from edgekws.errors import DataError, UsageError
from edgekws.runtime.detect import Classifier, Loudest

BLOCK = 64
"""Clips to label on all cores between two writes."""


@dataclass(frozen=True)
class Predicted:
    """The number of written rows, and the unreadable files, each with the reason."""

    rows: int
    unreadable: tuple[tuple[str, str], ...]


def predict(bundle: Path, source: Path, output: Path, emit: Emit, top_k: int = 1) -> Predicted:
    """Write `file,label,score` for every audio file of a folder, or every row of a table, in order.

    With `top_k`, the next best labels and their scores follow. The table gets its name only when
    it is complete; until then `.NAME.part` beside it holds the finished rows, and the same call
    resumes from there. Labels are those of the bundle's own runtime, `Classifier.classify`.

    Raises:
        DataError: there is no bundle, no audio, or no readable file.
        UsageError: `top_k` does not fit the bundle, or another process is writing `output`.
        MachineError: `output` cannot be written.
    """
    head, clips = list_unlabelled(source, emit)
    with unpacked(bundle) as folder:
        with errors_named(bundle):
            verified = verify_folder(folder)
        classifier = Classifier(folder)
    for note in verified.notes:
        emit(Event("warning", f"{bundle}: {note}"))
    n_labels = len(verified.labels)
    if not 1 <= top_k <= n_labels:
        raise UsageError(f"--top-k {top_k}: from 1 to the {n_labels} labels of {bundle}")
    identity = _identity(verified.sha256, clips, top_k)
    with partial_beside(output, identity) as partial:
        _label(classifier, clips, top_k, partial, emit)
        rows = [record["row"] for record in partial.records if "row" in record]
        if not rows:
            partial.drop()
            raise DataError(f"{source}: none of its {len(clips)} audio files can be read")
        partial.finish([_head(head, top_k), *rows])
    unreadable = (record["unreadable"] for record in partial.records if "unreadable" in record)
    return Predicted(len(rows), tuple((name, why) for name, why in unreadable))


def _label(
    classifier: Classifier, clips: Sequence[Unlabelled], top_k: int, partial: Partial, emit: Emit
) -> None:
    """Add a record for every clip without one: its row, or the reason that it cannot be read."""
    if partial.foreign:
        emit(
            Event(
                "note",
                "starting over: the unfinished table is of another bundle, or of other clips",
            )
        )
    _warn(partial.records, emit)
    before = len(partial.records)
    if before:
        emit(Event("note", f"{before} of {len(clips)} are done already; resuming"))
    for start in range(before, len(clips), BLOCK):
        progress(emit, "predict", start - before, len(clips) - before, unit="clips")
        block = clips[start : start + BLOCK]
        records = _records(classifier, block, top_k)
        partial.add(records)
        _warn(records, emit)
    progress(emit, "predict", len(clips) - before, len(clips) - before)


def _records(
    classifier: Classifier, clips: Sequence[Unlabelled], top_k: int
) -> list[dict[str, Any]]:
    def record(i: int) -> dict[str, Any]:
        try:
            return {"row": [*clips[i].cells, *_best(classifier, clips[i], top_k)]}
        except DataError as error:
            return {"unreadable": [clips[i].name, str(error)]}

    return in_parallel(record, len(clips), quiet, "predict")


def _best(classifier: Classifier, clip: Unlabelled, top_k: int) -> list[str]:
    """Return labels and scores, best first; ties go to the first label, as in the runtime."""
    loudest = Loudest(classifier.window_samples)
    for block in read_blocks(clip.path, classifier.sample_rate, 10.0, clip.start_s, clip.end_s):
        loudest.add(block)
    if not loudest.length:
        raise DataError(f"{clip.path}: holds no samples; record it again, or leave it out")
    logits = classifier.logits(loudest.window()).astype(np.float64)
    odds = np.exp(logits - logits.max())
    scores = odds / odds.sum()
    best = np.argsort(-logits, kind="stable")[:top_k]
    return [cell for i in best for cell in (classifier.labels[i], f"{scores[i]:.6f}")]


def _head(cells: Sequence[str], top_k: int) -> list[str]:
    more = (f"{name}_{k}" for k in range(2, top_k + 1) for name in ("label", "score"))
    return [*cells, "label", "score", *more]


def _warn(records: Iterable[dict[str, Any]], emit: Emit) -> None:
    for record in records:
        if "unreadable" in record:
            emit(Event("warning", record["unreadable"][1]))


def _identity(bundle_sha256: str, clips: Sequence[Unlabelled], top_k: int) -> str:
    """Return the identity of everything that a row depends on, including the state of its file."""
    rows = [(clip.cells, *file_state(clip.path)) for clip in clips]
    return sha256_of({"bundle": bundle_sha256, "clips": rows, "top_k": top_k})
