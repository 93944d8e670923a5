"""Tables of clips as text: CSV, TSV and JSON lines, each row with its line number."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgekws.core.kinds import closest
from edgekws.core.paths import path_problem, read_regular
from edgekws.core.table import restored
from edgekws.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*DELIMITERS, *JSON_LINES)

_SHOWN = 10
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SEP = re.compile(r"sep=([,;\t|])\r?\n", re.IGNORECASE)
_HALF_PAIR = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # others are bytes of a file name
_MAX_BYTES = 1 << 28


class Row(NamedTuple):
    """A row as text; a value that is missing or null in JSON is empty."""

    line: int
    cells: dict[str, str]


class Table(NamedTuple):
    """The rows of a file, the names of its columns, and the problems found so far."""

    path: Path
    columns: tuple[str, ...]
    rows: list[Row]
    problems: list[str]

    def add_problem(self, line: int, column: str, message: str) -> None:
        """Add a problem: its line, its column, and what to do."""
        where = f"{self.path}:{line}" + (f": {column}" if column else "")
        self.problems.append(f"{where}: {message}")

    def require(self, column: str, key: str) -> bool:
        """Return whether there is a column of that name; if not, add a problem with its `key`."""
        if column in self.columns:
            return True
        hint = closest(column, self.columns) if self.columns else "; the file is empty"
        self.add_problem(1, column, f"there is no such column{hint}; {key} names it")
        return False

    def refuse(self) -> None:
        """Raise the problems found, if any.

        Raises:
            DataError: there are problems; the message has the first ten and the number of others.
        """
        if not self.problems:
            return
        more = len(self.problems) - _SHOWN
        lines = self.problems[:_SHOWN] + ([f"… and {more} more problems"] if more > 0 else [])
        raise DataError("\n".join(lines))


def read_text(path: Path) -> str:
    """Return the text of a table or a list.

    Raises:
        DataError: the file is missing, not regular, not UTF-8, or contains the character NUL.
    """
    if problem := path_problem(path):
        raise DataError(f"{path}: {problem}")
    try:
        text = read_regular(path, _MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file, relative to {Path.cwd()}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not UTF-8: {error.reason} at byte {error.start}; save it as UTF-8"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    before, nul, _ = text.partition("\0")
    if nul:
        line = before.count("\n") + 1
        raise DataError(f"{path}:{line}: contains the character NUL; save it as plain text")
    return text


def read_table(path: Path) -> Table:
    """Read a table in the format of its suffix.

    If the header does not contain the suffix's delimiter but another one (Excel writes `;` in many
    countries, sometimes with a line `sep=;`), that one is used.

    Raises:
        DataError: as `read_text`.
    """
    text = read_text(path)
    if path.suffix.lower() in JSON_LINES:
        table = _json_lines(path, text)
    else:
        table = _separated(path, text, DELIMITERS[path.suffix.lower()])
    for row in table.rows:
        for column, cell in row.cells.items():
            if _HALF_PAIR.search(cell):
                problem = "contains half of a UTF-16 pair; write the character"
                table.add_problem(row.line, column, problem)
    return table


def _separated(path: Path, text: str, delimiter: str) -> Table:
    named = _SEP.match(text)
    if named:
        delimiter, text = named[1], text[named.end() :]
    else:
        delimiter = _delimiter(text, delimiter)
    first = 1 if named else 0
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table = Table(path, (), [], [])
    try:
        table = table._replace(columns=tuple(cell.strip() for cell in next(reader, [])))
        _once_each(table, table.columns, first + 1)
        for cells in reader:
            line = first + reader.line_num
            if len(cells) != len(table.columns) and any(cells):
                table.add_problem(line, "", _ragged(len(cells), len(table.columns), delimiter))
            elif any(cells):
                values = zip(table.columns, (restored(c.strip()) for c in cells), strict=True)
                table.rows.append(Row(line, dict(values)))
    except csv.Error as error:
        problem = f"is not valid {path.suffix[1:].upper()}: {error}"
        table.add_problem(first + reader.line_num, "", problem)
    return table


def _delimiter(text: str, usual: str) -> str:
    """Return the delimiter of the header: the usual one, or the one that gives most columns."""
    header = text.partition("\n")[0]
    if usual in header:
        return usual
    return max((usual, *_NAMES), key=header.count)


def _once_each(table: Table, columns: Sequence[str], line: int) -> None:
    for name, count in Counter(columns).items():
        if count > 1:
            table.add_problem(line, name, f"{count} columns have this name; rename all but one")


def _ragged(cells: int, columns: int, delimiter: str) -> str:
    advice = f"quote text that contains a {_NAMES[delimiter]}"
    if cells < columns:
        advice = "add the missing or empty cells"
    return f"{cells} cells, but {columns} columns; {advice}"


def _json_lines(path: Path, text: str) -> Table:
    table = Table(path, (), [], [])
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if line.strip():
            table.rows.extend(_json_row(table, number, line))
    columns = tuple(dict.fromkeys(name for row in table.rows for name in row.cells))
    empty = dict.fromkeys(columns, "")
    rows = [Row(row.line, empty | row.cells) for row in table.rows]
    return table._replace(columns=columns, rows=rows)


def _json_row(table: Table, number: int, line: str) -> Iterator[Row]:
    try:
        pairs = json.loads(line.strip(), object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        table.add_problem(number, "", f"is not valid JSON: {error.msg} at column {error.colno}")
        return
    except RecursionError:
        table.add_problem(number, "", 'is nested too deeply; expected {"path": …, "label": …}')
        return
    except ValueError:
        table.add_problem(number, "", "contains a number with thousands of digits")
        return
    if not isinstance(pairs, _Pairs):
        table.add_problem(number, "", 'expected an object, {"path": …, "label": …}')
        return
    _once_each(table, [key for key, _ in pairs], number)
    yield Row(number, {key: _text(value) for key, value in pairs})


class _Pairs(list[tuple[str, object]]):
    """The keys and values of a JSON object in order, including duplicate keys."""


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return (value or "").strip()
    return json.dumps(dict(value) if isinstance(value, _Pairs) else value, ensure_ascii=False)
