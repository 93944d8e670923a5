"""Clips without labels: the audio files of a folder, or the rows of a table."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from edgekws.audio.folders import audio_files_under, ignored_line
from edgekws.audio.reading import AUDIO_SUFFIXES
from edgekws.core.events import Emit, Event
from edgekws.core.paths import path_problem
from edgekws.core.table import inert_path
from edgekws.datasets.listing.tables import SUFFIXES, Row, Table, read_table
from edgekws.errors import DataError

NAMES = ("file", "path")
TIMES = ("start_s", "end_s")
SPEAKER = "speaker"


@dataclass(frozen=True)
class Unlabelled:
    """A clip: `cells` are the first cells of its row; `end_s=None` is the end of the file.

    `speaker` is the table's column of that name, or the folder directly under the given one;
    empty if there is neither.
    """

    cells: tuple[str, ...]
    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    speaker: str = ""

    @property
    def name(self) -> str:
        """The file as given, and the part of it."""
        times = "–".join(self.cells[1:])
        return f"{self.cells[0]} ({times} s)" if times.strip("–") else self.cells[0]


def list_unlabelled(source: Path, emit: Emit) -> tuple[tuple[str, ...], list[Unlabelled]]:
    """Return the names of the cells, and the clips in order.

    The files under a folder are named relative to it and sorted; a note counts those that are not
    recordings. A table (CSV, TSV, JSON lines) has a column `file` or `path`, relative to the
    table's folder, and may have `start_s` and `end_s`, which are then cells of every clip.

    Raises:
        DataError: there is no such folder or table, no clip in it, or a row is wrong.
    """
    if source.is_dir():
        return NAMES[:1], _in_folder(source, emit)
    if source.suffix.lower() not in SUFFIXES:
        problem = "is neither a folder nor a table" if source.exists() else "no such folder"
        raise DataError(
            f"{source}: {problem}; give the folder with the audio, or a table "
            f"({', '.join(SUFFIXES)}) with a column file"
        )
    return _in_table(read_table(source))


def audio_in(folder: Path, emit: Emit) -> list[Path]:
    """Return the recordings under a folder, sorted; emit a note on other files.

    Raises:
        DataError: there are none.
    """
    ignored: Counter[str] = Counter()
    files = sorted(audio_files_under(folder, ignored))
    if not files:
        details = "; ".join([", ".join(sorted(AUDIO_SUFFIXES)), *ignored_line(ignored)])
        raise DataError(f"{folder} holds no audio ({details})")
    for line in ignored_line(ignored):
        emit(Event("note", f"{folder}: {line}"))
    return files


def _in_folder(folder: Path, emit: Emit) -> list[Unlabelled]:
    return [_file(path, path.relative_to(folder)) for path in audio_in(folder, emit)]


def _file(path: Path, name: Path) -> Unlabelled:
    speaker = name.parts[0] if len(name.parts) > 1 else ""
    return Unlabelled((inert_path(name.as_posix()),), path, speaker=speaker)


def _in_table(table: Table) -> tuple[tuple[str, ...], list[Unlabelled]]:
    name = next((name for name in NAMES if name in table.columns), None)
    if name is None:
        columns = f"it has {', '.join(table.columns)}" if table.columns else "the file is empty"
        raise DataError(f"{table.path}:1: a column file or path is needed; {columns}")
    times = tuple(column for column in TIMES if column in table.columns)
    clips = [_clip(table, row, name, times) for row in table.rows]
    table.refuse()
    if not clips:
        raise DataError(f"{table.path}: holds no rows; list one file per row")
    return (NAMES[0], *times), clips


def _clip(table: Table, row: Row, name: str, times: tuple[str, ...]) -> Unlabelled:
    file = row.cells[name]
    if not file:
        table.add_problem(row.line, name, "is empty; name an audio file")
    elif problem := path_problem(table.path.parent.absolute() / file):
        table.add_problem(row.line, name, problem)
    start, end = (seconds(table, row, column) for column in TIMES)
    if end is not None and end <= (start or 0):
        table.add_problem(row.line, "end_s", f"{end:g} is not after start_s = {start or 0:g}")
    cells = (inert_path(file), *(row.cells[column] for column in times))
    speaker = row.cells.get(SPEAKER, "")
    return Unlabelled(cells, table.path.parent / file, start or 0.0, end, speaker)


def seconds(table: Table, row: Row, column: str) -> float | None:
    """Return the seconds in a cell, `None` if empty or wrong; the table notes the latter."""
    text = row.cells.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        table.add_problem(row.line, column, f"expected seconds of at least 0, not {text!r}")
        return None
    return value
