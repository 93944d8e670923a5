"""False alarms are shared out as by trying every combination."""

from itertools import product
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from edgekws.metrics.event_tradeoff import NEVER, Point
from edgekws.spotting.thresholds import PARTS, Candidate, allocate, centred, worth


@st.composite
def curves(draw: st.DrawFn) -> dict[str, list[Candidate]]:
    built = {}
    for word in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        counts = draw(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 3)), max_size=5))
        rows = [
            Candidate(Point(0.1 * (n + 1), misses, 0, 0, 0), expected)
            for n, (misses, expected) in enumerate(counts)
        ]
        built[word] = [*rows, Candidate(Point(NEVER, 6, 0, 0, 0), 0.0)]
    return built


@given(curves(), st.floats(0, 6))
def test_no_combination_is_better(candidates: dict[str, list[Candidate]], allowed: float) -> None:
    result = allocate(candidates, allowed)
    assert list(result) == list(candidates)
    assert worth(result)[1] <= allowed + 1e-6

    def parts(candidate: Candidate) -> int:
        return ceil(candidate.expected * PARTS - 1e-9)

    fitting = [
        worth(dict(zip(candidates, row, strict=True)))[0]
        for row in product(*candidates.values())
        if sum(map(parts, row)) <= int(allowed * PARTS + 1e-9)
    ]
    assert worth(result)[0] == min(fitting)


def test_the_middle_between_false_alarms_and_hits_is_taken_if_it_is_allowed() -> None:
    rows = [(0.3, 0, 2, 2.0), (0.4, 0, 0, 1.0), (0.8, 0, 0, 0.2), (0.9, 3, 0, 0.1)]
    candidates = [Candidate(Point(t, m, 0, 0, f), expected) for t, m, f, expected in rows]

    def at(misses: int, expected: float) -> Candidate:
        """Return what is chosen if the middle has these errors and 0.6 are allowed."""
        return centred(
            candidates[2],
            candidates,
            lambda t: Candidate(Point(t, misses, 0, 0, 0), expected),
            0.6,
        )

    assert at(0, 0.5).point.threshold == 0.6
    assert at(1, 0.5) == candidates[2]
    assert at(0, 0.7) == candidates[2]
    never = Candidate(Point(NEVER, 3, 0, 0, 0), 0.0)
    noisy = [Candidate(Point(0.5, 1, 0, 0, 9), 9.0), never]
    assert centred(never, noisy, lambda t: Candidate(Point(t, 3, 0, 0, 0), 0.0), 1.0) == never
