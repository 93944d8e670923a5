"""The recipe as a JSON schema, for editors: keys, descriptions, defaults and bounds.

Draft 7, because TOML editors read it. It is generated from the same classes that read a recipe,
with every member of every family; checks of the whole chain (names of steps, matching formats)
remain in the loader.
"""

import json
from collections.abc import Iterator
from inspect import getdoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edgekws.core import family
from edgekws.core.measurement import METRICS, SHARES
from edgekws.recipe.model import LARGEST_LIMIT, Recipe

DRAFT = "http://json-schema.org/draft-07/schema#"

_REF = "#/definitions/"
_EXTENDS = "path of a recipe to start from, relative to this file; what stands here replaces it"
_LIMITS = {"max": "at most", "min": "at least"}
_PARTIAL = ("dataset", "target")
"""Tables that a recipe extending another may give in part."""

IN_RECIPES = tuple(name for name in family.FAMILIES if name != "Exporter")
"""The families with members in a recipe."""

Schema = dict[str, Any]


def recipe_schema() -> Schema:
    """Return the schema of a recipe file."""
    members = {
        name: [family.load(name, kind) for kind in family.kinds(name)] for name in IN_RECIPES
    }
    classes: list[type[BaseModel]] = [Recipe, *(m for group in members.values() for m in group)]
    names, generated = models_json_schema(
        [(model, "validation") for model in classes], ref_template=_REF + "{model}"
    )
    definitions: dict[str, Schema] = {n: _draft7(s) for n, s in generated["$defs"].items()}
    for name, group in members.items():
        refs = [names[member, "validation"]["$ref"] for member in group]
        for member, ref in zip(group, refs, strict=True):
            _choose_by_kind(definitions[ref.removeprefix(_REF)], member)
        definitions[_any(name)] = {"oneOf": [{"$ref": ref} for ref in refs]}
    definitions["budget"] = _budget()
    del definitions["BaseModel"]  # the declared type of a member's field; nothing refers to it
    return _file(definitions.pop("Recipe"), definitions)


def recipe_schema_text() -> str:
    """Return the schema as JSON text, reproducible for the same members."""
    return json.dumps(recipe_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def properties(schema: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Yield (table, key, schema) for every key of a recipe."""
    for table, definition in {"recipe": schema, **schema["definitions"]}.items():
        for key, value in definition.get("properties", {}).items():
            yield table, key, value


def _file(recipe: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return the schema of a file: a whole recipe, or the changes to one that it extends."""
    keys, required = recipe["properties"], recipe.pop("required")
    whole = {key: keys[key] for key in _PARTIAL}
    for key in _PARTIAL:
        ref = {"$ref": _REF + _any(key.capitalize())}
        keys[key] = {"description": keys[key]["description"], "anyOf": [ref, {"type": "object"}]}
    keys["extends"] = {"type": "string", "description": _EXTENDS}
    return {
        "$schema": DRAFT,
        "title": "edgekws recipe",
        **recipe,
        "definitions": definitions,
        "if": {"required": ["extends"]},
        "else": {"required": required, "properties": whole},
    }


def _any(name: str) -> str:
    return f"any_{name.lower()}"


def _choose_by_kind(definition: Schema, member: type[BaseModel]) -> None:
    """Make `kind` the key that selects a member."""
    summary = (getdoc(member) or "").partition("\n")[0]
    definition["properties"]["kind"]["description"] = summary
    definition["required"] = sorted({*definition.get("required", ()), "kind"})


def _budget() -> Schema:
    limits = {
        f"{op}_{metric}": {
            "type": "number",
            "minimum": 0,
            "maximum": 1 if metric in SHARES else LARGEST_LIMIT,
            "description": f"{metric}: {words} this" + (f", in {unit}" if unit else ""),
        }
        for metric, unit in METRICS.items()
        for op, words in _LIMITS.items()
    }
    return {"type": "object", "properties": limits, "additionalProperties": False}


def _draft7(schema: Any) -> Any:
    """Convert pydantic's schema to draft 7, without titles and `null`.

    TOML has no null: a key is left out. Draft 7 ignores keys next to a `$ref`, so it moves into an
    `allOf`. The marker of a family's member becomes the choice of its kinds.
    """
    if isinstance(schema, list):
        return [_draft7(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: value for key, value in schema.items() if key != "title"}
    keys = schema.pop("properties", None)
    literal = {key: schema.pop(key) for key in ("default", "const", "enum") if key in schema}
    fixed = {key: _draft7(value) for key, value in schema.items()}
    fixed |= {key: _without_none(value) for key, value in literal.items() if value is not None}
    if keys is not None:
        fixed["properties"] = {key: _property(key, value) for key, value in keys.items()}
    return _without_null(_positions(_referring(fixed)))


def _without_none(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_none(inside) for key, inside in value.items() if inside is not None}


def _property(key: str, schema: Schema) -> Schema:
    fixed: Schema = _draft7(schema)
    if key != "budget":
        return fixed
    extra: Schema = {name: fixed[name] for name in ("description", "default") if name in fixed}
    return {"allOf": [{"$ref": _REF + "budget"}], **extra}


def _referring(schema: Schema) -> Schema:
    ref = schema.pop("$ref", None)
    if "family" in schema:
        ref = _REF + _any(schema.pop("family"))
    if ref is None:
        return schema
    return {"allOf": [{"$ref": ref}], **schema} if schema else {"$ref": ref}


def _positions(schema: Schema) -> Schema:
    """Convert the entries of a list of fixed length to draft 7."""
    if "prefixItems" in schema:
        schema["items"] = schema.pop("prefixItems")
    return schema


def _without_null(schema: Schema) -> Schema:
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    if "anyOf" not in schema or len(branches) == len(schema["anyOf"]):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    if len(branches) > 1:
        return {"anyOf": branches, **rest}
    alone = branches[0]
    return {"allOf": [alone], **rest} if "$ref" in alone else {**alone, **rest}
