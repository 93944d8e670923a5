"""The page of events: what it says, and that it says the same every time."""

from pathlib import Path

import pytest

from edgekws.engine.event_results import ALL_KEYWORDS, EventEvaluation, KeywordEvents
from edgekws.errors import MachineError, UsageError
from edgekws.metrics.event_tradeoff import Point
from edgekws.metrics.events import hourly_interval, miss_interval
from edgekws.report import event_page, event_rows

FREE_S = 1200.0


def events(keyword: str, labels: int, misses: int, false_alarms: int) -> KeywordEvents:
    curve = [
        Point(0.2, 0, 0, 0, 9),
        Point(0.5, misses, 0, 0, false_alarms),
        Point(1.0001, labels, 0, 0, 0),
    ]
    return KeywordEvents(
        keyword, 0.5, labels, misses,
        misses / labels if labels else None, miss_interval(misses, labels) if labels else None,
        false_alarms, 3 * false_alarms, hourly_interval(false_alarms, FREE_S),
        repeats=1, confusions=2, end_error_ms=81.4 if labels else None, end_bias_ms=None,
        curve=tuple(curve),
    )  # fmt: skip


def evaluation(false_alarms: int) -> EventEvaluation:
    told = {"smoothing_ms": 200.0, "refractory_ms": 500.0, "timing_offset_ms": 120.0}
    rows = (events("<да>", 20, 1, false_alarms), events("нет", 0, 0, 0))
    total = events(ALL_KEYWORDS, 20, 1, false_alarms)
    return EventEvaluation(told, 0.25, 12, 1300.0, FREE_S, rows, total, ("a note",))


def test_none_in_twenty_minutes_is_told_as_what_it_shows():
    told = event_rows.proof(evaluation(0).total, FREE_S)
    assert told == "no false alarm in 20.0 min shows that fewer than 11 an hour come (95 %)"
    told = event_rows.proof(evaluation(1).total, FREE_S)
    assert told == "1 false alarm in 20.0 min: between 0.076 and 17 an hour (95 %)"


def test_the_page_holds_everything_and_is_the_same_every_time(tmp_path: Path):
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


def test_outputs_that_cannot_be(tmp_path: Path):
    with pytest.raises(UsageError, match=r"a\.txt: --output is a folder, or a file that ends in"):
        event_page.check_output(tmp_path / "a.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match=r"b\.html: cannot be written .*; name another --output"):
        event_page.write_files(evaluation(0), "x", tmp_path / "file" / "b.html")
