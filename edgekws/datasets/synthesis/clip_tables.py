"""Tables of the clips in a cached folder, and the notes on how they were made."""

import csv
from collections.abc import Sequence
from pathlib import Path

from edgekws.core.corpus import SPLITS, Clip, Split

_NOTES = "notes.txt"
_COLUMNS = ("path", "label", "speaker", "split", "start_s", "end_s", "synthesizer")


def save_clips(folder: Path, name: str, clips: Sequence[Clip]) -> None:
    """Write the table `name` of clips under `folder`."""
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for clip in clips:
            path = clip.path.relative_to(folder).as_posix()
            end_s = "" if clip.end_s is None else clip.end_s
            row = (path, clip.label, clip.speaker, clip.split, clip.start_s, end_s)
            table.writerow((*row, clip.synthesizer))


def load_clips(folder: Path, name: str) -> tuple[Clip, ...]:
    """Return the clips of the table `name`."""
    splits: dict[str, Split] = {split: split for split in SPLITS}
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return tuple(
            Clip(
                folder / row["path"],
                row["label"],
                row["speaker"] or None,
                splits[row["split"]],
                float(row["start_s"]),
                float(row["end_s"]) if row["end_s"] else None,
                synthesizer=row["synthesizer"] or None,
            )
            for row in csv.DictReader(file)
        )


def save_notes(folder: Path, notes: Sequence[str]) -> None:
    """Write the notes, one a line."""
    (folder / _NOTES).write_text("\n".join(notes), encoding="utf-8")


def load_notes(folder: Path) -> tuple[str, ...]:
    """Return the notes."""
    return tuple((folder / _NOTES).read_text(encoding="utf-8").splitlines())
