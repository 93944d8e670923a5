"""What a step told, of whatever form, as blocks that a page can show."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgekws.report._numbers import UNITS, bounded, plain, told

_FIGURE = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( \S{1,3})?( \[.*\])?")


@dataclass(frozen=True)
class Block:
    """One thing to show: `pairs`, a `table`, a `list`, a `group`, or a table with its picture.

    The pictures are those of a training `history` and of a `frontier` of accuracy and coverage.

    `columns` head the `rows` of a table; pairs are rows of two; `inner` are the blocks of a group.
    """

    kind: Literal["pairs", "table", "list", "history", "frontier", "group"]
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    inner: tuple["Block", ...] = ()
    epochs: tuple[Mapping[str, Any], ...] = ()
    kept_epoch: int | None = None
    points: tuple[Mapping[str, Any], ...] = ()

    @property
    def numeric(self) -> tuple[int, ...]:
        """The columns that hold nothing but figures."""
        return numeric(self.rows) if self.columns else ()


def block(title: str, value: object) -> Block:
    """Return how to show `value`: nothing is left out, whatever its form."""
    if isinstance(value, Mapping):
        return _mapping(title, value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(one, Mapping) for one in value):
            return _rows(title, value)
        return Block("list", title, rows=tuple((_line(one),) for one in value))
    return Block("pairs", title, rows=((title, plain(value)),))


def heading(key: object) -> str:
    """Return a key as words, without the unit that its figures have.

    >>> heading("dev_macro_recall"), heading("size_kib")
    ('dev macro recall', 'size')
    """
    name = str(key)
    if not name.isascii():
        return name
    end = next((end for end in UNITS if name.endswith(end)), "")
    return name.removesuffix(end).strip("_").replace("_", " ")


def numeric(rows: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """Return the columns that hold nothing but figures, with or without unit and interval.

    >>> numeric([["conv", "24.1 µs [24, 24.4]", "–"], ["add", "8,451 µs", "2e-06"]])
    (1, 2)
    """
    return tuple(i for i, cells in enumerate(zip(*rows, strict=True)) if _figures(cells))


def _figures(cells: Sequence[str]) -> bool:
    """Say whether there are figures, and nothing else but blanks."""
    known = [cell for cell in cells if cell not in ("", "–")]
    return bool(known) and all(_FIGURE.fullmatch(cell) for cell in known)


def _with_bounds(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping whose intervals stand beside what they belong to."""
    return {
        key: bounded(key, one, value[f"{key}_ci95"]) if f"{key}_ci95" in value else one
        for key, one in value.items()
        if key.removesuffix("_ci95") not in value or not str(key).endswith("_ci95")
    }


def _mapping(title: str, value: Mapping[str, Any]) -> Block:
    epochs = value.get("epochs")
    if isinstance(epochs, list) and epochs and isinstance(epochs[0], Mapping):
        return _history(title, epochs, value.get("kept_epoch"))
    value = _with_bounds(value)
    scalars = {k: v for k, v in value.items() if _is_scalar(v)}
    pairs = Block("pairs", title, rows=tuple((heading(k), _line(v, k)) for k, v in scalars.items()))
    if len(scalars) == len(value):
        return pairs
    inner = [block(heading(k), v) for k, v in value.items() if k not in scalars]
    return Block("group", title, inner=(*((pairs,) if scalars else ()), *inner))


def _rows(title: str, value: Sequence[Mapping[str, Any]]) -> Block:
    if "train_loss" in value[0]:
        return _history(title, value)
    if value[0].keys() >= {"layers", "coverage", "accuracy"}:
        return _frontier(title, value)
    if "only_this" in value[0]:
        return _table(title, [_flat(row) for row in value])
    return _table(title, value)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the figures of its inner tables beside its own."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        flat |= {f"{key}: {k}" if k else key: v for k, v in inner.items()}
    return flat


def _frontier(title: str, points: Sequence[Mapping[str, Any]]) -> Block:
    """Return the points, each row naming the layer that it keeps in FP32 besides those above."""
    rows = [
        {"in FP32": f"+ {point['layers'][-1]}" if point["layers"] else "none"}
        | {key: value for key, value in point.items() if key != "layers"}
        for point in points
    ]
    table = _table(title, rows)
    return Block("frontier", title, table.columns, table.rows, points=tuple(points))


def _is_scalar(value: object) -> bool:
    if isinstance(value, list | tuple):
        flat = not any(isinstance(one, Mapping | list | tuple) for one in value)
        return flat and len(_line(value)) <= 80
    return not isinstance(value, Mapping)


def _line(value: object, key: str = "") -> str:
    """Write a value within one cell, in the unit that its key names."""
    if isinstance(value, list | tuple):
        return ", ".join(_line(one, key) for one in value) or "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{heading(k)} {_line(v, str(k))}" for k, v in value.items()) or "–"
    return told(key, value)


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Block:
    rows = [_with_bounds(row) for row in rows]
    keys = tuple(dict.fromkeys(key for row in rows for key in row))
    cells = tuple(tuple(_line(row[k], k) if k in row else "" for k in keys) for row in rows)
    return Block("table", title, tuple(heading(k) for k in keys), cells)


def _history(title: str, rows: Sequence[Mapping[str, Any]], kept: int | None = None) -> Block:
    table = _table(title, rows)
    return Block("history", title, table.columns, table.rows, epochs=tuple(rows), kept_epoch=kept)
