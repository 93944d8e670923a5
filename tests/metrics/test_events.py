"""Events against labels: the rules, against slow searches that spell them out."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, poisson

from edgekws.metrics.events import (
    Spans,
    covered_s,
    hourly_interval,
    match,
    miss_interval,
    outcome,
    touching,
)

TENTH = 0.1


def spans(pairs: list[tuple[int, int]]) -> Spans:
    table = np.array(pairs, float).reshape(-1, 2) * TENTH
    return Spans(table[:, 0], table[:, 1])


@st.composite
def disjoint(draw: st.DrawFn, most: int = 5) -> list[tuple[int, int]]:
    bounds = sorted(draw(st.sets(st.integers(0, 60), max_size=2 * most)))
    return list(zip(bounds[::2], bounds[1::2], strict=False))


@st.composite
def heard(draw: st.DrawFn, most: int = 5) -> list[tuple[int, int]]:
    pairs = draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=most))
    return sorted(((start, start + length) for start, length in pairs), key=lambda p: p[1])


def overlap(a: tuple[int, int], b: tuple[int, int], tolerance: int) -> bool:
    return a[0] - tolerance <= b[1] and a[1] + tolerance >= b[0]


def most_hits(events, labels, tolerance, label=0, taken=frozenset()) -> int:
    """The most hits there can be, by trying everything."""
    if label == len(labels):
        return 0
    best = most_hits(events, labels, tolerance, label + 1, taken)
    for number, event in enumerate(events):
        if number not in taken and overlap(event, labels[label], tolerance):
            rest = most_hits(events, labels, tolerance, label + 1, taken | {number})
            best = max(best, 1 + rest)
    return best


@given(heard(), disjoint(), st.integers(0, 5))
def test_no_other_choice_gives_more_hits(events, labels, tolerance):
    width = tolerance * TENTH + 1e-9
    pairs = match(spans(events), spans(labels), width)
    assert len(pairs) == most_hits(events, labels, tolerance)
    assert len({event for event, _ in pairs}) == len({label for _, label in pairs}) == len(pairs)
    assert all(overlap(events[event], labels[label], tolerance) for event, label in pairs)


@given(heard(8), disjoint(), disjoint(), st.integers(0, 5))
def test_every_event_and_label_is_counted_once(events, labels, others, tolerance):
    width = tolerance * TENTH + 1e-9
    every = spans(sorted(labels + others))
    found = outcome(spans(events), spans(labels), every, width)
    own = [any(overlap(event, label, tolerance) for label in labels) for event in events]
    other = [any(overlap(event, label, tolerance) for label in others) for event in events]
    assert touching(spans(events), spans(labels), width).tolist() == own
    assert found.hits == most_hits(events, labels, tolerance)
    assert found.misses == len(labels) - found.hits
    assert found.repeats == sum(own) - found.hits
    assert found.confusions == sum(b and not a for a, b in zip(own, other, strict=True))
    assert found.false_alarms == sum(not a and not b for a, b in zip(own, other, strict=True))
    assert found.mistakes == found.misses + found.repeats + found.confusions


def test_of_two_events_the_first_is_the_hit_and_tells_the_time():
    found = outcome(spans([(8, 12), (11, 15)]), spans([(10, 14)]), spans([(10, 14)]), 0.1)
    assert (found.hits, found.repeats, found.false_alarms) == (1, 1, 0)
    assert found.end_errors_s == pytest.approx([-0.2])


@given(disjoint(), disjoint(), st.integers(0, 4))
def test_covered_seconds_against_counting(a, b, tolerance):
    labels = sorted(a + b)
    fine = {tenth for start, end in labels for tenth in range(start - tolerance, end + tolerance)}
    assert covered_s(spans(labels), tolerance * TENTH) == pytest.approx(len(fine) * TENTH)


@pytest.mark.parametrize(("misses", "labels"), list(product([0, 1, 7, 20], [20])))
def test_intervals_of_misses_are_exact(misses: int, labels: int):
    low, high = miss_interval(misses, labels)
    assert low <= misses / labels <= high
    if misses:
        assert binom.sf(misses - 1, labels, low) == pytest.approx(0.025)
    if misses < labels:
        assert binom.cdf(misses, labels, high) == pytest.approx(0.025)
    assert (low == 0, high == 1) == (misses == 0, misses == labels)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_intervals_of_false_alarms_are_exact(count: int):
    low, high = hourly_interval(count, 1200.0)
    assert poisson.cdf(count, high / 3) == pytest.approx(0.025)
    assert (poisson.sf(count - 1, low / 3) if count else 0.025) == pytest.approx(0.025)
    assert (low > 0) == (count > 0)


def test_none_in_twenty_minutes_proves_little():
    assert hourly_interval(0, 1200.0) == (0.0, pytest.approx(11.07, abs=0.01))
