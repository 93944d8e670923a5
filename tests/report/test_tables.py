"""Which mistakes are the most frequent, and what is said of a step."""

from edgekws.report.tables import confused, step_line


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
