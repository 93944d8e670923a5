"""Every number of every member has two bounds: none of them can stop the machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from edgekws.core.family import FAMILIES, kinds, load
from edgekws.recipe.json_schema import Schema, properties, recipe_schema
from edgekws.recipe.model import Recipe
from edgekws.search.model import Sweep

LOWER = {"minimum", "exclusiveMinimum"}
UPPER = {"maximum", "exclusiveMaximum"}
CHOICES = {"const", "enum"}


def _numbers(schema: Schema) -> Iterator[Schema]:
    """Yield the schema of every number that a key may hold, in lists and tables too."""
    if schema.get("type") in ("integer", "number"):
        yield schema
    inside = [*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())]
    items = schema.get("items", [])
    inside += items if isinstance(items, list) else [items]
    inside += schema.get("prefixItems", [])
    more = schema.get("additionalProperties")
    for part in [*inside, *([more] if isinstance(more, dict) else [])]:
        yield from _numbers(part)


def _without(found: list[tuple[str, str, Schema]]) -> list[str]:
    return [
        f"{table}.{key}"
        for table, key, schema in found
        for number in _numbers(schema)
        if not (number.keys() & CHOICES or (number.keys() & LOWER and number.keys() & UPPER))
    ]


def test_every_number_of_a_recipe_has_both_bounds() -> None:
    found = list(properties(recipe_schema()))
    assert _without(found) == []
    assert sum(1 for *_, schema in found for _ in _numbers(schema)) >= 200


def test_every_number_of_a_sweep_has_both_bounds() -> None:
    schema = Sweep.model_json_schema()
    tables = {"sweep": schema, **schema["$defs"]}
    found = [(t, k, s) for t, d in tables.items() for k, s in d["properties"].items()]
    assert _without(found) == []
    assert sum(1 for *_, schema in found for _ in _numbers(schema)) >= 9


@pytest.mark.parametrize(
    "path", ["a" * 5000 + ".csv", "a\0b.csv", "~nobody-has-this-name/x.csv", "loop.csv"]
)
def test_every_path_of_a_recipe_can_be_looked_up(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop.csv").symlink_to("loop.csv")
    models: list[type[BaseModel]] = [
        Recipe,
        *(load(family, kind) for family in FAMILIES for kind in kinds(family)),
    ]
    tried = 0
    for model in models:
        for key, field in model.model_fields.items():
            if "Path" in str(field.annotation):
                tried += 1
                value = (path,) if "tuple" in str(field.annotation) else path
                with pytest.raises(ValidationError, match=key) as told:
                    model.model_validate({key: value})
                reasons = {e["loc"][0]: e["msg"] for e in told.value.errors()}
                assert any(
                    word in reasons[key] for word in ("name is", "NUL", "home", "links", "ssh")
                )
    assert tried >= 7
