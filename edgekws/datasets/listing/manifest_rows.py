"""From the rows of a manifest to recordings: check all rows, and report all problems at once."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from edgekws.audio.opening import length_s
from edgekws.core.corpus import SPLITS, Split
from edgekws.core.fields import Fields
from edgekws.core.kinds import closest
from edgekws.datasets.listing.labels import label_problem, word_name
from edgekws.datasets.listing.negatives import ROUNDED_S
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.tables import Row, Table
from edgekws.datasets.listing.word_folders import Recording
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

Where = Mapping[str, Sequence[str]]


class Columns(Fields):
    """The names of a manifest's columns; those with `_s` are in seconds."""

    path: str = Field(default="path", description="Audio file, relative to the root")
    label: str = Field(default="label", description="The word; may be _unknown_ or _silence_")
    speaker: str = Field(default="speaker", description="The speaker; default: by speaker_pattern")
    split: str = Field(
        default="split",
        description="train, dev (val) or test; empty: held out by speaker",
    )
    start_s: str = Field(default="start_s", description="Start of the clip; default: 0")
    end_s: str = Field(default="end_s", description="End of the clip; default: end of the file")
    synthesizer: str = Field(
        default="synthesizer",
        description="The engine that spoke the clip; empty: a person. It names the kind of test",
    )

    def present(self, table: Table) -> frozenset[str]:
        """Return the fields with a column in `table`; the table notes missing required ones.

        Required are `path`, `label`, and every column with a name other than its field's.
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
        """Return the columns of `table` that neither a field nor the filter uses."""
        used = {column for _, column in self} | set(where)
        return [column for column in table.columns if column not in used]


def filtered(table: Table, where: Where) -> list[Row]:
    """Return the rows with the values that `where` allows for its columns.

    The table notes missing columns and values that no row has.
    """
    for column, values in where.items():
        if table.require(column, "dataset.where"):
            known = tuple(dict.fromkeys(row.cells[column] for row in table.rows))
            for value in values:
                if value not in known:
                    hint = closest(value, known[:_SHOWN])
                    table.add_problem(
                        1, column, f"dataset.where asks for {value!r}, no row has it{hint}"
                    )
    return [row for row in table.rows if all(row.cells.get(c) in v for c, v in where.items())]


def recordings(
    table: Table, rows: Sequence[Row], columns: Columns, root: Path, rule: Rule
) -> list[Recording]:
    """Return a recording for each valid row; the table notes the problems of the others.

    If no row gives dev or no row gives test, it will be drawn from the rows of train: their split
    is left open.
    """
    if table.problems and not table.columns:
        return []
    present = columns.present(table)
    if not {"path", "label"} <= present:
        return []
    checked = _Rows(table, columns, present, root)
    valid = [(row, recording) for row in rows if (recording := checked.recording(row))]
    _note_leaks(table, valid, rule)
    given = {recording.split for _, recording in valid}
    if {"dev", "test"} <= given:
        return [recording for _, recording in valid]
    return [r._replace(split=None) if r.split == "train" else r for _, r in valid]


def beyond_the_end(listed: Sequence[Recording]) -> Iterator[str]:
    """Yield a line on clips with an end after that of their file, if there are any.

    Skips unreadable files; they are reported when they are decoded.
    """
    late = []
    for recording in listed:
        if recording.end_s is not None:
            try:
                whole_s = length_s(recording.path)
            except DataError:
                continue
            if recording.end_s > whole_s + ROUNDED_S:
                late.append((recording, whole_s))
    if late:
        recording, whole_s = late[0]
        yield (
            f"clips with end_s after the end of their file: {len(late)}, cut there; the first is "
            f"{recording.path}, {whole_s:g} s long, end_s {recording.end_s:g} s"
        )


class _Rows:
    """Checks rows one by one; remembers existing files and listed clips."""

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
            self._add_problem(row, "label", "is empty; write what is spoken, or remove the row")
        elif problem := label_problem(cells["label"]):
            self._add_problem(row, "label", problem)
        split = self._split(row, cells.get("split", ""))
        start_s = self._seconds(row, "start_s", cells.get("start_s", "")) or 0.0
        end_s = self._seconds(row, "end_s", cells.get("end_s", ""))
        if end_s is not None and start_s >= end_s:
            problem = f"{end_s:g} is not after the start, {start_s:g}; correct one"
            self._add_problem(row, "end_s", problem)
        if path is None or len(self._table.problems) > before:
            return None
        first = self._lines.setdefault((path, start_s, end_s), row.line)
        if first != row.line:
            problem = f"{cells['path']} is already listed in line {first}; keep one of them"
            self._add_problem(row, "path", problem)
        speaker, engine = cells.get("speaker") or None, cells.get("synthesizer") or None
        return Recording(path, word_name(cells["label"]), split, speaker, start_s, end_s, engine)

    def _add_problem(self, row: Row, name: str, message: str) -> None:
        self._table.add_problem(row.line, getattr(self._columns, name), message)

    def _file(self, row: Row, name: str) -> Path | None:
        if name not in self._files:
            self._files[name] = self._path_or_problem(name)
        path = self._files[name]
        if isinstance(path, Path):
            return path
        self._add_problem(row, "path", path)
        return None

    def _path_or_problem(self, name: str) -> Path | str:
        if not name:
            return "is empty; name the audio file, or remove the row"
        # as text: ten thousand Path objects are slow
        path = os.path.normpath(os.path.join(self._root, name))  # noqa: PTH118
        if os.path.commonpath([path, self._root]) != self._root:
            return f"{name} is outside {self._root}; set dataset.root to a folder above both"
        if not os.path.isfile(path):  # noqa: PTH113
            return f"there is no file {name} in {self._root}; correct it, or set dataset.root"
        return Path(path)

    def _split(self, row: Row, name: str) -> Split | None:
        if name and name.lower() not in SPLIT_NAMES:
            self._add_problem(row, "split", f"{name!r} is not a split{closest(name, SPLITS)}")
        return SPLIT_NAMES.get(name.lower())

    def _seconds(self, row: Row, name: str, text: str) -> float | None:
        if not text:
            return None
        try:
            seconds = float(text)
        except ValueError:
            self._add_problem(row, name, f"{text!r} is not a number; give seconds, such as 1.25")
            return None
        if not math.isfinite(seconds) or seconds < 0:
            problem = f"{text} is not a position in a file; give seconds from its start"
            self._add_problem(row, name, problem)
            return None
        return seconds


def _note_leaks(table: Table, listed: Sequence[tuple[Row, Recording]], rule: Rule) -> None:
    first: dict[str, tuple[int, Split | None]] = {}
    for row, recording in listed:
        speaker = recording.speaker or rule.speaker(recording.path, recording.word)
        who = f"speaker {speaker}" if speaker else f"{recording.path}, of an unknown speaker,"
        line, split = first.setdefault(who, (row.line, recording.split))
        if split != recording.split:
            there, here = split or "no split", recording.split or "no split"
            leak = f"{who} is in {there} in line {line}, here in {here}; keep a speaker in one"
            table.add_problem(row.line, "", f"{leak} split (speakers are known by {rule.source})")
