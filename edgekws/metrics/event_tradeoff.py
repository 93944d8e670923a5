"""What a keyword misses against its false alarms, over thresholds of its smoothed posterior."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.metrics.events import Outcome, Spans, keyword_free_s, outcome
from edgekws.metrics.score_tracks import Ints, Runs, Timing, Track, level, peaks, runs, smoothed
from edgekws.metrics.score_tracks import track as track_of
from edgekws.metrics.tallies import Groups
from edgekws.runtime.detect import UNIT

LOWEST = 0.05
"""No threshold that is tried is lower: below it, everything is a keyword."""

NEVER = 1.0001
"""A threshold that no posterior reaches."""

MOST = 250
"""Thresholds of a keyword that are tried, at most."""

_STEP = 1e-4
"""To whole steps of it thresholds are rounded down."""

_GRID = np.arange(1, 20) * 0.05

APART_S = 70.0
"""Silence between two recordings of an axis: more than the longest refractory time reaches."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Recordings one after the other on one axis of time, with their labels.

    `begins` `(recordings,)` are their first decisions, of which one comes every `interval_s`; the
    window of the first ends at `first_s` of its recording, which has `durations_s` seconds.
    `labels` holds the stretches of each keyword, `every_label` those of all; `timed` tells of
    `labels` which have an end of their own, and not that of their recording. `groups` are the
    recordings of one speaker.
    """

    begins: Ints
    durations_s: NDArray[np.float64]
    interval_s: float
    first_s: float
    labels: dict[str, Spans]
    timed: dict[str, NDArray[np.bool_]]
    every_label: Spans
    groups: Groups

    @property
    def recordings(self) -> Spans:
        """The stretches that have audio."""
        zero = np.asarray(self.begins * self.interval_s, np.float64)
        return Spans(zero, zero + self.durations_s)

    def keyword_free_s(self, tolerance_s: float) -> NDArray[np.float64]:
        """Return the seconds of each recording in which any event is a false alarm."""
        return keyword_free_s(self.every_label, self.recordings, tolerance_s)

    def seconds(self, decisions: NDArray[np.floating[Any] | np.int64]) -> NDArray[np.float64]:
        """Return when the windows of decisions end, on the axis."""
        return np.asarray(decisions * self.interval_s + self.first_s, np.float64)


class Placing(NamedTuple):
    """Where the runtime takes a keyword to be: how far before the window's end, and how long."""

    offset_s: float
    keyword_s: float


class Point(NamedTuple):
    """One threshold, and what becomes of the keyword's labels and events at it."""

    threshold: float
    misses: int
    repeats: int
    confusions: int
    false_alarms: int

    @property
    def mistakes(self) -> int:
        """All that goes wrong where a keyword is said."""
        return self.misses + self.confusions + self.repeats


def tracks(
    recordings: Sequence[Ints], axis: Axis, span: int, lowest: float = LOWEST
) -> list[Track]:
    """Return the track of every keyword from counts of posteriors `(D, keywords)` each.

    No threshold below `lowest` can be tried on them.
    """
    sums = [smoothed(counts, span) for counts in recordings]
    begins, floor = axis.begins.tolist(), level(lowest, span)
    columns = range(recordings[0].shape[1])
    return [track_of([one[:, column] for one in sums], begins, floor) for column in columns]


def events(found: Runs, axis: Axis, placing: Placing) -> Spans:
    """Return where the runtime says that runs are."""
    recording = np.searchsorted(axis.begins, found.told, side="right") - 1
    zero, over = (bound[recording] for bound in axis.recordings)
    end = np.maximum(zero, axis.seconds(found.centre) - placing.offset_s)
    start = np.maximum(zero, end - placing.keyword_s)
    end = np.minimum(end, over)
    return Spans(np.minimum(start, end), end)


def outcome_at(
    threshold: float,
    found: Track,
    keyword: str,
    timing: Timing,
    axis: Axis,
    placing: Placing,
    tolerance_s: float,
) -> Outcome:
    """Return what becomes of a keyword's labels and events at a threshold."""
    heard = events(runs(found, level(threshold, timing.span), timing), axis, placing)
    return outcome(heard, axis.labels[keyword], axis.every_label, axis.recordings, tolerance_s)


def delays_s(
    one: Outcome, threshold: float, found: Track, keyword: str, timing: Timing, axis: Axis
) -> NDArray[np.float64]:
    """Return how long after its end each label that was hit and has an end of its own was told.

    `one` is the outcome of the same threshold. The seconds are those of audio: what the runtime
    has to hear before it tells.
    """
    told = axis.seconds(runs(found, level(threshold, timing.span), timing).told)
    late = told[one.hit_events] - axis.labels[keyword].end[one.hit_labels]
    return late[axis.timed[keyword][one.hit_labels]]


def tradeoff(
    thresholds: Sequence[float],
    found: Track,
    keyword: str,
    timing: Timing,
    axis: Axis,
    placing: Placing,
    tolerance_s: float,
) -> list[Point]:
    """Return a point for every threshold."""
    points = []
    for threshold in thresholds:
        one = outcome_at(threshold, found, keyword, timing, axis, placing, tolerance_s)
        points.append(Point(threshold, one.misses, one.repeats, one.confusions, one.false_alarms))
    return points


def thresholds(found: Track, span: int, labels: Spans, axis: Axis, reach_s: float) -> list[float]:
    """Return the thresholds at which something changes, rising, `MOST` of them at most.

    They are the peaks at the labels, up to `reach_s` after them, where a miss becomes a hit; just
    above the highest peaks elsewhere, where a false alarm goes; an even grid; and one that is
    never reached.
    """
    full = span * UNIT
    times = axis.seconds(found.decisions)
    begins = np.searchsorted(times, labels.start)
    ends = np.searchsorted(times, labels.end + reach_s, side="right")
    at_labels = [found.values[a:b].max() for a, b in zip(begins, ends, strict=True) if a < b]
    values, decisions = peaks(found)
    begun = np.searchsorted(np.sort(labels.start), axis.seconds(decisions), side="right")
    over = np.searchsorted(np.sort(labels.end + reach_s), axis.seconds(decisions))
    elsewhere = np.sort(values[begun <= over])[-MOST // 2 :]
    tops, above = (np.floor(np.array(v) / full / _STEP) * _STEP for v in (at_labels, elsewhere))
    chosen = np.unique(np.round(np.concatenate([tops, above + _STEP, _GRID, [NEVER]]), 4))
    chosen = chosen[chosen >= LOWEST]
    if len(chosen) > MOST:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST).round().astype(int)]
    return [float(one) for one in chosen]


def corners(points: Sequence[Point]) -> list[Point]:
    """Return the points at which misses or false alarms change, the first and the last."""
    return list(_corners(points))


def _corners(points: Sequence[Point]) -> Iterator[Point]:
    for number, point in enumerate(points):
        around = [points[max(0, number - 1)], points[min(len(points) - 1, number + 1)]]
        inner = 0 < number < len(points) - 1
        if not inner or any(
            (one.misses, one.false_alarms) != (point.misses, point.false_alarms) for one in around
        ):
            yield point
