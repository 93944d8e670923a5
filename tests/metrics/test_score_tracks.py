"""Tracks above a floor against loops over every decision, at levels that are met exactly."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgekws.metrics.score_tracks import Timing, level, peaks, runs, smoothed, track
from edgekws.runtime.detect import UNIT

FAR = 100
recordings = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=25), min_size=1, max_size=3)
timings = st.builds(Timing, st.integers(1, 4), st.integers(0, 5), st.integers(1, 6))


def placed(rows: list[list[int]]) -> tuple[list[np.ndarray], list[int]]:
    begins = [0]
    for row in rows:
        begins.append(begins[-1] + len(row) + FAR)
    return [np.array(row, np.int64) for row in rows], begins[:-1]


def slowly(row: list[int], at: int, timing: Timing) -> list[tuple[int, float]]:
    """Decision and centre of every run of one recording, decision by decision."""
    run: list[tuple[int, int]] = []
    result, free, reported = [], 0, False
    for n, value in enumerate([*row, 0]):
        if value >= at:
            reported = n < free if not run else reported
            run.append((n, value))
        if run and not reported and (value < at or len(run) == timing.longest):
            heights = [(value - at + 1, n) for n, value in run]
            centre = sum(h * n for h, n in heights) / sum(h for h, _ in heights)
            result.append((n, centre - (timing.span - 1) / 2))
            reported, free = True, n + timing.refractory
        if value < at:
            run = []
    return result


@given(recordings, st.integers(1, 6), st.integers(0, 3), timings)
def test_runs_at_the_floor_and_above_are_those_of_a_loop(
    rows: list[list[int]], floor: int, more: int, timing: Timing
) -> None:
    parts, begins = placed(rows)
    result = runs(track(parts, begins, floor), floor + more, timing)
    expected = [
        (begin + reported, begin + centre)
        for begin, row in zip(begins, rows, strict=True)
        for reported, centre in slowly(row, floor + more, timing)
    ]
    assert result.reported.tolist() == [reported for reported, _ in expected]
    np.testing.assert_allclose(result.centre, [centre for _, centre in expected], atol=1e-9)


def test_a_track_by_hand() -> None:
    """A zero after each stretch, at the decision behind it, and one at every recording's end."""
    parts = [np.array([0, 3, 4, 1, 5, 1, 1]), np.array([2, 2])]
    result = track(parts, [10, 200], 2)
    assert result.values.tolist() == [3, 4, 0, 5, 0, 2, 2, 0]
    assert result.decisions.tolist() == [11, 12, 13, 14, 17, 200, 201, 202]
    assert result.sums.tolist() == [0, 3, 7, 7, 12, 12, 14, 16, 16]
    assert result.moments.tolist() == [0, 0, 4, 4, 19, 19, 29, 41, 41]


@given(recordings, st.integers(1, 6))
def test_peaks_are_the_highest_of_each_stretch_and_the_first_of_equal_ones(
    rows: list[list[int]], floor: int
) -> None:
    parts, begins = placed(rows)
    expected = []
    for begin, row in zip(begins, rows, strict=True):
        stretch: list[tuple[int, int]] = []
        for n, value in enumerate([*row, 0]):
            if value >= floor:
                stretch.append((-value, begin + n))
            elif stretch:
                expected.append(min(stretch))
                stretch = []
    values, decisions = peaks(track(parts, begins, floor))
    assert [(-v, d) for v, d in zip(values.tolist(), decisions.tolist(), strict=True)] == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1), st.integers(1, 6))
def test_sums_over_the_last_decisions(rows: list[tuple[int, int]], span: int) -> None:
    counts = np.array(rows, np.int64)
    before = counts.copy()
    result = smoothed(counts, span)
    for n in range(len(rows)):
        assert result[n].tolist() == before[max(0, n - span + 1) : n + 1].sum(axis=0).tolist()
    np.testing.assert_array_equal(counts, before)


@given(st.integers(0, 4 * UNIT), st.integers(1, 4))
def test_the_level_is_the_first_sum_that_reaches_the_threshold(sums: int, span: int) -> None:
    """Thresholds that are a whole number of units, half a unit more, and none at all."""
    whole = sums / (span * UNIT)
    for threshold in (whole, whole + 0.5 / (span * UNIT)):
        exact = Fraction(threshold) * span * UNIT
        result = level(threshold, span)
        assert result >= 1
        assert abs(result - max(Fraction(1), exact)) < 1 + 1e-6
        assert result >= exact - Fraction(1, 10**6)
