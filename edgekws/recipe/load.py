"""Load a typed recipe from a TOML file, reporting all errors at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgekws.about import PACKAGE
from edgekws.core.kinds import closest
from edgekws.core.measurement import Budget
from edgekws.core.paths import path_problem, read_regular
from edgekws.errors import Problem, RecipeError
from edgekws.recipe import chain
from edgekws.recipe.messages import explain
from edgekws.recipe.model import Recipe, budget_problems, limits, parse_step
from edgekws.recipe.sources import Values, dotted, given, override, read
from edgekws.recipe.toml_lines import KeyPath, parse_toml, read_toml

AnyRecipe = Path | str | Mapping[str, Any]
"""A recipe's file, the name of a built-in one, or its tables."""


@dataclass(frozen=True)
class Loaded:
    """A recipe and its origin.

    `path` is its file, `None` for a mapping. `sources` are the file and those that it extends, in
    this order; `notes` describe what looks
    unintended, each with file and line.
    """

    recipe: Recipe
    path: Path | None
    sources: tuple[Path, ...]
    overrides: tuple[str, ...]
    notes: tuple[str, ...]
    values: Values

    def where(self, *path: str | int) -> str:
        """Return the `file:line` or the override of the value at a key path."""
        return self.values.where(path)


def builtins() -> dict[str, Path]:
    """Return the built-in recipes by name."""
    return {name: path for name, path in _ready().items() if not _is_sweep(path)}


def builtin_sweeps() -> dict[str, Path]:
    """Return the built-in sweeps by name."""
    return {name: path for name, path in _ready().items() if _is_sweep(path)}


def _ready() -> dict[str, Path]:
    package = PACKAGE
    inside = package / "recipes"
    folder = inside if inside.is_dir() else package.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _is_sweep(path: Path) -> bool:
    """Return whether a file varies a base recipe; invalid TOML is reported elsewhere."""
    try:
        return "base" in parse_toml(read_regular(path).decode("utf-8-sig"))
    except (OSError, ValueError):
        return False


def load(recipe: AnyRecipe, overrides: Sequence[str] = ()) -> Loaded:
    """Read a recipe: a file, the built-in one of a name, or the tables themselves as a mapping.

    `overrides` are `key=value` texts, such as `steps.distill.loss.temperature=2`.

    Raises:
        RecipeError: the recipe is invalid; contains every problem with its file, line and key.
    """
    file: Path | None = None
    if isinstance(recipe, Mapping):
        values = given(recipe)
    else:
        file = _find(recipe)
        values = read(file)
    problems = override(values, overrides)
    steps = [parse_step(table) for table in _tables(values.data.get("steps"))]
    located = dict(chain.problems(steps))
    try:
        model = Recipe.model_validate(values.data)
        located |= chain.too_short(model.steps, model.front_end.front_end().n_frames)
        located |= chain.uncounted_limits(model)
        located |= chain.along_a_stream(model)
        located |= chain.without_kernel(model)
    except ValidationError as error:
        located = explain(Recipe, values.data, error.errors()) | located
        model = None
    problems += [Problem(values.where(at), dotted(at), message) for at, message in located.items()]
    if problems or model is None:
        raise RecipeError(sorted(problems, key=_by_line))
    remarks = chain.notes(model.steps)
    if model.augment.spec_augment is None:
        remarks += chain.idle_masking(model.steps)
    notes = tuple(f"{values.where(at)}: {text}" for at, text in remarks)
    return Loaded(model, file, tuple(values.files), tuple(overrides), notes, values)


def load_budget(path: Path) -> Budget:
    """Read the limits of a TOML file: its `[budget]` table, or its top level.

    Raises:
        RecipeError: the file is not TOML, or a key is not a limit.
    """
    data, lines = read_toml(path)
    inside = isinstance(data.get("budget"), dict)
    table: dict[str, Any] = data["budget"] if inside else data
    prefix: KeyPath = ("budget",) if inside else ()
    wrong = dict(budget_problems(table))
    wrong |= {
        key: "expected a number"
        for key, value in table.items()
        if key not in wrong and (isinstance(value, bool) or not isinstance(value, int | float))
    }
    if wrong or not table:
        problems = [Problem(f"{path}:{lines[*prefix, k]}", k, m) for k, m in wrong.items()]
        raise RecipeError(problems or [Problem(str(path), "", "holds no limits")])
    return limits(table)


def _find(path: Path | str) -> Path:
    if problem := path_problem(path):
        raise RecipeError([Problem(str(path)[:80], "", problem)])
    file = Path(path).expanduser()
    match = file if file.exists() else _ready().get(str(path))
    if match is None:
        known = builtins()
        hint = f"; built-in recipes: {', '.join(known)}" if known else ""
        if len(file.parts) == 1 and known:
            hint = closest(file.stem, tuple(known))
        raise RecipeError([Problem(str(path), "", f"there is no such recipe file{hint}")])
    if _is_sweep(match):
        message = f"is a sweep, which varies a recipe; run it with edgekws sweep {path}"
        raise RecipeError([Problem(str(path), "", message)])
    return match


def _tables(steps: object) -> list[Any]:
    return steps if isinstance(steps, list) else []


def _by_line(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdecimal() else (problem.where, 0)
