"""The details of a step as blocks that a page can show."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from edgekws.core.details import Kind, Kinds
from edgekws.core.figures import NOTHING, amount, count, ratio, share

_FIGURE = re.compile(r"[-−+]?[\d,]*\.?\d+(e[-+]?\d+)?( \S{1,3})?( \[.*\])?")

UNITS = {"_kib": "KiB", "_us": "µs", "_ms": "ms", "_db": "dB"}
"""The units that the ends of keys name, as those of metrics do."""

_SHARES = (
    *("accuracy", "balanced_accuracy", "macro_recall", "recall", "precision", "agreement"),
    *("label_agreement", "coverage", "int8_coverage", "macs_share"),
    *("dev_accuracy", "dev_balanced_accuracy", "dev_macro_recall"),
)
_RATIOS = ("control_ratio", "of_input", "of_plain_export", "of_fastest_fp32")

_FORMS: dict[str, Callable[[float], str]] = {
    **dict.fromkeys(_SHARES, lambda value: share(value, 2)),
    **dict.fromkeys(_RATIOS, lambda value: f"{ratio(value)} ×"),
    "drop": lambda value: f"{100 * value:.2f} pp",
}
"""How the figures under a key are printed; shares with the digits that set candidates apart."""


@dataclass(frozen=True)
class Block:
    """One thing to show: `pairs`, a `table`, a `list`, a `group`, or a table with its picture.

    The pictures are those of a training `history` and of a `frontier` of accuracy and coverage.

    `columns` head the `rows` of a table; pairs are rows of two; `inner` are the blocks of a group.
    """

    kind: Literal["pairs", "table", "list", "group"] | Kind
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


def details_block(details: Mapping[str, Any], kinds: Kinds) -> Block:
    """Return how to show the details of a step: known kinds specially, others as any value."""
    return _mapping("", details, kinds)


def block(title: str, value: object) -> Block:
    """Return how to show `value`, without leaving anything out."""
    if isinstance(value, Mapping):
        return _mapping(title, value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(item, Mapping) for item in value):
            return _table(title, value)
        return Block("list", title, rows=tuple((_line(item),) for item in value))
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

    >>> numeric([["conv", "24.1 µs [24.0, 24.4]", "–"], ["add", "8,451 µs", "2e-06"]])
    (1, 2)
    """
    return tuple(i for i, cells in enumerate(zip(*rows, strict=True)) if _figures(cells))


def plain(value: object) -> str:
    """Write any scalar.

    >>> plain(0.000123456), plain(12), plain(None), plain(True), plain(0.5)
    ('0.0001235', '12', '–', 'yes', '0.5')
    """
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else count(value)
    return str(value)


def scalar(key: str, value: object) -> str:
    """Write a scalar as figures under its key are printed.

    >>> scalar("dev_accuracy", 0.98642), scalar("size_kib", 22.81), scalar("control_ratio", 0.9991)
    ('98.64 %', '22.8 KiB', '0.999 ×')
    >>> scalar("drop", 0.001238), scalar("epoch", 3), scalar("pairs", 29_840)
    ('0.12 pp', '3', '29,840')
    """
    if not isinstance(value, float):
        return count(value) if type(value) is int and abs(value) >= 10_000 else plain(value)
    if key in _FORMS:
        return _FORMS[key](value)
    unit = next((unit for end, unit in UNITS.items() if key.endswith(end)), "")
    return f"{amount(value)} {unit}" if unit else plain(value)


def bounded(key: str, value: object, ci95: object) -> str:
    """Write a scalar with its 95 % interval.

    >>> bounded("control_ratio", 1.004, [0.998, 1.011]), bounded("drop", None, None)
    ('1.004 × [0.998, 1.011]', '–')
    """
    if not isinstance(ci95, list | tuple):
        return scalar(key, value)
    low, high = (scalar(key, bound).rpartition(" ")[0] or scalar(key, bound) for bound in ci95)
    return f"{scalar(key, value)} [{low}, {high}]"


def _figures(cells: Sequence[str]) -> bool:
    """Return whether there are figures, and nothing else but blanks."""
    known = [cell for cell in cells if cell not in ("", NOTHING)]
    return bool(known) and all(_FIGURE.fullmatch(cell) for cell in known)


def _with_bounds(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with each interval next to its value."""
    return {
        key: bounded(key, item, value[f"{key}_ci95"]) if f"{key}_ci95" in value else item
        for key, item in value.items()
        if key.removesuffix("_ci95") not in value or not str(key).endswith("_ci95")
    }


def _mapping(title: str, value: Mapping[str, Any], kinds: Kinds = MappingProxyType({})) -> Block:
    value = _with_bounds(value)
    scalars = {k: v for k, v in value.items() if k not in kinds and _is_scalar(v)}
    pairs = Block("pairs", title, rows=tuple((heading(k), _line(v, k)) for k, v in scalars.items()))
    if len(scalars) == len(value):
        return pairs
    show = {key: _DRAWN[kind] for key, kind in kinds.items()}
    inner = [show.get(k, block)(heading(k), v) for k, v in value.items() if k not in scalars]
    return Block("group", title, inner=(*((pairs,) if scalars else ()), *inner))


def _is_scalar(value: object) -> bool:
    if isinstance(value, list | tuple):
        flat = not any(isinstance(item, Mapping | list | tuple) for item in value)
        return flat and len(_line(value)) <= 80
    return not isinstance(value, Mapping)


def _line(value: object, key: str = "") -> str:
    """Write a value within one cell, as figures under its key are printed."""
    if isinstance(value, list | tuple):
        return ", ".join(_line(item, key) for item in value) or NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{heading(k)} {_line(v, str(k))}" for k, v in value.items()) or NOTHING
    return scalar(key, value)


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Block:
    """Return a row of cells for every mapping; a mapping within one has columns of its own."""
    lines = [_cells(_with_bounds(row)) for row in rows]
    names = tuple(dict.fromkeys(name for line in lines for name in line))
    columns = tuple(": ".join(map(heading, name)) for name in names)
    cells = tuple(tuple(line.get(name, "") for name in names) for line in lines)
    return Block("table", title, columns, cells)


def _cells(row: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Return the cells of a row, by its keys and those of the mappings in it."""
    cells: dict[tuple[str, ...], str] = {}
    for key, value in row.items():
        if isinstance(value, Mapping) and value:
            inner = _with_bounds(value)
            cells |= {(key, k): _line(v, k) for k, v in inner.items()}
        else:
            cells[key,] = _line(value, key)
    return cells


def _history(title: str, history: Mapping[str, Any]) -> Block:
    rows = history["epochs"]
    table, kept = _table(title, rows), history["kept_epoch"]
    return replace(table, kind="history", epochs=tuple(rows), kept_epoch=kept)


def _frontier(title: str, points: Sequence[Mapping[str, Any]]) -> Block:
    """Return the points, each row naming the layer it keeps in FP32 in addition to those above."""
    rows = [
        {"in FP32": f"+ {point['layers'][-1]}" if point["layers"] else "none"}
        | {key: value for key, value in point.items() if key != "layers"}
        for point in points
    ]
    return replace(_table(title, rows), kind="frontier", points=tuple(points))


_DRAWN: dict[Kind, Callable[[str, Any], Block]] = {"history": _history, "frontier": _frontier}
