"""Misses and false alarms in continuous audio as a self-contained HTML page."""

from collections.abc import Sequence
from pathlib import Path

from edgekws.core.output import PICTURES, check_form, is_folder, write_text
from edgekws.report import _page, event_rows, mistake_rows
from edgekws.report.event_plots import curves_svg, write_picture
from edgekws.spotting.mistakes import Mistake
from edgekws.spotting.proof import proof
from edgekws.spotting.results import EventEvaluation

PAGES = (".html", ".htm")


def check_output(output: Path) -> None:
    """Refuse a path that `write_files` could not write, before anything is computed.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_form(output, (*PAGES, *PICTURES))


def write_files(
    evaluation: EventEvaluation, name: str, output: Path, worst: Sequence[Mistake] = ()
) -> list[Path]:
    """Write a page, a picture, or both to a folder, depending on the path; return the files.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_output(output)
    files = [output / "events.html", output / "det.png"] if is_folder(output) else [output]
    for file in files:
        if file.suffix.lower() in PAGES:
            write_text(file, page(evaluation, name, worst))
        else:
            write_picture(evaluation, file)
    return files


def page(evaluation: EventEvaluation, name: str, worst: Sequence[Mistake] = ()) -> str:
    """Return the page of the bundle called `name`: the same evaluation gives the same text."""
    from markupsafe import Markup

    values = {
        "name": name,
        "made": evaluation,
        "title": event_rows.title(evaluation),
        "proof": proof(evaluation.total, evaluation.keyword_free_s),
        "settings": event_rows.settings_line(evaluation),
        "basis": event_rows.basis_line(evaluation.total),
        "heads": event_rows.HEADS,
        "rows": event_rows.rows(evaluation),
        "curves": Markup(curves_svg(evaluation)),
        "worst": [mistake_rows.figure(mistake) for mistake in worst],
    }
    return _page.render("events.html", values)
