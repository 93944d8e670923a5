"""Compress: check what can be checked, run the recipe, and write the report of the run."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event
from edgekws.core.report import Report
from edgekws.core.store import used_by
from edgekws.engine.chain import bench, resolved
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
    """Run the chain of a recipe and return its report, also where the budget is not met.

    Where a limit on parameters, MACs or size cannot be met whatever is learnt, nothing is trained.
    A step whose own budget is broken ends the run there, and a final model that breaks the
    recipe's budget on the dev split ends it before the test split is touched, unless
    `keep_going`. The report is written in every case.

    Raises:
        UsageError: what stands where the bundle or the link to the run goes is neither.
        BudgetError: a counted limit cannot be met, and not `keep_going`.
        EdgekwsError: a step failed; what was done before it stays in the cache.
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
        shared = bench(source, recipe, cache, emit)
        run = RecipeRun(recipe, folder, shared, keep_going=keep_going, command=_command(loaded))
        try:
            with used_by(recipe.name, cache):
                source.write_clips(folder / "clips.csv")
                run.steps(force)
                if run.going_on:
                    run.bundle(dist / recipe.name)
            report = run.report()
        except EdgekwsError as error:
            emit(Event("error", str(error)))
            emit(Event("note", f"what the run wrote is in {folder}"))
            run.failed_report(str(error)).save(folder / "report.json")
            raise
    close_run(folder, report)
    return report


def _command(loaded: Loaded) -> str:
    """Return how the recipe is run again."""
    name = loaded.recipe.name
    if loaded.path is None:
        return ""  # it came from a program
    recipe = name if builtins().get(name) == loaded.path else str(loaded.path)
    sets = [part for one in loaded.overrides for part in ("--set", one)]
    return shlex.join(["edgekws", "compress", recipe, *sets])


def _check_names(recipe: Recipe, force: Sequence[str]) -> None:
    names = [step.name for step in recipe.steps]
    if unknown := sorted(set(force) - set(names)):
        raise UsageError(f"--force {unknown[0]}: no step has that name; known: {', '.join(names)}")


def _check_counts(loaded: Loaded, keep_going: bool, emit: Emit) -> None:
    from edgekws.engine.plan import cannot_be_met

    broken = cannot_be_met(loaded, emit)
    if broken and not keep_going:
        told = "\n".join(broken)
        raise BudgetError(f"nothing is trained; --keep-going trains all the same\n{told}")
    for line in broken:
        emit(Event("warning", line))
