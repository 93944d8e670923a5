"""Validation errors as messages for the author of a recipe."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from edgekws.core import family
from edgekws.core.family import MemberOf, closest
from edgekws.recipe.toml_lines import KeyPath

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "string": "text in quotes",
    "path": "a path in quotes",
    "bool": "true or false",
    "list": "a list, [ … ]",
    "tuple": "a list, [ … ]",
    "set": "a list, [ … ]",
    "frozen": "a list, [ … ]",
    "iterable": "a list, [ … ]",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
    "dataclass": "a table",
}
_BOUNDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "finite_number": "must be a finite number",
    "string_pattern_mismatch": "must look like {pattern}",
}
_WRONG_KIND = ("member_kind", "union_tag_invalid")
_MISSING = {("schema",): "is missing; begin the recipe with schema = 1"}
_LENGTHS = {
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} letters",
    "string_too_long": "must have at most {max_length} letters",
}


def explain(
    model: type[BaseModel], data: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]
) -> dict[KeyPath, str]:
    """Return a message for the key path of every error of `model` in `data`."""
    by_path: dict[KeyPath, list[str]] = {}
    for loc, error in _flat(errors, ()):
        path = _in_data(loc, data)
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # counted after the wrong entries were dropped; they have their own errors
        if error["type"] in _WRONG_KIND and isinstance(error["input"], dict):
            path += ("kind",) if "kind" in error["input"] else ()
        messages = by_path.setdefault(path, [])
        message = _message(error, _fields(model, data, path[:-1]))
        if message not in messages:
            messages.append(message)
    return {path: "; or ".join(messages) for path, messages in by_path.items()}


def _flat(
    errors: Iterable[Mapping[str, Any]], prefix: KeyPath
) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield errors with their full paths; those of family members are nested."""
    for error in errors:
        path = prefix + tuple(error["loc"])
        if error["type"] == "member":
            yield from _flat(error["ctx"]["errors"], path)
        else:
            yield path, error


def _in_data(loc: KeyPath, data: Any) -> KeyPath:
    """Return `loc` without names of union branches, which are not keys."""
    path: KeyPath = ()
    value = data
    for n, part in enumerate(loc):
        entry = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if entry or (isinstance(value, dict) and part in value):
            path, value = (*path, part), value[part]
        elif isinstance(value, dict) and n == len(loc) - 1:
            path = (*path, part)
    return path


def _message(error: Mapping[str, Any], known: tuple[str, ...]) -> str:
    kind, ctx = str(error["type"]), error.get("ctx", {})
    if kind == "missing":
        return _MISSING.get(tuple(error["loc"]), "is missing")
    if kind == "extra_forbidden":
        return "no such key" + (closest(str(error["loc"][-1]), known) if known else "")
    if kind in _LENGTHS:
        return _LENGTHS[kind].format(**ctx)
    if kind == "value_error":
        return str(ctx["error"])
    if kind == "union_tag_not_found":
        return f"{str(ctx['discriminator'])[1:-1]} is missing"
    if kind == "union_tag_invalid":
        tags = tuple(tag.strip(" '") for tag in str(ctx["expected_tags"]).split(","))
        return f"no kind is called {ctx['tag']!r}{closest(str(ctx['tag']), tags)}"
    if kind in _BOUNDS:
        return f"{_BOUNDS[kind].format(**ctx)}, not {_shown(error['input'])}"
    expected = _EXPECTED.get(kind.split("_", 1)[0])
    if expected and kind.endswith(("_type", "_parsing", "_from_float", "_size")):
        return f"expected {expected}, not {_shown(error['input'])}"
    return str(error["msg"])


def _shown(value: object) -> str:
    """Format a value as TOML, truncated if it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


_Table = type[BaseModel] | MemberOf
"""The type of a table: a model, or any member of a family."""


def _fields(model: type[BaseModel], data: Any, path: KeyPath) -> tuple[str, ...]:
    """Return the keys that the table at `path` may have."""
    tables: list[_Table] = [model]
    for part in path:
        if isinstance(part, str):
            annotations = (a for m in _models(tables, data) for a in _field(m, part))
            tables = [table for annotation in annotations for table in _inside(annotation)]
        data = data[part]
    fields = (pair for m in _models(tables, data) for pair in m.model_fields.items())
    names = [field.alias or name for name, field in fields]
    return tuple(dict.fromkeys(names))


def _field(model: type[BaseModel], key: str) -> tuple[object, ...]:
    """Return the annotation of a field and its metadata."""
    for name, info in model.model_fields.items():
        if key in (name, info.alias):
            return (info.annotation, *info.metadata)
    return ()


def _inside(annotation: object) -> Iterator[_Table]:
    """Yield every model and every family in an annotation."""
    if isinstance(annotation, MemberOf) or (
        isinstance(annotation, type) and issubclass(annotation, BaseModel)
    ):
        yield annotation
    for argument in get_args(annotation):
        yield from _inside(argument)


def _models(tables: Sequence[_Table], data: Any) -> list[type[BaseModel]]:
    """Choose among `tables` by the `kind` in the data."""
    models = [table for table in tables if not isinstance(table, MemberOf)]
    if not isinstance(data, dict):
        return models
    kind = data.get("kind")
    names = [table.family for table in tables if isinstance(table, MemberOf)]
    known = [n for n in names if isinstance(kind, str) and kind in family.kinds(n)]
    members = [family.load(name, str(kind)) for name in known]
    same = [
        m for m in models if "kind" in m.model_fields and m.model_fields["kind"].default == kind
    ]
    return members + (same or models)
