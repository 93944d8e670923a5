"""The command that searches: run a sweep, say what it would do, take its best recipe."""

from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.commands import Json, Overrides, view_for
from edgekws.core.events import Event, quiet
from edgekws.errors import UsageError


def sweep(
    file: Annotated[
        str, typer.Argument(metavar="SWEEP.toml|best", help="A sweep file, or the word best.")
    ],
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="With best: the folder of a sweep's results."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="With best: the recipe to write."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the combinations; train nothing.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Processes; all cores if omitted."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option("--storage", metavar="URL", help="A database instead of a file in RUNS."),
    ] = None,
    overrides: Overrides = None,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Results are in its sweeps/NAME.")
    ] = Path("runs"),
    json: Json = False,
) -> None:
    """Search over any keys of a recipe: grids, lists, ranges, factors of an ablation.

    Combinations that cannot be are counted and told with the reason. A sweep that was stopped
    goes on with the same command: no finished trial is run again or counted twice. Trials that
    fail are listed. With --storage, several machines share one sweep.

    \b
    Examples:
      edgekws sweep front-end-sweep --set dataset.root=DIR --set dataset.noise=DIR
      edgekws sweep sweep.toml --dry-run --json
      edgekws sweep sweep.toml --workers 4 --storage postgresql+psycopg://host/sweeps
      edgekws sweep best runs/sweeps/front-end-sweep --output best.toml
    """
    if file == "best":
        _best(run, output, json=json)
    elif run is not None or output is not None:
        raise UsageError("RUN and --output go with: edgekws sweep best RUN --output FILE")
    elif dry_run:
        _plan(file, overrides or [], workers, storage, runs, json=json)
    else:
        _run(file, overrides or [], workers, storage, runs, json=json)


def _run(
    file: str,
    overrides: list[str],
    workers: int | None,
    storage: str | None,
    runs: Path,
    *,
    json: bool,
) -> None:
    from edgekws.cli.search_tables import result_tables
    from edgekws.engine.environment import core_count
    from edgekws.report.sweep_page import write_page
    from edgekws.search import run as search
    from edgekws.search.load import load_sweep

    loaded = load_sweep(file, overrides)
    with view_for(json) as view:
        found = search.sweep(
            loaded,
            runs=runs,
            workers=workers or core_count(),
            storage=storage,
            emit=view.emit,
        )
        folder = search.sweep_folder(runs, found.name)
        found.save(folder)
        write_page(found, folder / "report.html")
        view.emit(Event("note", f"results in {folder}: report.html, results.json, ranking.csv"))
        view.show_tables("sweep", found.to_dict(), *result_tables(found))


def _plan(
    file: str,
    overrides: list[str],
    workers: int | None,
    storage: str | None,
    runs: Path,
    *,
    json: bool,
) -> None:
    from dataclasses import asdict

    from edgekws.cli.search_tables import plan_tables
    from edgekws.engine.environment import core_count
    from edgekws.search.load import load_sweep
    from edgekws.search.plan import plan

    loaded = load_sweep(file, overrides)
    with view_for(json) as view:
        emit = quiet if json else view.emit
        found = plan(loaded, runs, workers or core_count(), storage, emit)
        view.show_tables("sweep_plan", asdict(found), *plan_tables(found))


def _best(run: Path | None, output: Path | None, *, json: bool) -> None:
    from edgekws.search.best import write_best

    if run is None or output is None:
        raise UsageError("best needs the sweep's folder and --output FILE")
    write_best(run, output)
    with view_for(json) as view:
        view.show_recipe(output)
