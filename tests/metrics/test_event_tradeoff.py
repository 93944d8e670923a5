"""All thresholds from one pass: against the runtime's own logic, run again at every threshold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekws.metrics.event_intervals import group_recordings
from edgekws.metrics.event_tradeoff import (
    APART_S,
    LOWEST,
    MOST,
    NEVER,
    Axis,
    Placing,
    Point,
    corners,
    events,
    outcome_at,
    thresholds,
    tracks,
    tradeoff,
)
from edgekws.metrics.events import Spans
from edgekws.metrics.score_tracks import Timing, level, runs
from edgekws.runtime.detect import UNIT, Trigger

WORDS = ["a", "b"]
INTERVAL_S = 0.1
FIRST_S = 0.4


def posteriors(seed: int, decisions: int) -> np.ndarray:
    """Bursts that rise and fall, as those of keywords, and now and then a sure one."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal((decisions, 2)) * 2, axis=0) * rng.choice([0.3, 2])
    odds = np.exp(np.clip(np.column_stack([walk, np.zeros(decisions)]), -30, 30))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def axis(lengths: list[int], labels: dict[str, list[tuple[float, float]]] | None = None) -> Axis:
    apart = round(APART_S / INTERVAL_S)
    begins = np.cumsum([0, *(length + apart for length in lengths[:-1])])
    reported = {
        word: Spans(*np.array((labels or {}).get(word, []), float).reshape(-1, 2).T)
        for word in WORDS
    }
    every = Spans(*(np.sort(np.concatenate([reported[w][i] for w in WORDS])) for i in (0, 1)))
    timed = {word: np.ones(len(reported[word].start), bool) for word in WORDS}
    durations = np.array(lengths) * INTERVAL_S
    groups = group_recordings([("", str(number)) for number in range(len(lengths))])
    return Axis(
        begins=begins,
        durations_s=durations,
        interval_s=INTERVAL_S,
        first_s=FIRST_S,
        labels=reported,
        timed=timed,
        every_label=every,
        groups=groups,
    )


def slowly(
    recordings: list[np.ndarray], word: int, threshold: float, timing: Timing
) -> list[list[tuple[int, float]]]:
    """What the runtime tells of each recording: decision, centre."""
    reported = {
        "smoothing_ms": 1000 * timing.span * INTERVAL_S,
        "refractory_ms": 1000 * timing.refractory * INTERVAL_S,
        "thresholds": dict.fromkeys(WORDS, threshold),
    }
    trigger = Trigger([*WORDS, "_unknown_"], reported, INTERVAL_S, timing.longest * INTERVAL_S)
    result = []
    for one in recordings:
        detected = trigger.feed(one) + trigger.flush()
        result.append([(h.decision, h.centre) for h in detected if h.keyword == word])
    return result


TIMINGS = st.builds(Timing, st.integers(1, 6), st.integers(0, 12), st.integers(1, 15))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 120)), min_size=1, max_size=3),
    TIMINGS,
    st.lists(st.floats(LOWEST, 1.01), min_size=1, max_size=6),
)
def test_runs_at_any_threshold_are_those_of_the_runtime(
    made: list[tuple[int, int]], timing: Timing, tried: list[float]
) -> None:
    recordings = [posteriors(seed, length) for seed, length in made]
    counts = [np.rint(one[:, :2] * UNIT).astype(np.int64) for one in recordings]
    where = axis([length for _, length in made])
    for word, track in enumerate(tracks(counts, where, timing.span)):
        for threshold in tried:
            result = runs(track, level(threshold, timing.span), timing)
            expected = [
                (reported + begin, centre + begin)
                for begin, one in zip(
                    where.begins, slowly(recordings, word, threshold, timing), strict=True
                )
                for reported, centre in one
            ]
            assert result.reported.tolist() == [reported for reported, _ in expected]
            np.testing.assert_allclose(result.centre, [c for _, c in expected], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), TIMINGS, st.lists(st.integers(0, 11), max_size=5, unique=True))
def test_the_curve_is_that_of_counting_at_every_threshold(
    seed: int, timing: Timing, places: list[int]
) -> None:
    recording = posteriors(seed, 150)
    counts = [np.rint(recording[:, :2] * UNIT).astype(np.int64)]
    labels = [(place * 1.2, place * 1.2 + 0.5) for place in sorted(places)]
    where = axis([150], {"a": labels[::2], "b": labels[1::2]})
    placing, tolerance_s = Placing(0.2, 0.45), 0.113
    (track, _) = tracks(counts, where, timing.span)
    tried = thresholds(track, timing.span, where.labels["a"], where, 1.0)
    assert tried == sorted(tried)
    assert LOWEST <= tried[0] <= tried[-1] == NEVER
    assert len(tried) <= MOST
    for point in tradeoff(tried, track, "a", timing, where, placing, tolerance_s):
        assert point == counted(point.threshold, recording, timing, labels, placing, tolerance_s)


def counted(
    threshold: float,
    recording: np.ndarray,
    timing: Timing,
    labels: list[tuple[float, float]],
    placing: Placing,
    tolerance_s: float,
) -> Point:
    """The rules event by event, on what the runtime tells."""
    own, others = list(labels[::2]), labels[1::2]
    hits = repeats = confusions = false_alarms = 0
    said = list(own)
    for _, centre in slowly([recording], 0, threshold, timing)[0]:
        end = max(0.0, centre * INTERVAL_S + FIRST_S - placing.offset_s)
        start, end = max(0.0, end - placing.keyword_s), min(end, 15.0)
        start = min(start, end)

        def touches(label: tuple[float, float], start: float = start, end: float = end) -> bool:
            return start - tolerance_s <= label[1] and end + tolerance_s >= label[0]

        left = [label for label in own if touches(label)]
        if left:
            hits += 1
            own.remove(left[0])
        elif any(map(touches, said)):
            repeats += 1
        elif any(map(touches, others)):
            confusions += 1
        else:
            false_alarms += 1
    return Point(threshold, len(said) - hits, repeats, confusions, false_alarms)


def test_recordings_do_not_reach_into_each_other() -> None:
    sure = np.tile([1.0, 0.0, 0.0], (20, 1))
    counts = [np.rint(sure[:, :2] * UNIT).astype(np.int64)] * 2
    where = axis([20, 20])
    timing = Timing(3, round(60 / INTERVAL_S), 100)
    (track, _) = tracks(counts, where, 3)
    result = runs(track, level(0.5, 3), timing)
    assert len(result.reported) == 2
    detected = events(result, where, Placing(-99.0, 0.5))
    assert detected.end.tolist() == pytest.approx([2.0, where.begins[1] * INTERVAL_S + 2.0])
    assert outcome_at(0.5, track, "a", timing, where, Placing(0.0, 0.5), 0.1).false_alarms == 2


def test_corners_keep_what_changes() -> None:
    rows = [
        (0.1, 0, 0, 0, 3),
        (0.2, 0, 0, 0, 3),
        (0.3, 0, 0, 0, 3),
        (0.4, 1, 0, 0, 3),
        (0.5, 1, 0, 0, 0),
    ]
    points = [Point(*row) for row in rows]
    assert [one.threshold for one in corners(points)] == [0.1, 0.3, 0.4, 0.5]
