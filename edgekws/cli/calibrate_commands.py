"""The commands that calibrate and evaluate detection on labelled continuous audio."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from edgekws.cli.bundle_commands import Bundle
from edgekws.cli.commands import Json, view_for
from edgekws.core.events import Event
from edgekws.report.shown import Shown

Positives = Annotated[
    Path,
    typer.Option(
        "--positives",
        metavar="TABLE|DIR",
        help="A table with file, keyword, speaker, start_s, end_s; or one folder per keyword.",
    ),
]
Negatives = Annotated[
    list[Path] | None,
    typer.Option(
        "--negatives",
        metavar="DIR|TABLE",
        help="Audio without keywords, one folder per speaker; may be repeated.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="Use only these rows of the positives; VALUE,VALUE allows either; repeatable.",
    ),
]
Tolerance = Annotated[
    float,
    typer.Option("--tolerance-s", metavar="S", min=0, help="Tolerance around a label."),
]


def calibrate(
    bundle: Bundle,
    positives: Positives,
    max_fa_per_hour: Annotated[
        float,
        typer.Option(
            "--max-fa-per-hour",
            metavar="X",
            min=0,
            max=1e6,
            help="Highest rate of false alarms to expect, all keywords together.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="PATH", help="The bundle to write: a folder, or a .zip."),
    ],
    negatives: Negatives = None,
    where: Where = None,
    tolerance_s: Tolerance = 0.25,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE.html", help="Also write the curves as a page."),
    ] = None,
    json: Json = False,
) -> None:
    """Choose thresholds, smoothing and refractory time of a bundle for a rate of false alarms.

    Minimizes misses with at most --max-fa-per-hour false alarms, all keywords together, as expected
    in other audio that resembles the negatives and the positives outside their labels. In these
    recordings themselves, fewer are counted: thresholds that just exclude what is there let
    something else through. The times of labels also determine where events begin and end. The new
    bundle contains the settings and the curves they were chosen on; the original is not changed.

    Use recordings of speakers who are not in the test, such as those of dev.

    \b
    Examples:
      edgekws calibrate dist/wake-words --positives wuw2/manifest.csv --where speaker=spk001,spk002
          --negatives librispeech --negatives noise --max-fa-per-hour 2 --output dist/calibrated
      edgekws calibrate b.zip --positives dev.csv --negatives talk --max-fa-per-hour 0.5
          --output c.zip --page curves.html
    """
    from edgekws.core.output import check_form
    from edgekws.evaluation import calibrate as engine
    from edgekws.report import event_page, event_rows
    from edgekws.spotting.labelled_audio import parse_where

    if page is not None:
        check_form(page, event_page.PAGES, "--page", or_folder=False)
    chosen = parse_where(where or ())
    with view_for(json) as view:
        calibrated = engine.calibrate(
            bundle,
            positives,
            negatives or (),
            output,
            view.emit,
            max_fa_per_hour=max_fa_per_hour,
            where=chosen,
            tolerance_s=tolerance_s,
        )
        for note in calibrated.evaluation.notes:
            view.emit(Event("warning", note))
        evaluation = calibrated.evaluation
        table = (event_rows.title(evaluation), event_rows.HEADS, event_rows.rows(evaluation))
        lines = [
            *event_rows.lines(evaluation),
            f"Wrote {output}; sha256 {calibrated.verified.sha256}",
        ]
        view.show(Shown("calibrated", (asdict(calibrated),), [table], lines))
        if page is not None:
            for file in event_page.write_files(evaluation, str(output), page):
                view.emit(Event("note", f"written: {file}"))


def evaluate_events(
    bundle: Bundle,
    positives: Positives,
    negatives: Negatives = None,
    where: Where = None,
    tolerance_s: Tolerance = 0.25,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR|FILE",
            help="Also write a page (.html), a picture (.png, .svg, .pdf), or both: a folder.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Report misses and false alarms per hour of a bundle in continuous audio.

    Per keyword: misses and false alarms per hour with their 95 % intervals, the median error of the
    event's end, and, in page and picture, misses against false alarms over thresholds. The worst
    mistakes are listed with file and time; the page plays them.
    No false alarm in 20 minutes is reported as what it shows: fewer than 11 per hour.

    Intervals are by speaker: the column speaker of a table, and the folders directly under
    --negatives. With fewer than two known speakers they are by recording; one speaker gives no
    interval, and one recording gives one that assumes independent events.

    An event that overlaps a label of its keyword, within --tolerance-s, is a hit; one event hits
    one label. Further events there are repeats, events on a label of another keyword are counted
    separately, and all others are false alarms, in the time without keywords.

    \b
    Examples:
      edgekws evaluate-events dist/wake-words --positives test.csv --negatives librispeech
      edgekws evaluate-events dist/wake-words --positives wuw2/manifest.csv --where kind=sentence
          --where speaker=spk003,spk004 --negatives talk --output report
    """
    from edgekws.evaluation import evaluate_events as engine
    from edgekws.report import event_page, event_rows, mistake_rows
    from edgekws.spotting import mistakes
    from edgekws.spotting.labelled_audio import parse_where

    if output is not None:
        event_page.check_output(output)
    chosen = parse_where(where or ())
    with view_for(json) as view:
        evaluation, worst = engine.evaluate_events(
            bundle, positives, negatives or (), view.emit, chosen, tolerance_s
        )
        for note in evaluation.notes:
            view.emit(Event("warning", note))
        table = (event_rows.title(evaluation), event_rows.HEADS, event_rows.rows(evaluation))
        tables = [table, mistake_rows.table(worst)] if worst else [table]
        record = asdict(evaluation) | {"mistakes": [mistakes.as_record(one) for one in worst]}
        view.show(Shown("events", (record,), tables, event_rows.lines(evaluation)))
        if output is not None:
            for file in event_page.write_files(evaluation, str(bundle), output, worst):
                view.emit(Event("note", f"written: {file}"))
