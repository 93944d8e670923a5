"""The page of events: what it says, and that it says the same every time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.errors import MachineError, UsageError
from edgekws.metrics.event_intervals import Basis
from edgekws.metrics.event_tradeoff import Point
from edgekws.metrics.intervals import clopper_pearson, garwood
from edgekws.report import event_page, event_rows, mistake_rows
from edgekws.spotting import mistakes
from edgekws.spotting.mistakes import Mistake
from edgekws.spotting.proof import proof
from edgekws.spotting.results import ALL_KEYWORDS, EventEvaluation, KeywordEvents

FREE_S = 1200.0


SPEAKERS = Basis("by speaker", 7, 2)
ALONE = Basis("if independent", 0, 1)
ONE = Basis("one speaker", 1, 0)


def events(
    keyword: str, labels: int, misses: int, false_alarms: int, basis: Basis = SPEAKERS
) -> KeywordEvents:
    curve = [
        Point(0.2, 0, 0, 0, 9),
        Point(0.5, misses, 0, 0, false_alarms),
        Point(1.0001, labels, 0, 0, 0),
    ]
    known = basis.kind != "one speaker"
    return KeywordEvents(
        keyword=keyword,
        threshold=0.5,
        labels=labels,
        misses=misses,
        miss_rate=misses / labels if labels else None,
        miss_rate_ci95=clopper_pearson(misses, labels) if labels and known else None,
        miss_rate_basis=basis if labels else None,
        false_alarms=false_alarms,
        false_alarms_per_hour=3 * false_alarms,
        false_alarms_per_hour_ci95=garwood(false_alarms, FREE_S) if known else None,
        false_alarms_per_hour_basis=basis,
        repeats=1,
        confusions=2,
        end_error_ms=81.4 if labels else None,
        end_bias_ms=None,
        curve=tuple(curve),
    )


def evaluation(false_alarms: int, basis: Basis = SPEAKERS) -> EventEvaluation:
    told = {"smoothing_ms": 200.0, "refractory_ms": 500.0, "timing_offset_ms": 120.0}
    rows = (events("<да>", 20, 1, false_alarms, basis), events("нет", 0, 0, 0, basis))
    total = events(ALL_KEYWORDS, 20, 1, false_alarms, basis)
    return EventEvaluation(
        settings=told,
        tolerance_s=0.25,
        recordings=12,
        audio_s=1300.0,
        keyword_free_s=FREE_S,
        keywords=rows,
        total=total,
        notes=("a note",),
    )


@pytest.mark.parametrize(
    ("basis", "false_alarms", "expected"),
    [
        (SPEAKERS, 0, "no false alarm in 20.0 min shows fewer than 11 per hour (95 %, "
         "by speaker)"),
        (SPEAKERS, 1, "1 false alarm in 20.0 min: between 0.076 and 17 per hour (95 %, "
         "by speaker)"),
        (ALONE, 0, "no false alarm in 20.0 min shows fewer than 11 per hour (95 %, "
         "if independent)"),
        (ONE, 0, "no false alarm in 20.0 min of one speaker: no interval, others may differ"),
        (ONE, 2, "2 false alarms in 20.0 min of one speaker: no interval, others may differ"),
    ],
)  # fmt: skip
def test_what_a_count_of_false_alarms_shows(basis: Basis, false_alarms: int, expected: str) -> None:
    assert proof(evaluation(false_alarms, basis).total, FREE_S) == expected


@pytest.mark.parametrize(
    ("basis", "line", "cells"),
    [
        (SPEAKERS, "misses by speaker (only 7, and 2 recordings without one); false alarms by "
         "speaker (only 7, and 2 recordings without one); 7 speakers: read it with care",
         ("5.0 [0.1, 24.9]", "12.00 [3.27, 30.72]")),
        (ALONE, "misses if independent (one recording); false alarms if independent "
         "(one recording)", ("5.0 [0.1, 24.9]", "12.00 [3.27, 30.72]")),
        (ONE, "misses of one speaker: no interval; false alarms of one speaker: no interval; "
         "1 speaker: read it with care",
         ("5.0 (one speaker)", "12.00 (one speaker)")),
    ],
)  # fmt: skip
def test_what_intervals_are_taken_over_stands_in_table_and_page(
    basis: Basis, line: str, cells: tuple[str, str]
) -> None:
    made = evaluation(4, basis)
    assert event_rows.lines(made)[1] == f"95 % intervals: {line}"
    for row in (event_rows.rows(made)[0], event_rows.rows(made)[-1]):
        assert (row[4], row[6]) == cells
    page = event_page.page(made, "x")
    assert all(text in page for text in (line, *cells))
    assert page.count("<svg") == 1


def test_a_keyword_of_one_recording_is_marked_among_others() -> None:
    made = evaluation(4)
    alone = events("нет", 5, 1, 0, ALONE)
    made = replace(made, keywords=(made.keywords[0], alone))
    assert event_rows.rows(made)[1][4] == "20.0 [0.5, 71.6] if independent"


def test_the_page_holds_everything_and_is_the_same_every_time(tmp_path: Path) -> None:
    made = evaluation(4)
    files = event_page.write_files(made, "связка", tmp_path / "r")
    page = files[0].read_text("utf-8")
    assert page == event_page.page(made, "связка")
    for told in (
        "&lt;да&gt;",
        "связка",
        "a note",
        "5.0 [0.1, 24.9]",
        "12.00 [3.27, 30.72]",
        "81 ms",
    ):
        assert told in page
    assert "<да>" not in page.replace("<да></text>", "")
    assert page.count("<svg") == 1
    assert files[1].stat().st_size > 5000


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.txt: --output is a folder, or a file that ends in"):
        event_page.check_output(tmp_path / "a.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"b\.html: cannot be written .*; name another --output"):
        event_page.write_files(evaluation(0), "x", tmp_path / "file" / "b.html")


def test_worst_mistakes_are_seen_and_heard(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(16_000) * 0.3) * 0.5, 8000)
    call = Mistake("close call", "да", 0.61, 0.7, 0, 0.4, 1.1, file="речь/a.wav")
    (call,) = mistakes.with_audio([call], [tmp_path / "a.wav"])
    page = event_page.page(evaluation(4), "связка", [call])
    for told in ("close call: да", "score 0.61 &lt; threshold 0.70; речь/a.wav, 0.40 s"):
        assert told in page
    assert call.audio in page
    assert "close call: да" not in event_page.page(evaluation(4), "связка")
    _, heads, (row,) = mistake_rows.table([call])
    assert len(heads) == len(row)
    assert row == ["close call", "да", "0.610", "0.700", "речь/a.wav", "0.40 s"]
