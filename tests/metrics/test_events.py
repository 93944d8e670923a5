"""Events against labels: the rules, against slow searches that spell them out."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from edgekws.metrics.events import (
    Spans,
    keyword_free_s,
    match,
    outcome,
    reach,
    recording_of,
    touching,
)

UNIT = 0.125
"""Seconds of a step of the drawn times: a power of two, so that what touches does so exactly."""

LENGTH, APART = 30, 4
RECORDINGS = [(0, LENGTH), (LENGTH + APART, 2 * LENGTH + APART)]

Pair = tuple[int, int]


def spans(pairs: list[Pair]) -> Spans:
    table = np.array(pairs, float).reshape(-1, 2) * UNIT
    return Spans(table[:, 0], table[:, 1])


def reached(labels: list[Pair], tolerance: int) -> Spans:
    return reach(spans(labels), spans(RECORDINGS), tolerance * UNIT)


def home(pair: Pair) -> int:
    return next(i for i, (begin, end) in enumerate(RECORDINGS) if begin <= pair[0] <= end)


@st.composite
def disjoint(draw: st.DrawFn, most: int = 3) -> list[Pair]:
    pairs = []
    for begin, _ in RECORDINGS:
        bounds = sorted(draw(st.sets(st.integers(0, LENGTH), max_size=2 * most)))
        pairs += [(begin + a, begin + b) for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    return pairs


@st.composite
def heard(draw: st.DrawFn, most: int = 5) -> list[Pair]:
    starts = st.tuples(st.sampled_from(RECORDINGS), st.integers(0, LENGTH), st.integers(0, 12))
    pairs = [
        (begin + start, min(begin + start + length, end))
        for (begin, end), start, length in draw(st.lists(starts, max_size=most))
    ]
    return sorted(pairs, key=lambda p: p[1])


def touch(event: Pair, label: Pair, tolerance: int) -> bool:
    near = event[0] - tolerance <= label[1] and event[1] + tolerance >= label[0]
    return near and home(event) == home(label)


def most_hits(
    events: list[Pair],
    labels: list[Pair],
    tolerance: int,
    label: int = 0,
    taken: frozenset[int] = frozenset(),
) -> int:
    """The most hits there can be, by trying everything."""
    if label == len(labels):
        return 0
    best = most_hits(events, labels, tolerance, label + 1, taken)
    for number, event in enumerate(events):
        if number not in taken and touch(event, labels[label], tolerance):
            rest = most_hits(events, labels, tolerance, label + 1, taken | {number})
            best = max(best, 1 + rest)
    return best


def slow_match(events: list[Pair], labels: list[Pair], tolerance: int) -> list[Pair]:
    """The rule label by label: of the free events that touch it, the one that ends first."""
    pairs: list[Pair] = []
    for number, label in enumerate(labels):
        taken = {event for event, _ in pairs}
        free = [
            i for i, event in enumerate(events) if i not in taken and touch(event, label, tolerance)
        ]
        if free:
            pairs.append((free[0], number))
    return pairs


@given(heard(), disjoint(), st.integers(0, 12))
@example([(5, 9)], [(9, 12)], 0)  # the event ends where the label begins
@example([(14, 20)], [(9, 12)], 2)  # the event begins where the label's reach ends
@example([(4, 8), (12, 24)], [(9, 12)], 0)  # the longest event begins where the label ends
@example([(3, 3)], [(3, 5)], 0)
def test_hits_are_those_of_the_rule_and_no_other_choice_gives_more(
    events: list[Pair], labels: list[Pair], tolerance: int
) -> None:
    pairs = match(spans(events), reached(labels, tolerance))
    assert pairs == slow_match(events, labels, tolerance)
    assert len(pairs) == most_hits(events, labels, tolerance)
    assert len({event for event, _ in pairs}) == len({label for _, label in pairs}) == len(pairs)
    assert all(touch(events[event], labels[label], tolerance) for event, label in pairs)


@given(heard(8), disjoint(), disjoint(), st.integers(0, 12))
@example([(5, 9)], [(9, 12)], [], 0)
@example([(12, 15)], [], [(9, 12)], 0)
@example([(34, 36)], [(28, 30)], [], 12)  # the tolerance reaches over the end of its recording
def test_every_event_and_label_is_counted_once(
    events: list[Pair], labels: list[Pair], others: list[Pair], tolerance: int
) -> None:
    every = spans(sorted(labels + others))
    result = outcome(spans(events), spans(labels), every, spans(RECORDINGS), tolerance * UNIT)
    own = [any(touch(event, label, tolerance) for label in labels) for event in events]
    other = [any(touch(event, label, tolerance) for label in others) for event in events]
    assert touching(spans(events), reached(labels, tolerance)).tolist() == own
    assert result.hits == most_hits(events, labels, tolerance)
    assert result.misses == len(labels) - result.hits
    assert result.repeats == sum(own) - result.hits
    assert result.confusions == sum(b and not a for a, b in zip(own, other, strict=True))
    alarms = [event for event, a, b in zip(events, own, other, strict=True) if not a and not b]
    assert result.false_alarms == len(alarms)
    assert result.false_alarms_s.tolist() == [UNIT * start for start, _ in alarms]
    assert recording_of(result.false_alarms_s, spans(RECORDINGS)).tolist() == [*map(home, alarms)]
    assert result.mistakes == result.misses + result.repeats + result.confusions


def test_of_two_events_the_first_is_the_hit_and_tells_the_time() -> None:
    label = spans([(10, 14)])
    result = outcome(spans([(8, 12), (11, 15)]), label, label, spans(RECORDINGS), UNIT)
    assert (result.hits, result.repeats, result.false_alarms) == (1, 1, 0)
    assert result.end_errors_s.tolist() == [-2 * UNIT]


@given(disjoint(), disjoint(), st.integers(0, 12))
def test_keyword_free_seconds_against_counting(
    a: list[Pair], b: list[Pair], tolerance: int
) -> None:
    labels = sorted(a + b)
    slow = [
        sum(
            not any(
                start - tolerance <= unit < end + tolerance
                for start, end in labels
                if home((start, end)) == number
            )
            for unit in range(*bounds)
        )
        for number, bounds in enumerate(RECORDINGS)
    ]
    free = keyword_free_s(spans(labels), spans(RECORDINGS), tolerance * UNIT)
    assert free.tolist() == [UNIT * units for units in slow]


def test_a_label_without_times_takes_nothing_from_other_recordings() -> None:
    """Three recordings that a label covers, and a fourth of 100 s: just these are keyword-free."""
    recordings = Spans(np.array([0.0, 73.1, 146.2, 219.3]), np.array([3.1, 76.2, 149.3, 319.3]))
    labels = Spans(recordings.start[:3], recordings.end[:3])
    assert keyword_free_s(labels, recordings, 0.25).tolist() == [0, 0, 0, 100]
    assert keyword_free_s(labels, recordings, 99.0).tolist() == [0, 0, 0, 100]
