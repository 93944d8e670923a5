"""The origin of every value of a recipe: file and line, or the command line."""

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekws.core.kinds import closest
from edgekws.core.paths import path_problem
from edgekws.errors import Problem, RecipeError
from edgekws.recipe.toml_lines import DEEPEST, TOO_DEEP, KeyPath, parse_toml, read_toml, unusable

_SHOWN = 200
_MOST_FILES = 50
_USAGE = "expected KEY=VALUE, e.g. steps.1.training.epochs=5"


def dotted(path: KeyPath) -> str:
    """Format a key path as after `--set`.

    >>> dotted(("steps", 1, "loss", "a.b"))
    'steps.1.loss."a.b"'
    """
    return ".".join(f'"{part}"' if "." in str(part) else str(part) for part in path)


@dataclass
class Values:
    """The merged tables of a recipe, and the origin of every key path.

    `files` are the recipe and those that it extends, in this order.
    """

    data: dict[str, Any]
    origins: dict[KeyPath, str]
    files: list[Path] = field(default_factory=list)

    def where(self, path: KeyPath) -> str:
        """Return `file:line` of `path`, or of the nearest table around it."""
        for n in range(len(path), 0, -1):
            if path[:n] in self.origins:
                return self.origins[path[:n]]
        return str(self.files[0]) if self.files else ""

    def set(self, path: KeyPath, value: object, where: str) -> None:
        """Replace the value at `path` by one from `where`."""
        table: Any = self.data
        for part in path[:-1]:
            table = table.setdefault(part, {}) if isinstance(table, dict) else table[part]
        table[path[-1]] = value
        self._forget(path)
        self.origins[path] = where

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]

    def merge(self, other: "Values") -> None:
        """Merge `other` over these values: tables are merged, everything else is replaced.

        A table of another `kind` replaces the existing one, as its fields differ.
        """
        self._merge(self.data, other.data, (), other)

    def _merge(
        self, below: dict[str, Any], above: dict[str, Any], path: KeyPath, other: "Values"
    ) -> None:
        for key, value in above.items():
            inner = (*path, key)
            if _mergeable(below.get(key), value):
                if inner in other.origins:
                    self.origins[inner] = other.origins[inner]
                self._merge(below[key], value, inner, other)
                continue
            below[key] = value
            self._forget(inner)
            self.origins |= {p: at for p, at in other.origins.items() if p[: len(inner)] == inner}


def _mergeable(below: object, above: object) -> bool:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return False
    return "kind" not in above or above["kind"] == below.get("kind")


def read(path: Path) -> Values:
    """Read a recipe file and those that it extends.

    Raises:
        RecipeError: a file cannot be read or is not TOML, or `extends` is circular or goes through
            too many files.
    """
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> Values:
    data, lines = read_toml(path)
    origins = {key: f"{path}:{line}" for key, line in lines.items()}
    return _extended(Values(data, origins, [path]), path, (*above, path.resolve()))


def given(data: Mapping[str, Any]) -> Values:
    """Return the values of a recipe given as a mapping; `extends` is relative to here.

    Raises:
        RecipeError: as `read`, for the recipe that it extends.
    """
    extension = Values(deepcopy(dict(data)), {(key,): "recipe" for key in data})
    return _extended(extension, Path("recipe"), ())


def _extended(extension: Values, path: Path, above: tuple[Path, ...]) -> Values:
    """Return the values of the recipe `path` merged over those that it extends."""
    if "extends" not in extension.data:
        return extension
    values = _read(_base(extension, path, above), above)
    del extension.data["extends"]
    del extension.origins[("extends",)]
    values.merge(extension)
    values.files[:0] = extension.files
    return values


def _base(values: Values, path: Path, above: tuple[Path, ...]) -> Path:
    """Return the file that `path` extends."""
    name = values.data["extends"]

    def wrong(message: str) -> RecipeError:
        return RecipeError([Problem(values.where(("extends",)), "extends", message)])

    if not isinstance(name, str):
        raise wrong("expected the path of another recipe, in quotes")
    base = path.parent / name
    if problem := path_problem(base):
        raise wrong(problem)
    if len(above) >= _MOST_FILES:
        raise wrong(f"more than {_MOST_FILES} recipes extend one another; merge some of them")
    if base.resolve() in above:
        raise wrong(f"{name} already extends this recipe; a recipe cannot start from itself")
    if not base.is_file():
        raise wrong(f"there is no file {base}; the path is relative to {path}")
    return base


def override(values: Values, overrides: Sequence[str]) -> list[Problem]:
    """Set the values given as `key=value`; return problems with those that cannot be set."""
    problems = []
    for text in overrides:
        key, equals, value = text.partition("=")
        try:
            if not equals:
                raise ValueError(_USAGE)
            at = _find(values.data, key.strip())
            values.set(at, _parse(value.strip()), f"--set {_cut(text)}")
        except ValueError as error:
            problems.append(Problem(f"--set {_cut(text)}", "", str(error)))
    return problems


def _parse(text: str) -> object:
    """Read a TOML value; a bare word is text."""
    try:
        parsed = parse_toml(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if not text or text[0] in "[{\"'":
            raise ValueError(f"{_cut(text) or 'nothing'} is not a TOML value: {error}") from error
        return text
    for _, message in unusable(parsed):
        raise ValueError(message)
    return parsed["value"] if set(parsed) == {"value"} else text


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _split(key: str) -> list[str]:
    """Split a dotted key; quoted parts may contain dots, and bare ones any letter.

    Raises:
        ValueError: a part is empty, or there are too many parts.
    """
    try:
        table = parse_toml(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        parts = [part.strip() for part in key.split(".")]
    else:
        parts = []
        while isinstance(table, dict) and len(table) == 1:
            name, table = table.popitem()
            parts.append(name)
    if not parts or not all(parts):
        raise ValueError(_USAGE)
    if len(parts) > DEEPEST:
        raise ValueError(TOO_DEEP)
    return parts


def _find(data: dict[str, Any], key: str) -> KeyPath:
    """Convert a dotted key to a path; a step is given by number or name.

    Raises:
        ValueError: the key does not exist.
    """
    parts = _split(key)
    if parts == ["extends"]:
        raise ValueError("extends belongs in the file; it cannot be set here")
    path: KeyPath = ()
    value: Any = data
    for n, part in enumerate(parts):
        if isinstance(value, list):
            path += (_index(value, part, dotted(path)),)
        elif isinstance(value, dict):
            path += (part,)
        else:
            raise ValueError(f"{dotted(path)} is a value, not a table; it has no {part}")
        inside = n + 1 < len(parts)
        value = _below(value, path[-1]) if inside else None
    return path


def _below(value: Any, part: str | int) -> Any:
    return value.get(part, {}) if isinstance(value, dict) else value[part]


def _index(items: list[Any], part: str, key: str) -> int:
    if part.isdecimal():
        if int(part) < len(items):
            return int(part)
        raise ValueError(f"{key} has {len(items)} entries, counted from 0")
    names = [str(i.get("name", i.get("kind"))) if isinstance(i, dict) else "" for i in items]
    if names.count(part) > 1:
        raise ValueError(f"more than one of {key} is called {part}; use its number")
    if part not in names:
        raise ValueError(f"none of {key} is called {part}{closest(part, tuple(names))}")
    return names.index(part)
