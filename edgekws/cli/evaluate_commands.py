"""The commands that run models on data: evaluate, compare, predict."""

from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.commands import Json, Overrides, RequiredRecipe, Split, view_for
from edgekws.core.events import Event
from edgekws.errors import DataError

SplitOption = Annotated[Split, typer.Option(help="The clips to evaluate on.")]


def evaluate(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL|BUNDLE…",
            help="ONNX files, bundles (folder or zip), or runs (their last step).",
        ),
    ],
    recipe: RequiredRecipe,
    overrides: Overrides = None,
    split: SplitOption = Split.dev,
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
    """Report how good models are on the data of a recipe, class by class.

    Precision, recall with its interval by speaker, F1, the labels most often confused, and the
    equal error rate (EER) of each keyword, for several models side by side. Each model uses its
    own front end; a warning is shown if it differs from the recipe's. The picture shows the
    confusion matrix and the DET curves.

    Choose between models on dev: the test figure of a model chosen on test is biased.

    \b
    Examples:
      edgekws evaluate dist/quickstart --recipe quickstart
      edgekws evaluate a.onnx b.onnx --recipe recipe.toml --output ab.png
      edgekws evaluate bundle.zip --recipe recipe.toml --split test --output report
    """
    from edgekws import api
    from edgekws.recipe.load import load
    from edgekws.report import evaluation_file

    if output is not None:
        evaluation_file.check_output(output)
    with view_for(json) as view:
        result = api.evaluate(
            *models,
            recipe=recipe,
            overrides=overrides or (),
            split=split.value,
            emit=view.emit,
        )
        view.show(result.shown)
        if output is not None:
            name = load(recipe, overrides or ()).recipe.name
            about = {"recipe": name, "split": split.value}
            for file in evaluation_file.write_evaluations(result.value, about, output):
                view.emit(Event("note", f"written: {file}"))


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
    """Say which of two or more models is better, on the same clips of a recipe's data.

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
