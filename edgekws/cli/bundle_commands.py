"""The commands on bundles: verify one, export it in another form."""

from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.commands import Json, view_for
from edgekws.core.kinds import closest, kinds, summary
from edgekws.errors import UsageError

Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle: its folder, or its zip.")]


_FORMS = {kind.replace("_", "-"): kind for kind in kinds("Exporter")}
_FORMS_TOLD = "; ".join(
    f"{form}: {summary('Exporter', kind).rstrip('.')}" for form, kind in _FORMS.items()
)


def verify(bundle: Bundle, json: Json = False) -> None:
    """Check a bundle: its files, what it declares, and the golden clips.

    No code from the bundle is run. The exit code is 5 if a file is missing, changed or harmful,
    and 4 if the logits of the golden clips differ from those recorded.

    \b
    Examples:
      edgekws verify dist/quickstart
      edgekws verify quickstart.zip --json
    """
    from edgekws import api

    with view_for(json) as view:
        view.show(api.verify(bundle, emit=view.emit).shown)


def export(
    bundle: Bundle,
    to: Annotated[
        str, typer.Option("--to", metavar="|".join(_FORMS), help=f"The form. {_FORMS_TOLD}.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="PATH", help="The folder, zip, .onnx or .html file."),
    ],
    json: Json = False,
) -> None:
    """Export a bundle in another form; both the bundle and what is written are verified.

    The same bundle gives the same bytes, except with ort, onnxruntime's own format. web is a page
    to open in a browser, for microphone and recordings. waveform takes float32 samples (batch,
    window) in [-1, 1] and returns the scores of all labels; its metadata contains labels and
    sample rate.

    \b
    Examples:
      edgekws export dist/quickstart --to zip --output quickstart.zip
      edgekws export dist/quickstart --to c --output quickstart-c
      edgekws export dist/quickstart --to esp-idf --output components/quickstart
      edgekws export dist/quickstart --to tflite --output quickstart-tflite
      edgekws export dist/quickstart --to web --output quickstart.html
      edgekws export dist/quickstart --to ort --output device/quickstart
      edgekws export dist/quickstart --to waveform --output quickstart.onnx
    """
    from edgekws import api

    if to not in _FORMS:
        raise UsageError(f"--to {to}: no such form{closest(to, tuple(_FORMS))}")
    with view_for(json) as view:
        view.show(api.export(bundle, _FORMS[to], output, emit=view.emit).shown)
