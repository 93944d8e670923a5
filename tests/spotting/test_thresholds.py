"""False alarms are shared out as by trying every combination."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from edgekws.metrics.event_tradeoff import NEVER, Point
from edgekws.spotting.thresholds import allocate, centred, worth


@st.composite
def curves(draw: st.DrawFn) -> dict[str, list[Point]]:
    built = {}
    for word in ("a", "b", "c")[: draw(st.integers(1, 3))]:
        counts = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=5))
        rows = [Point(0.1 * (n + 1), m, 0, 0, f) for n, (m, f) in enumerate(counts)]
        built[word] = [*rows, Point(NEVER, 6, 0, 0, 0)]
    return built


@given(curves(), st.integers(0, 12))
def test_no_combination_is_better(points: dict[str, list[Point]], allowed: int) -> None:
    result = allocate(points, allowed)
    assert list(result) == list(points)
    fitting = [
        chosen
        for row in product(*points.values())
        if worth(chosen := dict(zip(points, row, strict=True)))[1] <= allowed
    ]
    assert worth(result) == min(map(worth, fitting))


def test_the_middle_between_false_alarms_and_hits_is_taken() -> None:
    points = [Point(0.3, 0, 0, 0, 2), Point(0.4, 0, 0, 0, 0), Point(0.8, 0, 0, 0, 0),
              Point(0.9, 3, 0, 0, 0)]  # fmt: skip
    assert centred(points[2], points, lambda t: Point(t, 0, 0, 0, 0)).threshold == 0.6
    assert centred(points[2], points, lambda t: Point(t, 1, 0, 0, 0)) == points[2]
    never = Point(NEVER, 3, 0, 0, 0)
    noisy = [Point(0.5, 1, 0, 0, 9), never]
    assert centred(never, noisy, lambda t: Point(t, 3, 0, 0, 0)) == never
