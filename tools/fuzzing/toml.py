"""Nested values as TOML text; what TOML cannot say is written as it would be guessed."""

import json
import re
import tomllib
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def loaded(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text."""
    return tomllib.loads(text)


def dumped(tree: Any) -> str:
    """Return TOML in which every top-level value stands on a line of its own."""
    if not isinstance(tree, dict):
        return f"value = {_value(tree)}\n"
    return "".join(f"{_key(key)} = {_value(inside)}\n" for key, inside in tree.items())


def _key(key: object) -> str:
    return str(key) if _BARE.fullmatch(str(key)) else _string(str(key))


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return _string(value)
    return "false" if value is None else str(value).lower()
