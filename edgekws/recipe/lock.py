"""Write a complete recipe, with all defaults filled in."""

from typing import Any

from pydantic import BaseModel, ValidationError

from edgekws.core.protocols import Member
from edgekws.recipe.model import Recipe
from edgekws.recipe.toml_values import toml_key, toml_pairs


def lock(recipe: Recipe) -> str:
    """Return the recipe as TOML with all defaults filled in; loading it gives the same recipe.

    Fields without a value (`None`) are left out, as TOML has no null, and so are those without
    effect.
    """
    data = _dump(recipe)
    data |= {"dataset": _member(recipe.dataset), "target": _member(recipe.target)}
    del data["steps"]
    tables = {key: value for key, value in data.items() if isinstance(value, dict)}
    lines = toml_pairs({key: value for key, value in data.items() if key not in tables})
    for key, table in tables.items():
        lines += ["", f"[{toml_key(key)}]", *toml_pairs(table)]
    for step in recipe.steps:
        lines += ["", "[[steps]]", *toml_pairs(_member(step))]
    return "\n".join(lines) + "\n"


def _dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True)


def _member(member: Member) -> dict[str, Any]:
    """Return the fields of a member.

    If some fields have no effect given the others, and the member rejects them, only the fields
    given in the recipe are kept.
    """
    assert isinstance(member, BaseModel)
    data = _dump(member)
    try:
        type(member).model_validate(data)
    except ValidationError:
        given = member.model_fields_set | {"kind"}
        return {key: value for key, value in data.items() if key in given}
    return data
