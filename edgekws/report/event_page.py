"""Misses and false alarms in continuous audio as an HTML page that needs nothing beside it."""

from pathlib import Path

from edgekws.engine.event_results import EventEvaluation
from edgekws.errors import MachineError, UsageError
from edgekws.report import _page, event_rows
from edgekws.report.event_plots import curves_svg, write_picture

PAGES = (".html", ".htm")
PICTURES = (".png", ".svg", ".pdf")


def check_output(output: Path) -> None:
    """Refuse what `write_files` could not write, before anything is computed.

    Raises:
        UsageError: the suffix is of no kind that is written.
    """
    if not _is_folder(output) and output.suffix.lower() not in (*PAGES, *PICTURES):
        known = ", ".join((PAGES[0], *PICTURES))
        raise UsageError(f"{output}: --output is a folder, or a file that ends in {known}")


def write_files(made: EventEvaluation, name: str, output: Path) -> list[Path]:
    """Write a page, a picture, or into a folder both, as the path says; return the files.

    Raises:
        UsageError: the suffix is of no kind that is written.
        MachineError: it cannot be written.
    """
    check_output(output)
    files = [output / "events.html", output / "det.png"] if _is_folder(output) else [output]
    try:
        files[0].parent.mkdir(parents=True, exist_ok=True)
        for file in files:
            if file.suffix.lower() in PAGES:
                file.write_text(page(made, name), encoding="utf-8")
            else:
                write_picture(made, file)
    except OSError as error:
        raise MachineError(
            f"{output}: cannot be written ({error}); name another --output"
        ) from error
    return files


def page(made: EventEvaluation, name: str) -> str:
    """Return the page of the bundle called `name`: the same evaluation gives the same text."""
    from markupsafe import Markup

    values = {
        "name": name,
        "made": made,
        "title": event_rows.title(made),
        "proof": event_rows.proof(made.total, made.keyword_free_s),
        "settings": event_rows.settings_line(made),
        "basis": event_rows.basis_line(made.total),
        "heads": event_rows.HEADS,
        "rows": event_rows.rows(made),
        "curves": Markup(curves_svg(made)),
    }
    return _page.render("events.html", values)


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix
