"""What every key of a recipe must have, whichever member of a family brings it."""

from edgekws.core.kinds import kinds
from edgekws.recipe.json_schema import IN_RECIPES, properties, recipe_schema

SCHEMA = recipe_schema()


def test_every_key_of_a_recipe_has_a_description() -> None:
    found = list(properties(SCHEMA))
    without = [f"{table}.{key}" for table, key, value in found if not value.get("description")]
    assert without == []
    assert len(found) >= 190


def test_every_member_of_every_family_is_a_choice() -> None:
    for family in IN_RECIPES:
        refs = SCHEMA["definitions"][f"any_{family.lower()}"]["oneOf"]
        members = [SCHEMA["definitions"][ref["$ref"].rpartition("/")[2]] for ref in refs]
        chosen = [member["properties"]["kind"]["const"] for member in members]
        assert tuple(chosen) == kinds(family)
        assert all("kind" in member["required"] for member in members)
        assert all(member["additionalProperties"] is False for member in members)
