"""The commands that take a bundle as it is: check one, give one away in another form."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.core.events import Event

Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle: its folder, or its zip.")]


class Form(StrEnum):
    """The forms in which a bundle can be given away."""

    FOLDER = "folder"
    ZIP = "zip"
    ORT = "ort"
    WAVEFORM = "waveform"


def verify(bundle: Bundle, json: Json = False) -> None:
    """Check a bundle: its files, what it declares, and the golden clips.

    No code of the bundle is run. The exit code is 5 where a file is missing, changed or harmful,
    and 4 where the golden clips give other logits than those written down.

    \b
    Examples:
      edgekws verify dist/quickstart
      edgekws verify quickstart.zip --json
    """
    from edgekws.bundle import verify as room

    with view_for(json) as view:
        found = room.verify(bundle)
        for note in found.notes:
            view.emit(Event("warning", f"{bundle}: {note}"))
        view.show_verified(found, bundle)


def export(
    bundle: Bundle,
    to: Annotated[Form, typer.Option("--to", help="The form to write.")],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="PATH", help="The folder, zip or .onnx file to write."),
    ],
    json: Json = False,
) -> None:
    """Write a bundle as a folder, as a zip, with .ort models, or as one graph of its two models.

    It is verified before, and again as written. The same bundle gives the same zip, byte by byte.
    ort is onnxruntime's own format. waveform is one ONNX file with the front end inside: float32
    samples (batch, window) in [-1, 1] in, the scores of all labels out; its metadata holds labels
    and sample rate, and the golden clips prove it.

    \b
    Examples:
      edgekws export dist/quickstart --to zip --output quickstart.zip
      edgekws export dist/quickstart --to ort --output device/quickstart
      edgekws export dist/quickstart --to waveform --output quickstart.onnx
    """
    from edgekws.bundle import waveform as room

    with view_for(json) as view:
        made = room.export_as(bundle, to.value, output)
        for note in made.verified.notes:
            view.emit(Event("warning", f"{bundle}: {note}"))
        view.show_exported(made)
