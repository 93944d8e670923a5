"""The reference page of a recipe's keys, written from the schema that reads recipes."""

import json
import re
from collections.abc import Iterator
from typing import Any

from edgekws.core.kinds import kinds
from edgekws.recipe.json_schema import IN_RECIPES, recipe_schema
from edgekws.search.model import Sweep

Schema = dict[str, Any]

_REF = "#/definitions/"
_ROOTS = ("front_end", "augment")
_ORDER = ("Dataset", "Synthesizer", "Target", "Step", "Backbone", "Quantizer")
_BOUNDS = {
    "minimum": "≥\N{NO-BREAK SPACE}{}",
    "exclusiveMinimum": ">\N{NO-BREAK SPACE}{}",
    "maximum": "≤\N{NO-BREAK SPACE}{}",
    "exclusiveMaximum": "<\N{NO-BREAK SPACE}{}",
}
_NAMES = ("AdamW", "SGD", "SpecAugment")
_TYPES = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "string"}

RECIPE_INTRO = """# Recipe keys

Every key of a recipe with its type, its default and its meaning. In the column of defaults,
*required* marks a key that must be there, – an optional one without a default, and *its own* a
table whose keys have the defaults listed for that table. `--set KEY=VALUE` overrides any key on the
command line: `--set dataset.root=DIR`, `--set steps.distill.training.epochs=5`.

A table with a `kind` is a choice between the members of a family: the `kind` of a
[dataset](#datasets), a [synthesizer](#synthesizers), a [step](#steps), a [backbone](#backbones), a
[quantizer](#quantizers) or a [target](#targets).

Editors that read JSON schemas complete and check recipes with
[recipe.schema.json](../recipe.schema.json), which is made from the same classes.
"""
SWEEP_INTRO = """# Sweep keys

Every key of the file that `edgekws sweep` reads. The keys that a sweep varies are those of
[the recipe](recipe.md).
"""


def recipe_page() -> str:
    """Return the page of every recipe key as Markdown."""
    schema = recipe_schema()
    definitions = schema["definitions"]
    keys = schema["properties"] | schema["else"]["properties"]
    parts = [RECIPE_INTRO, "## The recipe\n", _table(keys, set(schema["else"]["required"]))]
    for key in _ROOTS:
        name = _name(schema["properties"][key])
        parts += [f"## {_title(name)}\n", *_body(definitions[name])]
    parts += ["## Budget\n", _BUDGET]
    for family in sorted(IN_RECIPES, key=_ORDER.index):
        parts += [f"## {family}s\n"]
        for kind, member in zip(kinds(family), _members(definitions, family), strict=True):
            parts += [f"### {family} {kind}\n", *_body(member, member=True)]
    parts += ["## Shared tables\n"]
    for name in _shared(definitions):
        parts += [f"### {_title(name)}\n", *_body(definitions[name])]
    return "\n".join(parts)


_BUDGET = """One key for each limit: `max_` or `min_` and the name of a [metric](metrics.md), as in
`max_params = 10_000`. The recipe's `[budget]` judges the final model and the bundle; the `budget`
of a step stops the run at that step. A broken limit ends the run with
[exit code 3](exit-codes.md).
"""


def sweep_page() -> str:
    """Return the page of every key of a sweep file as Markdown."""
    schema = Sweep.model_json_schema(ref_template=_REF + "{model}")
    parts = [SWEEP_INTRO, "## The sweep\n"]
    parts.append(_table(schema["properties"], set(schema["required"])))
    for name, definition in schema["$defs"].items():
        parts += [f"### {_title(name)}\n", *_body(definition)]
    return "\n".join(parts)


def _members(definitions: dict[str, Schema], family: str) -> Iterator[Schema]:
    for choice in definitions[f"any_{family.lower()}"]["oneOf"]:
        yield definitions[choice["$ref"].removeprefix(_REF)]


def _shared(definitions: dict[str, Schema]) -> list[str]:
    """Return the tables that are no member of a family and have no section of their own."""
    own = {"FrontEndFields", "Augment", "budget"}
    return [name for name in definitions if "__" not in name and name not in own and name[0] != "a"]


def _title(name: str) -> str:
    """Return the heading of a table: the name of its class in words, SpecAugment as it is."""
    name = name.removesuffix("Fields")
    if name in _NAMES:
        return name
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", name)


def _body(definition: Schema, member: bool = False) -> list[str]:
    """Return the description and the keys of a table; the heading of a `member` is its kind."""
    properties = definition["properties"]
    if member:
        properties = {key: value for key, value in properties.items() if key != "kind"}
    text = definition.get("description", "").strip() + "\n"
    if not properties:
        return [text]
    return [text, _table(properties, set(definition.get("required", ())))]


def _table(properties: dict[str, Schema], required: set[str]) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, value in properties.items():
        default = "required" if key in required else _default(value)
        meaning = _cell(value.get("description", ""))
        rows.append(f"| `{key}` | {_type(value)} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def _name(schema: Schema) -> str:
    """Return the definition that a key refers to, or an empty string."""
    for choice in (schema, *schema.get("allOf", ())):
        if "$ref" in choice:
            return str(choice["$ref"]).removeprefix(_REF)
    return ""


def _type(schema: Schema) -> str:
    """Return what a key takes: its type with bounds, its choices, or a link to its table."""
    if name := _name(schema):
        return _link(name)
    if "anyOf" in schema:
        options = [one for one in schema["anyOf"] if one not in ({"type": "object"}, _NULL)]
        return " or ".join(_type(option) for option in options)
    if "enum" in schema:
        return ", ".join(f"`{_value(choice)}`" for choice in schema["enum"])
    if "const" in schema:
        return f"`{_value(schema['const'])}`"
    if schema.get("type") == "array":
        return _array(schema)
    if schema.get("type") == "object" or "type" not in schema:
        return "table"
    if schema.get("format") == "path":
        return "path"
    bounds = ", ".join(t.format(_number(schema[k])) for k, t in _BOUNDS.items() if k in schema)
    return _TYPES[schema["type"]] + (f" {bounds}" if bounds else "")


_NULL = {"type": "null"}


def _link(name: str) -> str:
    if name.startswith("any_"):
        family = name.removeprefix("any_")
        return f"[{family}](#{family}s)"
    if name == "budget":
        return "[limits](#budget)"
    title = _title(name)
    return f"[{title.lower()}](#{title.lower().replace(' ', '-')})"


def _array(schema: Schema) -> str:
    items: Any = schema.get("items", schema.get("prefixItems", {}))
    if isinstance(items, list):
        return "[" + ", ".join(_type(item) for item in items) + "]"
    return f"list of {_type(items)}"


def _default(schema: Schema) -> str:
    default = schema.get("default")
    if default is None or default == "":
        return "–"
    if isinstance(default, dict):
        kind = default.get("kind")
        return f"`{{ kind = {_value(kind)} }}`" if set(default) == {"kind"} else "its own"
    return f"`{_value(default)}`"


def _value(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """Write a number: large ones with separators, 2³² as such, shares to four digits."""
    if value == 2**32:
        return "2³²"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4g}"


def _cell(text: str) -> str:
    """Return text for a cell: one line, the filler classes and tags as code."""
    line = " ".join(text.split()).replace("|", "\\|")
    return re.sub(r"(?<![`\w])(_[a-z]+(?:_[a-z]+)*_|<\w+>)(?![\w`])", r"`\1`", line)
