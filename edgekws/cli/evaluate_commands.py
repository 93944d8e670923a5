"""The commands that put models on data: how good they are, which is better, what they hear."""

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
    equal error rate (EER) of each keyword over thresholds of its score; several models stand side
    by side. Each model hears the clips through its own front end, and a warning says where that
    is not the recipe's. The confusion matrix and the DET curves are in the picture.

    The choice between models is made on dev; a model that was chosen on test has no honest figure.

    \b
    Examples:
      edgekws evaluate dist/quickstart --recipe quickstart
      edgekws evaluate a.onnx b.onnx --recipe recipe.toml --output ab.png
      edgekws evaluate bundle.zip --recipe recipe.toml --split test --output report
    """
    from edgekws.evaluation import evaluate as engine
    from edgekws.recipe.load import load
    from edgekws.report import evaluation_file
    from edgekws.report.results import evaluation_result

    if output is not None:
        evaluation_file.check_output(output)
    loaded = load(recipe, overrides or ())
    with view_for(json) as view:
        made = engine.evaluate(models, loaded, split.value, view.emit)
        view.show(evaluation_result(made))
        if output is not None:
            about = {"recipe": loaded.recipe.name, "split": split.value}
            for file in evaluation_file.write_evaluations(made, about, output):
                view.emit(Event("note", f"written: {file}"))


def compare(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="A B…",
            help="What evaluate takes; PATH,PATH is one system over its seeds, NAME=… names it.",
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
            help="Say how much data would tell this difference, in percentage points; by default "
            "the one observed.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say which of two or more models is better, on the same clips of a recipe's data.

    Each pair ends in a sentence: better, worse, or not told apart with this much data, and how
    much would tell. Behind it stand the exact McNemar test and the 95 % interval of the
    difference, from resampling speakers and, where a system has several, seeds; p-values are
    corrected for the number of pairs (Holm). The clips needed are those of a power of 0.8.

    The choice between models is made on dev; on test, only to report it.

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
        typer.Option("--top-k", metavar="N", help="Also write the next best labels, N in all."),
    ] = 1,
    json: Json = False,
) -> None:
    """Label audio: writes a table of file, label and score.

    The files of a folder come sorted, the rows of a table in their order; its columns start_s and
    end_s cut a clip out of a file. The table appears when it is complete: after an interruption,
    the same command goes on from what is done. Files that cannot be read are listed, left out,
    and make the exit code 5.

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
