"""The result of a command: its records for programs, and its tables and lines for people."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from edgekws.report.tables import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A result as every output shows it.

    `records` are its JSON objects, each an `event`. `tables` and `lines` are for people; `narrow`
    are those for a narrow terminal, if they differ. `marked` lines
    begin with `ok`, `warn` or `missing`, which a terminal colours. `caption` explains the tables.
    `problem` says which limits are exceeded; a command ends with it as its error.
    """

    event: str
    records: Sequence[dict[str, Any]]
    tables: "Sequence[Table]" = ()
    lines: Sequence[str] = ()
    narrow: "Sequence[Table] | None" = None
    marked: bool = False
    caption: str = ""
    problem: str = ""

    def text(self) -> str:
        """Return the tables and lines as text."""
        blocks = [*map(_text, self.tables), self.caption, "\n".join(self.lines), self.problem]
        return "\n\n".join(filter(None, blocks))

    def html(self) -> str:
        """Return the tables and lines as HTML."""
        texts = filter(None, (self.caption, *self.lines))
        lines = "".join(f"<p>{html.escape(text)}</p>" for text in texts)
        problem = f"<p><strong>{html.escape(self.problem)}</strong></p>" if self.problem else ""
        return "".join(map(_html, self.tables)) + lines + problem


@dataclass(frozen=True, repr=False)
class Result(Generic[T]):
    """The result of a function: `value`, and the tables and lines that show it.

    `print(result)` shows them as text; a notebook shows them as tables.
    """

    value: T
    shown: Shown

    @property
    def tables(self) -> "Sequence[Table]":
        """The tables, each with title, heads and rows."""
        return self.shown.tables

    @property
    def lines(self) -> Sequence[str]:
        """The lines below the tables."""
        return self.shown.lines

    @property
    def ok(self) -> bool:
        """Whether every limit is met; if not, the result ends with those exceeded."""
        return not self.shown.problem

    def __str__(self) -> str:
        """Return the tables and lines as text."""
        return self.shown.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the tables and lines as HTML for notebooks."""
        return self.shown.html()


def recipe_result(path: Path) -> Shown:
    """Return where a recipe was written, and what to do with it."""
    line = f"Wrote {path}. Next: edgekws plan {path}, then edgekws compress {path}"
    return Shown("recipe", ({"path": str(path)},), (), (line,))


def _text(table: "Table") -> str:
    """Write a table as text, its columns aligned."""
    title, heads, rows = table
    lines = [tuple(heads), *(tuple(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ("  ".join(map(_padded, line, widths, range(len(line)))).rstrip() for line in lines)
    return "\n".join([title, *texts])


def _padded(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _html(table: "Table") -> str:
    title, heads, rows = table
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><caption>{html.escape(title)}</caption><tr>{head}</tr>{body}</table>"
