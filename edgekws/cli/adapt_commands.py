"""The command that tunes a spotter to one person."""

from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.commands import Json, Overrides, complete_recipe, view_for
from edgekws.errors import BudgetError


def adapt(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|RUN",
            autocompletion=complete_recipe,
            help="The recipe that the bundle came from, or the folder of its run.",
        ),
    ],
    recordings: Annotated[
        Path,
        typer.Argument(
            metavar="RECORDINGS", help="Word folders of one person, as edgekws record writes them."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="The new bundle, e.g. dist/my-lights.")
    ],
    room: Annotated[
        Path | None,
        typer.Option(
            "--room",
            metavar="DIR|FILE",
            help="Minutes of the room without a keyword, in addition to _background_noise_.",
        ),
    ] = None,
    overrides: Overrides = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Build the bundle even if a limit is exceeded.")
    ] = False,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Where the report is written.")
    ] = Path("runs"),
    json: Json = False,
) -> None:
    """Tune a spotter to the voice of one person, and build a bundle of the result.

    About five recordings of each keyword are enough. The network is trained on them together with
    training clips, so that it forgets nothing, and only as far as false alarms allow; it is then
    quantized, calibrated and judged again. Earlier steps come from the cache, or are run first if
    they are not in it.

    The command ends with this person's misses before and after. They are cross-validated: each clip
    is judged by a network that was tuned on the others, before quantization. The new bundle would
    look too good on these recordings; make others to test it.

    \b
    Examples:
      edgekws adapt lights.toml my-voice --output dist/my-lights
      edgekws adapt runs/lights my-voice --room kitchen.wav --output dist/my-lights
      edgekws adapt lights.toml my-voice --output dist/gentle --set steps.adapt.share=0.2
    """
    from edgekws import api
    from edgekws.report.results import adapted_result

    with view_for(json) as view:
        result = api.adapt(
            recipe,
            recordings,
            output,
            room=room,
            overrides=overrides or (),
            keep_going=keep_going,
            runs=runs,
            emit=view.emit,
        )
        view.show(result.shown)
        view.show(adapted_result(result.value))
    if not result.ok:
        raise BudgetError(result.shown.problem)
