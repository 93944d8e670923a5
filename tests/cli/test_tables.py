"""Which verdicts decide a run, and which mistakes are the most frequent."""

from edgekws.cli.tables import budget_rows, confused, step_line
from edgekws.core.measurement import Limit, Verdict
from edgekws.core.report import Report, Result


def _verdict(value: float) -> Verdict:
    return Verdict(Limit("params", "max", value), 1, 0.5, ok=True)


def _report(*verdicts: tuple[Verdict, ...]) -> Report:
    results = tuple(Result(f"s{n}", "teacher", "", (), given) for n, given in enumerate(verdicts))
    return Report("demo", "", {}, {}, results, ok=True)


def test_own_budgets_of_steps_and_the_last_verdicts_decide() -> None:
    own, recipe, last = _verdict(1), _verdict(2), _verdict(3)
    report = _report((own, recipe), (recipe,), (last,))
    assert budget_rows(report, [{"max_params": 1}, {}]) == [("s0", own), ("s2", last)]


def test_a_run_that_ended_at_a_step_shows_each_of_its_limits_once() -> None:
    own, recipe = _verdict(1), _verdict(2)
    rows = budget_rows(_report((recipe,), (own, recipe)), [{}, {"max_params": 1}, {}])
    assert rows == [("s1", own), ("s1", recipe)]
    assert budget_rows(_report(), [{}]) == []


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
