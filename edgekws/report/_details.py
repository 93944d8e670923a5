"""What a step told, of whatever form, as blocks that a page can show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgekws.report._numbers import plain


@dataclass(frozen=True)
class Block:
    """One thing to show: `pairs`, a `table`, a `list`, a training `history`, or a `group` of them.

    `columns` head the `rows` of a table; pairs are rows of two; `inner` are the blocks of a group.
    """

    kind: Literal["pairs", "table", "list", "history", "group"]
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    inner: tuple["Block", ...] = ()
    epochs: tuple[Mapping[str, Any], ...] = ()
    kept_epoch: int | None = None


def block(title: str, value: object) -> Block:
    """Return how to show `value`: nothing is left out, whatever its form."""
    if isinstance(value, Mapping):
        return _mapping(title, value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(one, Mapping) for one in value):
            return _history(title, value) if "train_loss" in value[0] else _table(title, value)
        return Block("list", title, rows=tuple((_line(one),) for one in value))
    return Block("pairs", title, rows=((title, plain(value)),))


def heading(key: object) -> str:
    """Return a key as words.

    >>> heading("dev_macro_recall")
    'dev macro recall'
    """
    return str(key).strip("_").replace("_", " ") if str(key).isascii() else str(key)


def _mapping(title: str, value: Mapping[str, Any]) -> Block:
    epochs = value.get("epochs")
    if isinstance(epochs, list) and epochs and isinstance(epochs[0], Mapping):
        return _history(title, epochs, value.get("kept_epoch"))
    scalars = {k: v for k, v in value.items() if _is_scalar(v)}
    pairs = Block("pairs", title, rows=tuple((heading(k), _line(v)) for k, v in scalars.items()))
    if len(scalars) == len(value):
        return pairs
    inner = [block(heading(k), v) for k, v in value.items() if k not in scalars]
    return Block("group", title, inner=(*((pairs,) if scalars else ()), *inner))


def _is_scalar(value: object) -> bool:
    if isinstance(value, list | tuple):
        flat = not any(isinstance(one, Mapping | list | tuple) for one in value)
        return flat and len(_line(value)) <= 80
    return not isinstance(value, Mapping)


def _line(value: object) -> str:
    """Write a value within one cell."""
    if isinstance(value, list | tuple):
        return ", ".join(_line(one) for one in value) or "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{heading(k)} {_line(v)}" for k, v in value.items()) or "–"
    return plain(value)


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Block:
    keys = tuple(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(_line(row[k]) if k in row else "" for k in keys) for row in rows)
    return Block("table", title, tuple(heading(k) for k in keys), cells)


def _history(title: str, rows: Sequence[Mapping[str, Any]], kept: int | None = None) -> Block:
    table = _table(title, rows)
    return Block("history", title, table.columns, table.rows, epochs=tuple(rows), kept_epoch=kept)
