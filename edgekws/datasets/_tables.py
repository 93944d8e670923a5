"""Tables of clips as text: CSV, TSV and JSON lines, each row with the line it stands on."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgekws.core.family import closest
from edgekws.core.table import restored
from edgekws.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*DELIMITERS, *JSON_LINES)

_SHOWN = 10
_NAMES = {",": "comma", "\t": "tab"}


class Row(NamedTuple):
    """One row as text; a cell that is missing or null is empty."""

    line: int
    cells: dict[str, str]


class Table(NamedTuple):
    """The rows of a file, the names of its columns, and what is wrong with it so far."""

    path: Path
    columns: tuple[str, ...]
    rows: list[Row]
    problems: list[str]

    def told(self, line: int, column: str, message: str) -> None:
        """Note a problem: where it is, in which column, and what to do."""
        where = f"{self.path}:{line}" + (f": {column}" if column else "")
        self.problems.append(f"{where}: {message}")

    def require(self, column: str, key: str) -> bool:
        """Tell whether there is a column of that name; where not, note which `key` names it."""
        if column in self.columns:
            return True
        hint = closest(column, self.columns) if self.columns else "; the file is empty"
        self.told(1, column, f"there is no such column{hint}; {key} names it")
        return False

    def refuse(self) -> None:
        """Raise what was noted.

        Raises:
            DataError: there are problems; the message holds the first ten and their number.
        """
        if not self.problems:
            return
        more = len(self.problems) - _SHOWN
        lines = self.problems[:_SHOWN] + ([f"… and {more} more problems"] if more > 0 else [])
        raise DataError("\n".join(lines))


def read_table(path: Path) -> Table:
    """Read a table, its kind told by the suffix.

    Raises:
        DataError: the file is missing or not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; it is looked for from {Path.cwd()}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8"
        ) from error
    lines = io.StringIO(text, newline="")
    if path.suffix.lower() in JSON_LINES:
        return _json_lines(path, lines)
    return _separated(path, lines, DELIMITERS[path.suffix.lower()])


def _separated(path: Path, lines: Iterable[str], delimiter: str) -> Table:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    table = Table(path, (), [], [])
    try:
        table = table._replace(columns=tuple(cell.strip() for cell in next(reader, [])))
        for name, count in Counter(table.columns).items():
            if count > 1:
                table.told(1, name, f"{count} columns have this name; rename all but one")
        for cells in reader:
            if len(cells) > len(table.columns):
                text = f"{len(cells)} cells, but {len(table.columns)} columns; quote text that"
                table.told(reader.line_num, "", f"{text} holds a {_NAMES[delimiter]}")
            elif any(cells):
                values = dict.fromkeys(table.columns, "") | dict(
                    zip(table.columns, (restored(cell.strip()) for cell in cells), strict=False)
                )
                table.rows.append(Row(reader.line_num, values))
    except csv.Error as error:
        table.told(reader.line_num, "", f"is no {path.suffix[1:].upper()}: {error}")
    return table


def _json_lines(path: Path, lines: Iterable[str]) -> Table:
    table = Table(path, (), [], [])
    for number, line in enumerate(lines, 1):
        if line.strip():
            table.rows.extend(_json_row(table, number, line))
    columns = tuple(dict.fromkeys(name for row in table.rows for name in row.cells))
    empty = dict.fromkeys(columns, "")
    rows = [Row(row.line, empty | row.cells) for row in table.rows]
    return table._replace(columns=columns, rows=rows)


def _json_row(table: Table, number: int, line: str) -> Iterator[Row]:
    try:
        found = json.loads(line.strip())
    except json.JSONDecodeError as error:
        table.told(number, "", f"is no JSON: {error.msg} at column {error.colno}")
        return
    if not isinstance(found, dict):
        table.told(number, "", 'expected an object, {"path": …, "label": …}')
        return
    yield Row(number, {key: _text(value) for key, value in found.items()})


def _text(value: object) -> str:
    return "" if value is None else value.strip() if isinstance(value, str) else json.dumps(value)
