"""The command that searches: run a sweep, count its trials, write its best recipe."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekws.cli.commands import Json, Overrides, view_for
from edgekws.core.events import Event, quiet
from edgekws.errors import UsageError
from edgekws.report.shown import Shown, recipe_result

if TYPE_CHECKING:
    from edgekws.search.run import MakeCrew

    Hands = AbstractContextManager[tuple[int, MakeCrew]]


class Engine(StrEnum):
    """What runs the trials."""

    LOCAL = "local"
    RAY = "ray"


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
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Trials at once, one core each (default: all cores).",
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option("--engine", help="Local processes, or tasks of a running Ray cluster."),
    ] = Engine.LOCAL,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            metavar="HOST:PORT",
            help="The cluster (default: RAY_ADDRESS, or this machine's).",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="URL", help="A database, instead of a file in the runs folder."
        ),
    ] = None,
    overrides: Overrides = None,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Results are written to DIR/sweeps/NAME.")
    ] = Path("runs"),
    json: Json = False,
) -> None:
    """Search over any keys of a recipe: grids, lists, ranges, factors of an ablation.

    Invalid combinations are counted and reported with the reason. To resume an interrupted sweep,
    repeat the command: no finished trial is run again or counted twice. Failed trials are listed.
    With --storage, several machines share one sweep.

    With --engine ray, run it on a node of a running cluster (ray start --head, and on the others
    ray start --address HOST:PORT). Every node needs the same edgekws, and the dataset and the cache
    folder under the same paths; without a shared cache, each node computes features itself and
    interrupted trainings restart.

    \b
    Examples:
      edgekws sweep front-end-sweep --set dataset.root=DIR --set dataset.noise=DIR
      edgekws sweep sweep.toml --dry-run --json
      edgekws sweep sweep.toml --workers 4 --storage postgresql://host/sweeps
      edgekws sweep sweep.toml --engine ray --ray-address 10.0.0.5:6379
      edgekws sweep best runs/sweeps/front-end-sweep --output best.toml
    """
    if file == "best":
        _best(run, output, json=json)
    elif run is not None or output is not None:
        raise UsageError("RUN and --output go with: edgekws sweep best RUN --output FILE")
    else:
        hands = _hands(engine, ray_address, workers)
        (_plan if dry_run else _run)(file, overrides or [], hands, storage, runs, json=json)


@contextmanager
def _hands(
    engine: Engine, address: str | None, workers: int | None
) -> "Iterator[tuple[int, MakeCrew]]":
    """Yield the number of concurrent trials, and what creates the workers."""
    from edgekws.core.environment import core_count
    from edgekws.search.crew import LocalCrew
    from edgekws.search.ray_crew import RayCrew, connected

    if engine is Engine.RAY:
        with connected(address) as cpus:
            yield workers or cpus, RayCrew
    elif address is not None:
        raise UsageError("--ray-address goes with --engine ray")
    else:
        yield workers or core_count(), LocalCrew


def _run(
    file: str,
    overrides: list[str],
    hands: "Hands",
    storage: str | None,
    runs: Path,
    *,
    json: bool,
) -> None:
    from edgekws.cli.search_tables import result_tables
    from edgekws.report.sweep_page import write_page
    from edgekws.search import run as search
    from edgekws.search.load import load_sweep

    loaded = load_sweep(file, overrides)
    with hands as (workers, make_crew), view_for(json) as view:
        results = search.sweep(
            loaded,
            runs=runs,
            workers=workers,
            storage=storage,
            emit=view.emit,
            make_crew=make_crew,
        )
        folder = search.sweep_folder(runs, results.name)
        results.save(folder)
        write_page(results, folder / "report.html")
        view.emit(Event("note", f"results in {folder}: report.html, results.json, ranking.csv"))
        view.show(Shown("sweep", (results.to_dict(),), *result_tables(results)))


def _plan(
    file: str,
    overrides: list[str],
    hands: "Hands",
    storage: str | None,
    runs: Path,
    *,
    json: bool,
) -> None:
    from dataclasses import asdict

    from edgekws.cli.search_tables import plan_tables
    from edgekws.search.load import load_sweep
    from edgekws.search.plan import plan

    loaded = load_sweep(file, overrides)
    with hands as (workers, _), view_for(json) as view:
        emit = quiet if json else view.emit
        planned = plan(loaded, runs, workers, storage, emit)
        view.show(Shown("sweep_plan", (asdict(planned),), *plan_tables(planned)))


def _best(run: Path | None, output: Path | None, *, json: bool) -> None:
    from edgekws.core.output import check_output
    from edgekws.search.best import write_best

    if run is None or output is None:
        raise UsageError("best needs the sweep's folder and --output FILE")
    check_output(output)
    write_best(run, output)
    with view_for(json) as view:
        view.show(recipe_result(output))
