"""The search space of a sweep: its axes, and all combinations, valid or not."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgekws.core.canonical import canonical_json
from edgekws.core.events import Emit, progress
from edgekws.errors import Problem, RecipeError
from edgekws.recipe.load import load
from edgekws.recipe.model import Recipe
from edgekws.search.load import LoadedSweep
from edgekws.search.model import Range
from edgekws.search.overrides import flat, texts

MOST_VALUES = 10_000
"""Most values of one axis."""
MOST_COMBINATIONS = 100_000

SHOWN = 3
"""Invalid combinations to show for each reason."""

Params = Mapping[str, Any]
"""The value of every axis: a parameter's value, or the name of a factor's level."""


@dataclass(frozen=True)
class Axis:
    """One varied parameter or factor. `values` are empty for a range without steps."""

    name: str
    values: tuple[Any, ...]
    bounds: Range | None = None
    levels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def overrides(self, value: Any) -> list[str]:
        """Return the overrides of the recipe for `value`."""
        return texts(self.levels[value] if self.levels else {self.name: value})


@dataclass(frozen=True)
class Invalid:
    """An invalid combination: its values, and `(key, message)` of every reason."""

    params: Params
    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Space:
    """All combinations, in the order of the run."""

    axes: tuple[Axis, ...]
    valid: tuple[Params, ...]
    invalid: tuple[Invalid, ...]

    def reasons(self) -> list[dict[str, Any]]:
        """Return key, first message, count and the first few combinations of every reason."""
        by_kind: dict[tuple[str, str], list[Invalid]] = {}
        first: dict[tuple[str, str], str] = {}
        for invalid in self.invalid:
            for key, message in invalid.reasons:
                kind = key, re.sub(r"[0-9.]+", "…", message)[:40]
                by_kind.setdefault(kind, []).append(invalid)
                first.setdefault(kind, message)
        rows = [
            {
                "key": kind[0],
                "count": len(rejected),
                "message": first[kind],
                "first": [dict(invalid.params) for invalid in rejected[:SHOWN]],
            }
            for kind, rejected in by_kind.items()
        ]
        return sorted(rows, key=lambda row: (-row["count"], row["key"], row["message"]))


def axes(loaded: LoadedSweep) -> tuple[Axis, ...]:
    """Return the axes of a sweep, parameters before factors.

    Raises:
        RecipeError: a parameter has no values, or a grid has a range without steps.
    """
    parameters: list[Axis] = []
    problems: list[Problem] = []
    for path, key, value in flat(loaded.sweep.parameters):
        where = loaded.where("parameters", *path)
        try:
            parameters.append(_axis(key, value, grid=loaded.sweep.sampler == "grid"))
        except ValueError as error:
            problems.append(Problem(where, key, _first_line(error)))
    if problems:
        raise RecipeError(problems)
    factors = [Axis(f.name, tuple(f.levels), levels=f.levels) for f in loaded.sweep.factors]
    return (*parameters, *factors)


def _axis(key: str, value: Any, *, grid: bool) -> Axis:
    if isinstance(value, list) and value:
        if len({canonical_json(entry) for entry in value}) < len(value):
            raise ValueError("a value is listed twice; each counts once")
        return Axis(key, tuple(value))
    if isinstance(value, dict) and "low" in value:
        bounds = Range.model_validate(value)
        if bounds.step is None and grid:
            raise ValueError('a grid needs steps; add step = …, or choose sampler = "tpe"')
        return Axis(key, tuple(_steps(bounds)), bounds)
    raise ValueError("expected a list of values, or { low = …, high = … }")


def _first_line(error: ValueError) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    return str(error)


def _steps(bounds: Range) -> Iterator[int | float]:
    if bounds.step is not None:
        steps = (bounds.high - bounds.low) / bounds.step
        if steps >= MOST_VALUES:
            raise ValueError(f"has more than {MOST_VALUES:,} values; raise step")
        count = math.floor(steps + 1e-9) + 1
        yield from (bounds.low + i * bounds.step for i in range(count))


def combinations(varied: Sequence[Axis]) -> Iterator[Params]:
    """Yield every combination; the first axis changes slowest."""
    for values in itertools.product(*(axis.values for axis in varied)):
        yield dict(zip((axis.name for axis in varied), values, strict=True))


def finite(varied: Sequence[Axis]) -> bool:
    """Return whether the combinations can be listed."""
    return all(axis.values for axis in varied)


def enumerate_all(loaded: LoadedSweep, emit: Emit) -> Space:
    """Validate every combination.

    Raises:
        RecipeError: a key does not exist, or no combination is valid.
    """
    varied = axes(loaded)
    total = math.prod(len(axis.values) for axis in varied)
    if total > MOST_COMBINATIONS:
        text = f"{total:,} combinations; {MOST_COMBINATIONS:,} at most, name fewer values"
        raise RecipeError([Problem(loaded.where("parameters"), "parameters", text)])
    valid: list[Params] = []
    invalid: list[Invalid] = []
    for done, params in enumerate(combinations(varied)):
        if done % 20 == 0:
            progress(emit, "checking combinations", done, total)
        reasons = problems_of(loaded, varied, params)
        if reasons:
            invalid.append(Invalid(params, reasons))
        else:
            valid.append(params)
    progress(emit, "checking combinations", total, total)
    space = Space(varied, tuple(valid), tuple(invalid))
    if not valid:
        raise RecipeError([_none_valid(loaded, space)])
    return space


def _none_valid(loaded: LoadedSweep, space: Space) -> Problem:
    worst = space.reasons()[0]
    text = (
        f"none of {len(space.invalid)} combinations is valid; {worst['count']} of them because "
        f"of {worst['key']}: {worst['message']}"
    )
    return Problem(loaded.where("parameters"), "parameters", text)


def recipe_of(
    loaded: LoadedSweep, varied: Sequence[Axis], params: Params, more: Sequence[str] = ()
) -> Recipe:
    """Return the recipe of a combination; `more` overrides what the combination sets.

    Raises:
        RecipeError: the combination is not valid.
    """
    chosen = [text for axis in varied for text in axis.overrides(params[axis.name])]
    return load(loaded.base, [*loaded.fixed, *chosen, *more]).recipe


def problems_of(
    loaded: LoadedSweep, varied: Sequence[Axis], params: Params
) -> tuple[tuple[str, str], ...]:
    """Return `(key, message)` of every problem of a combination.

    Raises:
        RecipeError: the sweep file is wrong, as a key does not exist.
    """
    try:
        recipe = recipe_of(loaded, varied, params)
    except RecipeError as error:
        if mistakes := [p for p in error.problems if _leads_nowhere(p)]:
            raise RecipeError([loaded.relocated(p) for p in mistakes]) from error
        return tuple((p.key, p.message) for p in error.problems)
    return tuple(_too_short_for_pruning(loaded, recipe))


def _too_short_for_pruning(loaded: LoadedSweep, recipe: Recipe) -> Iterator[tuple[str, str]]:
    if loaded.sweep.pruning is None:
        return
    last = loaded.sweep.pruning.rungs[-1]
    step: Any = next(step for step in recipe.steps if step.name == loaded.sweep.until)
    if step.training.epochs <= last:
        key = f"steps.{step.name}.training.epochs"
        yield (
            key,
            f"{step.training.epochs} are no more than the last rung of pruning, {last}",
        )


def _leads_nowhere(problem: Problem) -> bool:
    return not problem.key or problem.message.startswith(("no such key", "is missing"))
