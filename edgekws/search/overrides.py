"""Tables of a sweep file as overrides of a recipe, `key=value` as after `--set`."""

from collections.abc import Iterator, Mapping
from typing import Any

from edgekws.recipe.toml_lines import KeyPath
from edgekws.recipe.toml_values import toml_value


def flat(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, str, Any]]:
    """Yield the path in the table, the dotted key and the value of every setting.

    Tables are flattened, except those with a `kind`, or with `low` and `high`: these are values.
    Several kinds are values of a key.

    >>> list(flat({"a": {"b": 1}, "c.d": [2], "e": {"kind": "x"}}))
    [(('a', 'b'), 'a.b', 1), (('c.d',), 'c.d', [2]), (('e',), 'e', {'kind': 'x'})]
    >>> list(flat({"e": {"kind": ["x", "y"]}}))
    [(('e', 'kind'), 'e.kind', ['x', 'y'])]
    """
    for key, value in table.items():
        at = (*path, key)
        if isinstance(value, Mapping) and value and not _is_value(value):
            yield from flat(value, at)
        else:
            yield at, ".".join(map(str, at)), value


def _is_value(table: Mapping[str, Any]) -> bool:
    one_kind = "kind" in table and not isinstance(table["kind"], list)
    return one_kind or bool({"low", "high"} & table.keys())


def texts(table: Mapping[str, Any]) -> list[str]:
    """Return a table as `key=value`.

    >>> texts({"augment": {"copies": 0}, "steps.distill.backbone": {"kind": "plain"}})
    ['augment.copies=0', 'steps.distill.backbone={ kind = "plain" }']
    """
    return [f"{key}={toml_value(value)}" for _, key, value in flat(table)]
