"""CSV tables with untrusted names: no cell is a formula to a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV, its cells escaped by `inert`."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([inert(cell) for cell in row] for row in rows)
    return text.getvalue()


def inert(cell: Any) -> Any:
    """Return a cell that a spreadsheet reads as text: a formula is prefixed with an apostrophe.

    Numbers are unchanged, also as text. Source: OWASP, "CSV Injection".

    >>> inert("=1+1"), inert("-0.5"), inert("stop"), inert(-1)
    ("'=1+1", '-0.5', 'stop', -1)
    """
    if not isinstance(cell, str) or len(cell) < 2 or not cell.startswith(_FORMULA):
        return cell
    return cell if _is_number(cell) else f"'{cell}"


def restored(cell: str) -> str:
    """Return the text of a cell that `inert` escaped, as a spreadsheet shows it.

    >>> restored("'=1+1"), restored("'tis")
    ('=1+1', "'tis")
    """
    return cell[1:] if cell.startswith("'") and inert(cell[1:]) == cell else cell


def inert_path(name: str) -> str:
    """Return a name of the same file that a spreadsheet reads as text.

    >>> inert_path("=1+1.wav"), inert_path("yes/a.wav"), inert_path("-")
    ('./=1+1.wav', 'yes/a.wav', '-')
    """
    return f"./{name}" if inert(name) != name else name


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
