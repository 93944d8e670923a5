"""Format values as TOML, each on one line."""

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: Any) -> str:
    """Return text, a number, a list or a table as TOML.

    >>> toml_value({"low": 1e-3, "kind": "adamw", "betas": [0.9, 0.99], "seed": None})
    '{ kind = "adamw", low = 0.001, betas = [0.9, 0.99] }'
    """
    if isinstance(value, Mapping):
        inside = ", ".join(toml_pairs(value))
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    # a basic TOML string is a JSON string, except for DEL
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_pairs(table: Mapping[str, Any]) -> list[str]:
    """Return `key = value` for every key that is not `None`, `kind` first."""
    ordered = sorted(table.items(), key=lambda pair: pair[0] != "kind")
    return [f"{toml_key(key)} = {toml_value(value)}" for key, value in ordered if value is not None]


def toml_key(key: str) -> str:
    """Return a key, quoted if necessary.

    >>> toml_key("max_params"), toml_key("a.b")
    ('max_params', '"a.b"')
    """
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)
