"""The result of a command: what machines read, and the tables and lines that people read."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekws.report.tables import Table


@dataclass(frozen=True)
class Shown:
    """A result as every output shows it.

    `records` are its JSON objects, each an `event`. `tables` and `lines` are for people; `narrow`
    are the tables for a terminal that has no room for them, where there are others. `marked` lines
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
