"""A recipe written down in full: nothing left to a default."""

import json
import re
from typing import Any

from pydantic import BaseModel, ValidationError

from edgekws.core.protocols import Member
from edgekws.recipe.model import Recipe

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def lock(recipe: Recipe) -> str:
    """Return the recipe as TOML with all defaults filled in; loading it gives the same recipe.

    Fields without a value (`None`) are left out, as TOML has no word for them, and so are those
    that have no effect.
    """
    data = _dump(recipe)
    data |= {"dataset": _member(recipe.dataset), "target": _member(recipe.target)}
    del data["steps"]
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    lines = _pairs({key: value for key, value in data.items() if key not in tables})
    for key, table in tables.items():
        lines += ["", f"[{_key(key)}]", *_pairs(table)]
    for step in recipe.steps:
        lines += ["", "[[steps]]", *_pairs(_member(step))]
    return "\n".join(lines) + "\n"


def _dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True)


def _member(member: Member) -> dict[str, Any]:
    """Return the fields of a member.

    Where the others make some without effect, and the member therefore refuses to have them
    written down, only those that the recipe named are left.
    """
    assert isinstance(member, BaseModel)
    data = _dump(member)
    try:
        type(member).model_validate(data)
    except ValidationError:
        named = member.model_fields_set | {"kind"}
        return {key: value for key, value in data.items() if key in named}
    return data


def _pairs(table: dict[str, Any]) -> list[str]:
    ordered = sorted(table.items(), key=lambda pair: pair[0] != "kind")
    return [f"{_key(key)} = {_value(v)}" for key, v in ordered if v is not None]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(_pairs(value))
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, str):
        return toml_text(value)
    return json.dumps(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else toml_text(key)


def toml_text(text: str) -> str:
    """Write a TOML basic string; JSON's differs only in that it leaves DEL as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
