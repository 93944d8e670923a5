"""Compress: check the recipe in advance, run it, and write the report of the run."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event
from edgekws.core.report import Report
from edgekws.core.store import used_by
from edgekws.engine.chain import resolved, run_context
from edgekws.engine.data import Source
from edgekws.engine.recipe_run import RecipeRun
from edgekws.engine.run_folder import (
    check_dist,
    check_runs,
    close_run,
    complete,
    logged,
    open_run,
)
from edgekws.errors import BudgetError, EdgekwsError, UsageError
from edgekws.recipe.load import Loaded, builtins
from edgekws.recipe.model import Recipe


def compress(
    loaded: Loaded,
    *,
    runs: Path,
    dist: Path,
    force: Sequence[str] = (),
    keep_going: bool = False,
    emit: Emit,
) -> Report:
    """Run the chain of a recipe and return its report, even if the budget is not met.

    If a limit on parameters, MACs or size cannot be met by any weights, nothing is trained. Unless
    `keep_going`, the run ends at a step that exceeds its own budget, and before the test split is
    used if the final model exceeds the recipe's budget on the dev split. The report is always
    written.

    Raises:
        UsageError: something else is at the path of the bundle or of the link to the run.
        BudgetError: a counted limit cannot be met, without `keep_going`.
        EdgekwsError: a step failed; earlier results stay in the cache.
    """
    _check_names(loaded.recipe, force)
    recipe = resolved(loaded.recipe)
    check_dist(dist / recipe.name)
    check_runs(runs / recipe.name)
    _check_counts(loaded, keep_going, emit)
    folder, log = open_run(runs / recipe.name, recipe)
    with log:
        emit = logged(emit, log)
        emit(Event("run", recipe.name, data={"folder": str(complete(folder))}))
        cache = cache_folder()
        source = Source(recipe, cache, emit)
        shared = run_context(source, recipe, cache, emit)
        run = RecipeRun(recipe, folder, shared, keep_going=keep_going, command=_command(loaded))
        try:
            with used_by(recipe.name, cache):
                source.write_clips(folder / "clips.csv")
                run.steps(force)
                if run.going_on:
                    run.bundle(dist / recipe.name)
            report = run.report.finished()
        except EdgekwsError as error:
            emit(Event("error", str(error)))
            emit(Event("note", f"what the run wrote is in {folder}"))
            run.report.failed(str(error)).save(folder / "report.json")
            raise
    close_run(folder, report)
    return report


def _command(loaded: Loaded) -> str:
    """Return the command that runs the recipe again."""
    name = loaded.recipe.name
    if loaded.path is None:
        return ""  # it came from a program
    recipe = name if builtins().get(name) == loaded.path else str(loaded.path)
    sets = [part for override in loaded.overrides for part in ("--set", override)]
    return shlex.join(["edgekws", "compress", recipe, *sets])


def _check_names(recipe: Recipe, force: Sequence[str]) -> None:
    names = [step.name for step in recipe.steps]
    if unknown := sorted(set(force) - set(names)):
        raise UsageError(f"--force {unknown[0]}: no step has that name; known: {', '.join(names)}")


def _check_counts(loaded: Loaded, keep_going: bool, emit: Emit) -> None:
    from edgekws.engine.plan import cannot_be_met

    broken = cannot_be_met(loaded, emit)
    if broken and not keep_going:
        lines = "\n".join(broken)
        raise BudgetError(f"nothing is trained; --keep-going trains anyway\n{lines}")
    for line in broken:
        emit(Event("warning", line))
