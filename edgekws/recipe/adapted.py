"""The recipe of a bundle that is adapted to one person: the same chain with a step more."""

import tomllib
from pathlib import Path
from typing import Any

from edgekws.errors import UsageError
from edgekws.recipe.lock import lock
from edgekws.recipe.model import Recipe, slug_problem

ADAPT = "adapt"


def adapted(recipe: Recipe, recordings: Path, room: Path | None, output: Path) -> dict[str, Any]:
    """Return the tables of a recipe in which `adapt` follows the last training or conversion.

    It is called as the last part of `output`. Later steps that name an earlier network, as `tune`
    does, get the adapted one.

    Raises:
        UsageError: the recipe trains no network that could be tuned, or is adapted already, or the
            last part of `output` is its name, or cannot name a recipe.
    """
    if problem := slug_problem(output.name):
        raise UsageError(f"--output {output}: its last part names the bundle; {problem}")
    if output.name == recipe.name:
        raise UsageError(
            f"--output {output}: would replace the bundle of {recipe.name}; name another"
        )
    if any(step.name == ADAPT for step in recipe.steps):
        raise UsageError(
            f'{recipe.name}: has a step "{ADAPT}" already; name the recipe, or the run, that it '
            "was adapted from"
        )
    networks = [n for n, step in enumerate(recipe.steps) if step.gives == "checkpoint"]
    if not networks:
        raise UsageError(f"{recipe.name}: trains no network that can be adapted")
    tables = tomllib.loads(lock(recipe))
    at = networks[-1] + 1
    names = {recipe.steps[n].name for n in networks}
    step: dict[str, Any] = {"kind": ADAPT, "recordings": str(recordings)}
    if room is not None:
        step["room"] = str(room)
    later = [_of_adapted(table, names) for table in tables["steps"][at:]]
    return tables | {"name": output.name, "steps": [*tables["steps"][:at], step, *later]}


def _of_adapted(table: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return the table of a step, built of the adapted network where it names another one."""
    own = ("kind", "name")
    return {
        key: ADAPT if key not in own and isinstance(value, str) and value in names else value
        for key, value in table.items()
    }
