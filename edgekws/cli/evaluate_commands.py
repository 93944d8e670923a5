"""The commands that run models on data: evaluate, compare, predict."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edgekws.cli.commands import (
    Json,
    Overrides,
    RequiredRecipe,
    Split,
    complete_recipe,
    view_for,
)
from edgekws.core.events import Event
from edgekws.errors import DataError, UsageError

SplitOption = Annotated[Split, typer.Option(help="The clips to evaluate on.")]


def evaluate(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL|BUNDLE…",
            help="ONNX files, bundles (folder or zip), or runs (their last step).",
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="RECIPE",
            autocompletion=complete_recipe,
            help="The recipe that names the data.",
        ),
    ] = None,
    recordings: Annotated[
        Path | None,
        typer.Option(
            "--recordings",
            metavar="DIR",
            help="Word folders instead of a recipe, as record writes them; every clip is tested.",
        ),
    ] = None,
    overrides: Overrides = None,
    split: Annotated[
        Split | None, typer.Option(help="The recipe's clips to evaluate on (default: dev).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR|FILE",
            help="Also write a picture (.png, .svg, .pdf), all figures (.json), or both: a folder.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Report how good models are on the data of a recipe or on recordings, class by class.

    Precision, recall with its interval by speaker, F1, the labels most often confused, and the
    equal error rate (EER) of each keyword, for several models side by side. Each model uses its
    own front end; a warning is shown if it differs from the recipe's. The picture shows the
    confusion matrix and the DET curves.

    Choose between models on dev: the test figure of a model chosen on test is biased.

    --recordings takes a folder of word folders, such as edgekws record writes. Words that the model
    does not know are _unknown_. With one speaker the intervals are over clips: they show how
    certain the figure is for this voice, and nothing about other people.

    \b
    Examples:
      edgekws evaluate dist/quickstart --recipe quickstart
      edgekws evaluate a.onnx b.onnx --recipe recipe.toml --output ab.png
      edgekws evaluate bundle.zip --recipe recipe.toml --split test --output report
      edgekws evaluate dist/lights --recordings my-voice
    """
    from edgekws import api
    from edgekws.report import evaluation_file

    if (recipe is None) == (recordings is None):
        raise UsageError("name the data: --recipe RECIPE or --recordings DIR, one of these")
    if recordings is not None and (overrides or split):
        raise UsageError("--set and --split are for the data of a recipe; leave them out")
    if output is not None:
        evaluation_file.check_output(output)
    with view_for(json) as view:
        result = api.evaluate(
            *models,
            recipe=recipe,
            recordings=recordings,
            overrides=overrides or (),
            split=(split or Split.dev).value,
            emit=view.emit,
        )
        view.show(result.shown)
        if output is not None:
            about = _about(recipe, overrides or (), split or Split.dev, recordings)
            for file in evaluation_file.write_evaluations(result.value, about, output):
                view.emit(Event("note", f"written: {file}"))


def _about(
    recipe: str | None, overrides: Sequence[str], split: Split, recordings: Path | None
) -> dict[str, Any]:
    """Return what the figures of a file are of."""
    from edgekws.recipe.load import load

    if recipe is None:
        return {"recordings": str(recordings)}
    return {"recipe": load(recipe, overrides).recipe.name, "split": split.value}


def compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="A B…",
            help="As for evaluate; PATH,PATH is one system over several seeds, NAME=… names it.",
        ),
    ],
    recipe: RequiredRecipe,
    overrides: Overrides = None,
    split: SplitOption = Split.dev,
    points: Annotated[
        float | None,
        typer.Option(
            "--points",
            metavar="POINTS",
            help="Estimate the data needed to detect this difference, in percentage points "
            "(default: the one observed).",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare two or more models on the same clips of a recipe's data: which is better.

    The verdict on each pair is better, worse, or no difference detected with this much data, and
    how much data would be needed. It rests on the exact McNemar test and the 95 % interval of the
    difference, from resampling speakers and, for systems with several, seeds; p-values are
    corrected for the number of pairs (Holm). The clips needed are those for a power of 0.8.

    Choose between models on dev; use test only to report the choice.

    \b
    Examples:
      edgekws compare a.onnx b.onnx --recipe recipe.toml
      edgekws compare dist/small dist/large bundle.zip --recipe recipe.toml --split test
      edgekws compare plain=p1.onnx,p2.onnx kd=k1.onnx,k2.onnx --recipe recipe.toml --points 0.5
    """
    from edgekws import api

    with view_for(json) as view:
        result = api.compare(
            *systems,
            recipe=recipe,
            overrides=overrides or (),
            split=split.value,
            points=points,
            emit=view.emit,
        )
        view.show(result.shown)


def predict(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="A bundle: its folder, or its zip.")
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|TABLE",
            help="A folder with audio files, or a table (.csv, .tsv, .jsonl) with a column file.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="The CSV file to write.")
    ],
    top_k: Annotated[
        int,
        typer.Option("--top-k", metavar="N", help="Write the N best labels."),
    ] = 1,
    json: Json = False,
) -> None:
    """Label audio: write a table of file, label and score.

    The files of a folder are sorted, the rows of a table keep their order; its columns start_s and
    end_s cut a clip out of a file. The table appears once it is complete; to resume an interrupted
    run, repeat the command. Unreadable files are listed and skipped, and the exit code is 5.

    \b
    Examples:
      edgekws predict dist/quickstart recordings --output labels.csv
      edgekws predict quickstart.zip clips.csv --output labels.csv --top-k 3
    """
    from edgekws import api

    with view_for(json) as view:
        result = api.predict(bundle, source, output, top_k=top_k, emit=view.emit)
        view.show(result.shown)
    if unreadable := result.value.unreadable:
        raise DataError(f"{len(unreadable)} files are not in {output}: cannot be read")
