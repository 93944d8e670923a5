"""Recordings with labelled keywords, and recordings without keywords."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgekws.core.events import Emit
from edgekws.core.kinds import closest
from edgekws.datasets.listing.labels import word_name
from edgekws.datasets.listing.tables import SUFFIXES, Row, Table, read_table
from edgekws.datasets.listing.unlabelled import SPEAKER, audio_in, list_unlabelled, seconds
from edgekws.errors import DataError, UsageError

FILE = ("file", "path")
LABEL = ("keyword", "label", "class")

Where = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Label:
    """A keyword spoken in a recording; without `end_s`, anywhere in it.

    `speaker` is empty if it is the speaker of the recording, or unknown.
    """

    keyword: str
    start_s: float = 0.0
    end_s: float | None = None
    speaker: str = field(default="", repr=False)


@dataclass(frozen=True)
class Labelled:
    """A recording, or its part from `start_s` to `end_s`, and its labels.

    `speaker` is empty if unknown; for several speakers it holds all names.
    """

    path: Path
    labels: tuple[Label, ...] = ()
    start_s: float = 0.0
    end_s: float | None = None
    speaker: str = ""


def parse_where(options: Sequence[str]) -> Where:
    """Return the allowed values of each column, from options `COLUMN=VALUE,VALUE`.

    Raises:
        UsageError: an option has another form.
    """
    where: dict[str, frozenset[str]] = {}
    for option in options:
        column, equals, values = option.partition("=")
        if not equals or not column.strip() or not values.strip():
            raise UsageError(f"--where {option}: expected COLUMN=VALUE, such as split=dev")
        wanted = frozenset(value.strip() for value in values.split(","))
        where[column.strip()] = where.get(column.strip(), frozenset()) | wanted
    return where


def list_positives(source: Path, where: Where, words: Sequence[str], emit: Emit) -> list[Labelled]:
    """Return the recordings of a table, or of a folder with one subfolder per keyword, in order.

    A table (CSV, TSV, JSON lines) has columns `file` and `keyword` (or `path`, `label`, `class`),
    and may have `start_s` and `end_s` of the keyword, and `speaker`; a recording may have several
    rows. Without times, a keyword is anywhere in its recording. Rows with words not in `words` are
    not labels. Speakers in a folder are unknown.

    Raises:
        DataError: the source does not exist, a row is wrong, or no word is among `words`.
    """
    if source.is_dir():
        if where:
            raise UsageError(f"{source}: --where chooses rows of a table, and this is a folder")
        recordings = _in_folders(source, words, emit)
    elif source.suffix.lower() in SUFFIXES:
        recordings = _in_table(read_table(source), where, words)
    else:
        what = "is neither a folder nor a table" if source.exists() else "no such file or folder"
        raise DataError(
            f"{source}: {what}; give a table ({', '.join(SUFFIXES)}) with the columns file and "
            "keyword, or a folder that holds a folder a keyword"
        )
    if not any(recording.labels for recording in recordings):
        raise DataError(f"{source}: none of the bundle's keywords in it ({', '.join(words)})")
    return recordings


def list_negatives(sources: Sequence[Path], emit: Emit) -> list[Labelled]:
    """Return the recordings of folders and tables without keywords.

    A table may have a column `speaker`; in a folder, each direct subfolder is a speaker.

    Raises:
        DataError: as `datasets.listing.unlabelled.list_unlabelled`.
    """
    clips = [clip for source in sources for clip in list_unlabelled(source, emit)[1]]
    return [Labelled(clip.path, (), clip.start_s, clip.end_s, clip.speaker) for clip in clips]


def _in_folders(folder: Path, words: Sequence[str], emit: Emit) -> list[Labelled]:
    recordings = []
    for path in audio_in(folder, emit):
        word = word_name(path.parent.name)
        recordings.append(Labelled(path, (Label(word),) if word in words else ()))
    return recordings


def _in_table(table: Table, where: Where, words: Sequence[str]) -> list[Labelled]:
    file, label = (_column(table, names) for names in (FILE, LABEL))
    rows = _filtered(table, where)
    recordings: dict[Path, Labelled] = {}
    for row in rows:
        path = table.path.parent / row.cells[file]
        if not row.cells[file] or not os.path.isfile(path):  # noqa: PTH113 it may be too long
            table.add_problem(
                row.line, file, f"there is no file {path}; correct it, or restore the file"
            )
        before = recordings.get(path, Labelled(path))
        said = _label(table, row, label)
        labels = (*before.labels, said) if said.keyword in words else before.labels
        speaker = _joined_names(before.speaker, row.cells.get(SPEAKER, ""))
        recordings[path] = replace(before, labels=labels, speaker=speaker)
    table.refuse()
    return list(recordings.values())


def _joined_names(names: str, speaker: str) -> str:
    """Return the speakers of a recording joined into one name."""
    known = filter(None, [*names.split(" & "), speaker])
    return " & ".join(sorted(set(known)))


def _column(table: Table, names: Sequence[str]) -> str:
    table.refuse()
    name = next((name for name in names if name in table.columns), None)
    if name is None:
        has = f"it has {', '.join(table.columns)}" if table.columns else "the file is empty"
        raise DataError(f"{table.path}:1: a column {' or '.join(names)} is needed; {has}")
    return name


def _filtered(table: Table, where: Where) -> list[Row]:
    for column, wanted in where.items():
        if table.require(column, "--where"):
            known = sorted({row.cells[column] for row in table.rows})
            for value in sorted(wanted.difference(known)):
                hint = closest(value, tuple(known))
                table.add_problem(1, column, f"--where asks for {value!r}, no row has it{hint}")
    table.refuse()
    return [row for row in table.rows if all(row.cells[c] in v for c, v in where.items())]


def _label(table: Table, row: Row, column: str) -> Label:
    start, end = (seconds(table, row, name) for name in ("start_s", "end_s"))
    if end is not None and end <= (start or 0.0):
        message = f"{end:g} is not after the start, {start or 0.0:g}; correct one"
        table.add_problem(row.line, "end_s", message)
    return Label(word_name(row.cells[column]), start or 0.0, end)
