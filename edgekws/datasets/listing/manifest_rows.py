"""From the rows of a manifest to recordings: every row checked, every problem told at once."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from edgekws.audio.opening import length_s
from edgekws.core.corpus import SPLITS, Split
from edgekws.core.fields import Fields
from edgekws.core.kinds import closest
from edgekws.datasets.listing.labels import label_problem
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.tables import Row, Table
from edgekws.datasets.listing.word_folders import Recording, word_name
from edgekws.errors import DataError

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
}

_SHOWN = 20
_ROUNDED_S = 0.1
"""By so much may an end lie beyond its file: times are rounded, and so are frames."""

Where = Mapping[str, Sequence[str]]


class Columns(Fields):
    """What the columns of a manifest are called; those with `_s` are in seconds."""

    path: str = Field(default="path", description="Audio file, relative to the root")
    label: str = Field(default="label", description="What is spoken; may be _unknown_ or _silence_")
    speaker: str = Field(default="speaker", description="Who speaks; without it by speaker_pattern")
    split: str = Field(
        default="split",
        description="train, dev (val) or test; empty: held out by speaker",
    )
    start_s: str = Field(default="start_s", description="Where the clip begins; without it at 0")
    end_s: str = Field(default="end_s", description="Where the clip ends; without it with the file")

    def present(self, table: Table) -> frozenset[str]:
        """Return the fields whose column is there, noting those that are missed.

        `path` and `label` are needed, and every column that is called otherwise than its field.
        """
        needed = {"path", "label"} | {name for name, column in self if column != name}
        return frozenset(
            name
            for name, column in self
            if (
                table.require(column, f"dataset.columns.{name}")
                if name in needed
                else column in table.columns
            )
        )

    def unused(self, table: Table, where: Where) -> list[str]:
        """Return the columns of `table` that neither a field nor the filter reads."""
        used = {column for _, column in self} | set(where)
        return [column for column in table.columns if column not in used]


def filtered(table: Table, where: Where) -> list[Row]:
    """Return the rows whose cells are among the values that `where` allows for their column.

    The table notes columns that are not there and values that no row has.
    """
    for column, values in where.items():
        if table.require(column, "dataset.where"):
            known = tuple(dict.fromkeys(row.cells[column] for row in table.rows))
            for value in values:
                if value not in known:
                    hint = closest(value, known[:_SHOWN])
                    table.told(1, column, f"dataset.where asks for {value!r}, no row has it{hint}")
    return [row for row in table.rows if all(row.cells.get(c) in v for c, v in where.items())]


def recordings(
    table: Table, rows: Sequence[Row], columns: Columns, root: Path, rule: Rule
) -> list[Recording]:
    """Return a recording for each row; the table notes what is wrong with the others.

    Where dev or test is not given at all, it is carved from the rows of train: their split is
    left open.
    """
    if table.problems and not table.columns:
        return []
    present = columns.present(table)
    if not {"path", "label"} <= present:
        return []
    checked = _Rows(table, columns, present, root)
    found = [(row, recording) for row in rows if (recording := checked.recording(row))]
    _note_leaks(table, found, rule)
    given = {recording.split for _, recording in found}
    if {"dev", "test"} <= given:
        return [recording for _, recording in found]
    return [r._replace(split=None) if r.split == "train" else r for _, r in found]


def beyond_the_end(found: Sequence[Recording]) -> Iterator[str]:
    """Yield a line on clips that are said to end after their file does, if there are any.

    Files that cannot be read are left to those who read them.
    """
    late = []
    for recording in found:
        if recording.end_s is not None:
            try:
                whole_s = length_s(recording.path)
            except DataError:
                continue
            if recording.end_s > whole_s + _ROUNDED_S:
                late.append((recording, whole_s))
    if late:
        recording, whole_s = late[0]
        yield (
            f"clips said to end after their file: {len(late)}, taken to its end; the first is "
            f"{recording.path}, {whole_s:g} s long, said to end at {recording.end_s:g} s"
        )


class _Rows:
    """Checks rows one by one; remembers which files exist and what was listed."""

    def __init__(self, table: Table, columns: Columns, present: frozenset[str], root: Path) -> None:
        self._table, self._columns, self._present = table, columns, present
        self._root = os.path.abspath(root)  # noqa: PTH100 "..", too, has to go
        self._files: dict[str, Path | str] = {}
        self._lines: dict[tuple[Path, float, float | None], int] = {}

    def recording(self, row: Row) -> Recording | None:
        before = len(self._table.problems)
        cells = {name: row.cells[getattr(self._columns, name)] for name in self._present}
        path = self._file(row, cells["path"])
        if not cells["label"]:
            self._wrong(row, "label", "is empty; say what is spoken, or take the row out")
        elif problem := label_problem(cells["label"]):
            self._wrong(row, "label", problem)
        split = self._split(row, cells.get("split", ""))
        start_s = self._seconds(row, "start_s", cells.get("start_s", "")) or 0.0
        end_s = self._seconds(row, "end_s", cells.get("end_s", ""))
        if end_s is not None and start_s >= end_s:
            self._wrong(row, "end_s", f"{end_s:g} is not after the start, {start_s:g}; correct one")
        if path is None or len(self._table.problems) > before:
            return None
        first = self._lines.setdefault((path, start_s, end_s), row.line)
        if first != row.line:
            told = f"{cells['path']} is listed in line {first} already; keep one of them"
            self._wrong(row, "path", told)
        speaker = cells.get("speaker") or None
        return Recording(path, word_name(cells["label"]), split, speaker, start_s, end_s)

    def _wrong(self, row: Row, name: str, message: str) -> None:
        self._table.told(row.line, getattr(self._columns, name), message)

    def _file(self, row: Row, name: str) -> Path | None:
        if name not in self._files:
            self._files[name] = self._found(name)
        found = self._files[name]
        if isinstance(found, Path):
            return found
        self._wrong(row, "path", found)
        return None

    def _found(self, name: str) -> Path | str:
        if not name:
            return "is empty; name the audio file, or take the row out"
        # by text: ten thousand Path objects are slow
        path = os.path.normpath(os.path.join(self._root, name))  # noqa: PTH118
        if os.path.commonpath([path, self._root]) != self._root:
            return f"{name} leads out of {self._root}; set dataset.root to a folder above both"
        if not os.path.isfile(path):  # noqa: PTH113
            return f"there is no file {name} in {self._root}; correct it, or set dataset.root"
        return Path(path)

    def _split(self, row: Row, name: str) -> Split | None:
        if name and name.lower() not in SPLIT_NAMES:
            self._wrong(row, "split", f"{name!r} is no split{closest(name, SPLITS)}")
        return SPLIT_NAMES.get(name.lower())

    def _seconds(self, row: Row, name: str, text: str) -> float | None:
        if not text:
            return None
        try:
            seconds = float(text)
        except ValueError:
            self._wrong(row, name, f"{text!r} is not a number; give seconds, such as 1.25")
            return None
        if not math.isfinite(seconds) or seconds < 0:
            self._wrong(row, name, f"{text} is no place in a file; give seconds from its start")
            return None
        return seconds


def _note_leaks(table: Table, found: Sequence[tuple[Row, Recording]], rule: Rule) -> None:
    first: dict[str, tuple[int, Split | None]] = {}
    for row, recording in found:
        speaker = recording.speaker or rule.speaker(recording.path, recording.word)
        who = f"speaker {speaker}" if speaker else f"{recording.path}, its speaker not known,"
        line, split = first.setdefault(who, (row.line, recording.split))
        if split != recording.split:
            there, here = split or "no split", recording.split or "no split"
            told = f"{who} is in {there} in line {line}, here in {here}; keep a speaker in one"
            table.told(row.line, "", f"{told} split (speakers are known by {rule.source})")
