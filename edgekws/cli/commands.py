"""The commands. Each imports what it needs when called, so that `--help` stays fast."""

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekws.core.events import Event
from edgekws.errors import BudgetError, DataError, UsageError

if TYPE_CHECKING:
    from edgekws.cli.console import Terminal
    from edgekws.cli.json_lines import JsonLines
    from edgekws.core.report import Report


def complete_recipe(incomplete: str) -> list[str]:
    """Return the built-in recipes, and the recipe files here, that begin with `incomplete`."""
    from edgekws.recipe.load import builtins

    names = [*builtins(), *sorted(str(path) for path in Path().glob("*.toml"))]
    return [name for name in names if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Write JSON lines to standard output.")]
Recipe = Annotated[
    str,
    typer.Argument(
        help="A recipe file, or the name of a built-in recipe.",
        metavar="RECIPE",
        autocompletion=complete_recipe,
    ),
]
AllowCommands = Annotated[
    bool,
    typer.Option(
        "--allow-commands", help="Run the programs that the recipe names as voices (kind command)."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value; may be repeated."),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="RECIPE",
        autocompletion=complete_recipe,
        help="The recipe that the model came from.",
    ),
]
RequiredRecipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        metavar="RECIPE",
        autocompletion=complete_recipe,
        help="The recipe that names the data.",
    ),
]


class CheckFormat(StrEnum):
    """The formats of verdicts for people."""

    text = "text"
    github = "github"


class Split(StrEnum):
    """The splits a model can be evaluated on."""

    dev = "dev"
    test = "test"


def view_for(json: bool) -> "Terminal | JsonLines":
    """Return a view of events and results: for people, or for machines."""
    if json:
        from edgekws.cli.json_lines import JsonLines

        return JsonLines()
    from edgekws.cli.console import Terminal

    return Terminal()


def compress(
    recipe: Recipe,
    overrides: Overrides = None,
    force: Annotated[
        list[str] | None,
        typer.Option("--force", metavar="STEP", help="Run this step again; may be repeated."),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Build the bundle even if a limit is exceeded.")
    ] = False,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Where reports are written.")
    ] = Path("runs"),
    dist: Annotated[
        Path, typer.Option("--dist", metavar="DIR", help="Where the bundle is written.")
    ] = Path("dist"),
    download: Annotated[
        bool, typer.Option("--download", help="Download the recipe's data first, where possible.")
    ] = False,
    allow_commands: AllowCommands = False,
    json: Json = False,
) -> None:
    """Run the chain of a recipe, measured and judged at every step.

    Finished steps come from the cache; to resume an interrupted run, repeat the command.

    \b
    Examples:
      edgekws compress quickstart
      edgekws compress recipe.toml --set steps.distill.loss.temperature=2
      edgekws compress recipe.toml --force quantize --json > run.jsonl
      edgekws compress speech-commands-v2-12 --download
    """
    from edgekws import api
    from edgekws.core.permission import commands_allowed

    with view_for(json) as view, commands_allowed(allow_commands):
        result = api.compress(
            recipe,
            overrides=overrides or (),
            force=force or (),
            keep_going=keep_going,
            download=download,
            runs=runs,
            dist=dist,
            emit=view.emit,
        )
        view.show(result.shown)
    if not result.ok:
        raise BudgetError(result.shown.problem)


def plan(recipe: Recipe, overrides: Overrides = None, json: Json = False) -> None:
    """Predict size, MACs and latency of a recipe, without data or training.

    The exit code is 3 if a limit on parameters, MACs or size cannot be met.

    \b
    Examples:
      edgekws plan quickstart
      edgekws plan recipe.toml --set steps.to2d.backbone.channels=24
    """
    from edgekws import api

    with view_for(json) as view:
        result = api.plan(recipe, overrides=overrides or (), emit=view.emit)
        view.show(result.shown)
    if not result.ok:
        raise BudgetError(result.shown.problem)


def check(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL|BUNDLE", help="An ONNX file or a bundle's folder.")
    ],
    budget: Annotated[
        Path | None,
        typer.Option("--budget", metavar="FILE", help="A TOML file with limits."),
    ] = None,
    recipe: RecipeOption = None,
    overrides: Overrides = None,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Also write the verdicts as JUnit XML."),
    ] = None,
    form: Annotated[
        CheckFormat | None,
        typer.Option(
            "--format", help="github adds annotations (default if GITHUB_ACTIONS is true)."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure latency again, ignoring the cache.")
    ] = False,
    json: Json = False,
) -> None:
    """Judge any ONNX file or bundle against a budget.

    The exit code is 3 if a limit is exceeded or its metric was not measured. With --recipe,
    accuracy is measured on the dev split of its data, and its [budget] applies unless --budget
    names another. The recipe.lock.toml of a run works as a recipe. Latency excludes blocks of runs
    in which the process waited for a CPU; their number is reported.

    \b
    Examples:
      edgekws check model.onnx --budget budget.toml
      edgekws check dist/quickstart --recipe quickstart
      edgekws check dist/quickstart --recipe runs/quickstart/latest/recipe.lock.toml
      edgekws check dist/quickstart --budget budget.toml --junit budget.xml --format github
    """
    from edgekws import api
    from edgekws.cli import check_forms
    from edgekws.cli.process import write_line
    from edgekws.core.output import check_output

    if form and json:
        raise UsageError("--json is a format already; leave --format out")
    if junit is not None:
        check_output(junit, check_forms.OTHER_JUNIT)
    if budget is None and recipe is None:
        raise UsageError("check needs --budget FILE, --recipe FILE or both")
    with view_for(json) as view:
        result = api.check(
            model,
            budget=budget,
            recipe=recipe,
            overrides=overrides or (),
            fresh=fresh,
            emit=view.emit,
        )
        measurements, verdicts = result.value
        view.show(result.shown)
        if junit is not None:
            check_forms.write_junit(junit, model, measurements, verdicts)
            view.emit(Event("note", f"written: {junit}"))
    if not json and check_forms.for_github(form):
        for line in check_forms.annotations(model, verdicts):
            write_line(line)
    if not result.ok:
        raise BudgetError(result.shown.problem)


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A run, or a folder of runs (its newest), e.g. runs/quickstart."
        ),
    ],
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Also draw the overview: .png, .svg, .pdf."),
    ] = None,
    json: Json = False,
) -> None:
    """Rebuild the report of a run, and show its tables.

    \b
    Examples:
      edgekws report runs/quickstart
      edgekws report runs/quickstart/20260131-120000 --open
      edgekws report runs/quickstart --picture overview.png
    """
    from edgekws.report.html import write_html
    from edgekws.report.plots import check_picture, write_overview
    from edgekws.report.results import report_result

    if picture is not None:
        check_picture(picture)
    report, folder = _read_report(run)
    page = folder / "report.html"
    write_html(report, page)
    if picture is not None:
        write_overview(report, picture)
    with view_for(json) as view:
        view.show(report_result(report, page))
    if browser:
        webbrowser.open(page.resolve().as_uri())


def _read_report(run: Path) -> tuple["Report", Path]:
    from pydantic import ValidationError

    from edgekws.core.report import Report

    places = (run, run / "report.json", run / "latest" / "report.json")
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UsageError(
            f"{run}: there is no report; name a folder that compress wrote under runs/"
        )
    try:
        return Report.load(file), file.parent
    except ValidationError as error:
        raise DataError(f"{file} is not the report of a run; run compress again") from error
