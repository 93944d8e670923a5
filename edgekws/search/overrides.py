"""Tables of a sweep file as overrides of a recipe, `key=value` as after `--set`."""

from collections.abc import Iterator, Mapping
from typing import Any

from edgekws.recipe.toml_lines import KeyPath
from edgekws.recipe.toml_values import toml_value


def flat(table: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[KeyPath, str, Any]]:
    """Yield path in the table, dotted key and value of everything that is set.

    A table goes down into its keys, but for one with a `kind`, and one of `low` and `high`: these
    are values. Several kinds are values of a key.

    >>> list(flat({"a": {"b": 1}, "c.d": [2], "e": {"kind": "x"}}))
    [(('a', 'b'), 'a.b', 1), (('c.d',), 'c.d', [2]), (('e',), 'e', {'kind': 'x'})]
    >>> list(flat({"e": {"kind": ["x", "y"]}}))
    [(('e', 'kind'), 'e.kind', ['x', 'y'])]
    """
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, Mapping) and value and not _is_value(value):
            yield from flat(value, here)
        else:
            yield here, ".".join(map(str, here)), value


def _is_value(table: Mapping[str, Any]) -> bool:
    one_kind = "kind" in table and not isinstance(table["kind"], list)
    return one_kind or bool({"low", "high"} & table.keys())


def texts(table: Mapping[str, Any]) -> list[str]:
    """Return a table as `key=value`.

    >>> texts({"augment": {"copies": 0}, "steps.distill.backbone": {"kind": "plain"}})
    ['augment.copies=0', 'steps.distill.backbone={ kind = "plain" }']
    """
    return [f"{key}={toml_value(value)}" for _, key, value in flat(table)]
