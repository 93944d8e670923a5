"""Which mistakes are the most frequent, and what is said of a step."""

from dataclasses import replace

from edgekws.core.measurement import Budget, Limit, Measurement
from edgekws.core.report import Report, Result
from edgekws.report.head import facts
from edgekws.report.html import _values
from edgekws.report.results import report_result
from edgekws.report.tables import confused, step_line, step_tables


def test_the_most_frequent_mistakes_come_first() -> None:
    classes = [{"label": "a"}, {"label": "b"}, {"label": "c"}]
    confusion = [[9, 1, 3], [0, 9, 2], [2, 0, 9]]
    assert confused(classes, confusion, most=3) == [
        ["a", "c", "3"],
        ["b", "c", "2"],
        ["c", "a", "2"],
    ]


def test_a_step_from_the_cache_says_so() -> None:
    assert step_line("1/2 a", {"cached": True, "seconds": 3.0}) == "1/2 a: from the cache"
    assert step_line("1/2 a", {"seconds": 3.0}) == "1/2 a: 3.0 s"


def report(speakers: int) -> Report:
    """Return the report of a run whose figures rest on as many speakers."""
    found = (
        Measurement("accuracy", 0.9, n=80, ci95=(0.8, 0.96), speakers=speakers),
        Measurement("miss_rate", 0.1, n=40, ci95=(0.02, 0.3), speakers=speakers),
        Measurement("false_alarms_per_hour", 1.5, "/h", None, (0.2, 8.4), speakers),
        Measurement("detection_delay_ms", 421.0, "ms", 36),
    )
    heard = {"continuous": {"keyword_free_s": 2400.0}}
    results = (
        Result("export", "export", "0" * 64, found[:1]),
        Result("bundle", "bundle", "0" * 64, found, details=heard),
    )
    return Report("a", "0" * 64, {}, {}, results, ok=True, bundle_sha256="0" * 64)


def test_continuous_speech_has_a_table_of_its_own() -> None:
    *_, (title, heads, rows) = step_tables(report(8), wide=True)
    assert title == "in continuous speech"
    assert heads == ("", "misses", "false alarms", "delay", "without keywords")
    assert rows == [
        ["bundle (test)", "10.0 % [2.0, 30.0]", "1.5/h [0.2, 8.4]", "421 ms", "40 min 00 s"]
    ]


def test_the_kind_of_test_is_on_the_page_and_in_the_terminal() -> None:
    data = {"kind_of_test": "other engine (flite)", "test_caveats": ["never on real people"]}
    tested = replace(report(8), data=data)
    line = "other engine (flite); never on real people"
    assert dict(facts(tested))["kind of test"] == line
    assert f"kind of test: {line}" in report_result(tested).lines
    assert "kind of test" not in dict(facts(report(8)))


def test_figures_of_few_speakers_say_so_in_every_table() -> None:
    few = report(7)
    for title, _, rows in step_tables(few, wide=True):
        assert "7 speakers: read it with care" in title
        marked = [cell for row in rows for cell in row if cell.endswith(" †")]
        assert marked
        assert all(cell[0].isdigit() for cell in marked)
    for title, _, rows in step_tables(report(8), wide=True):
        assert "care" not in title
        assert not [cell for row in rows for cell in row if "†" in cell]
    cells = [cell for step in _values(few_without_details(few))["steps"] for cell in step["cells"]]
    assert sum("7 speakers: read it with care" in cell["interval"] for cell in cells) == 4


def few_without_details(report: Report) -> Report:
    """Return the report with what the page draws of a test in continuous speech left out."""
    results = tuple(Result(r.name, r.kind, r.sha256, r.measurements) for r in report.results)
    return Report("a", "0" * 64, {}, {}, results, ok=True)


def test_a_limit_that_several_results_exceed_is_named_once() -> None:
    limits = [Limit.parse("max_miss_rate", 0.05), Limit.parse("max_params", 10)]
    params = Measurement("params", 12)
    results = tuple(
        replace(result, verdicts=Budget(tuple(on)).check([*result.measurements, params]))
        for result, on in zip(report(9).results, (limits[1:], limits), strict=True)
    )
    problem = report_result(replace(report(9), results=results, ok=False)).problem
    assert problem == (
        "the budget is not met: max_params = 10 (export 12, −20.0 %; bundle 12, −20.0 %); "
        "max_miss_rate = 5.0 % (bundle 10.0 %, −5.0 pp)"
    )
    problem = report_result(replace(report(9), results=results[1:], ok=False)).problem
    assert "max_miss_rate = 5.0 % (10.0 %, −5.0 pp)" in problem
