"""The false alarms to expect are those that other speech has."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekws.metrics.event_tradeoff import NEVER, Point
from edgekws.spotting.tail import tail_of

Draw = Callable[[np.random.Generator], NDArray[np.float64]]

TAILS: dict[str, Draw] = {
    "exponential": lambda rng: rng.exponential(1.5, rng.poisson(40)) - 3,
    "normal": lambda rng: rng.normal(-4, 2, rng.poisson(200)),
}
"""Logits of the scores of false alarms in some speech."""


def counted(logits: NDArray[np.float64]) -> list[Point]:
    """Return the points of a trade-off, by counting."""
    scores = 1 / (1 + np.exp(-logits))
    scores = scores[scores >= 0.05]
    grid = np.unique(np.round(np.concatenate([scores + 1e-4, np.arange(1, 20) * 0.05]), 4))
    return [Point(float(t), 0, 0, 0, int((scores >= t).sum())) for t in (*grid, NEVER)]


@pytest.mark.parametrize("draw", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("allowed", [0.3, 1.0, 3.0, 30.0])
def test_a_threshold_for_a_number_of_false_alarms_has_as_many_in_other_speech(
    draw: Draw, allowed: float
) -> None:
    rng = np.random.default_rng(7)
    alarms = []
    for _ in range(200):
        tail = tail_of(counted(draw(rng)))
        grid = np.arange(0.05, 1, 0.005)
        fitting = [t for t in grid if tail.expected(float(t)) <= allowed]
        threshold = fitting[0] if fitting else NEVER
        alarms.append((1 / (1 + np.exp(-draw(rng))) >= threshold).sum())
    assert 0.6 * allowed < np.mean(alarms) < 1.4 * allowed


@given(st.lists(st.floats(-6, 6), max_size=80))
def test_no_fewer_are_expected_than_counted_and_no_more_at_higher_thresholds(
    logits: list[float],
) -> None:
    points = counted(np.array(logits, np.float64))
    tail = tail_of(points)
    expected = [tail.expected(point.threshold) for point in points]
    assert expected[-1] == 0
    for point, more in zip(points, expected, strict=True):
        assert more >= point.false_alarms - 1e-9
    assert all(a >= b - 1e-9 for a, b in pairwise(expected))
