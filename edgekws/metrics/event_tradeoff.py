"""A keyword's misses against its false alarms, over thresholds of its smoothed posterior."""

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
"""Lowest threshold to try: below it, everything is a keyword."""

NEVER = 1.0001
"""A threshold that no posterior reaches."""

MOST = 250
"""Most thresholds to try for a keyword."""

_STEP = 1e-4
"""Thresholds are rounded down to a multiple of this."""

_GRID = np.arange(1, 20) * 0.05

APART_S = 70.0
"""Silence between two recordings of an axis: longer than any refractory time."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Recordings placed one after the other on a time axis, with their labels.

    `begins` `(recordings,)` are the indices of their first decisions. There is a decision every
    `interval_s`; the window of a recording's first decision ends at `first_s`. `durations_s` are
    the lengths of the recordings. `labels` holds the spans of each keyword, `every_label` those of
    all; `timed` marks the `labels` with a labelled end, which otherwise is that of the recording.
    `groups` groups recordings by speaker.
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
        """The spans of the recordings."""
        zero = np.asarray(self.begins * self.interval_s, np.float64)
        return Spans(zero, zero + self.durations_s)

    def keyword_free_s(self, tolerance_s: float) -> NDArray[np.float64]:
        """Return the seconds of each recording in which an event is a false alarm."""
        return keyword_free_s(self.every_label, self.recordings, tolerance_s)

    def seconds(self, decisions: NDArray[np.floating[Any] | np.int64]) -> NDArray[np.float64]:
        """Return the times on the axis at which the windows of decisions end."""
        return np.asarray(decisions * self.interval_s + self.first_s, np.float64)


class Placing(NamedTuple):
    """Where the runtime places a keyword: how far before the window's end, and how long it is."""

    offset_s: float
    keyword_s: float


class Point(NamedTuple):
    """One threshold and the errors that a keyword makes at it."""

    threshold: float
    misses: int
    repeats: int
    confusions: int
    false_alarms: int

    @property
    def mistakes(self) -> int:
        """Errors near spoken keywords: misses, confusions and repeats."""
        return self.misses + self.confusions + self.repeats


def tracks(
    recordings: Sequence[Ints], axis: Axis, span: int, lowest: float = LOWEST
) -> list[Track]:
    """Return the track of every keyword from posterior counts, `(D, keywords)` per recording.

    Thresholds below `lowest` cannot be evaluated on the tracks.
    """
    smoothed_sums = [smoothed(counts, span) for counts in recordings]
    begins, floor = axis.begins.tolist(), level(lowest, span)
    columns = range(recordings[0].shape[1])
    return [
        track_of([recording[:, column] for recording in smoothed_sums], begins, floor)
        for column in columns
    ]


def events(detections: Runs, axis: Axis, placing: Placing) -> Spans:
    """Return where the runtime places the events of runs."""
    recording = np.searchsorted(axis.begins, detections.reported, side="right") - 1
    zero, over = (bound[recording] for bound in axis.recordings)
    end = np.maximum(zero, axis.seconds(detections.centre) - placing.offset_s)
    start = np.maximum(zero, end - placing.keyword_s)
    end = np.minimum(end, over)
    return Spans(np.minimum(start, end), end)


def outcome_at(
    threshold: float,
    track: Track,
    keyword: str,
    timing: Timing,
    axis: Axis,
    placing: Placing,
    tolerance_s: float,
) -> Outcome:
    """Return the outcome for a keyword's labels and events at a threshold."""
    detected = events(runs(track, level(threshold, timing.span), timing), axis, placing)
    return outcome(detected, axis.labels[keyword], axis.every_label, axis.recordings, tolerance_s)


def delays_s(
    result: Outcome, threshold: float, track: Track, keyword: str, timing: Timing, axis: Axis
) -> NDArray[np.float64]:
    """Return how long after its end each hit label with a labelled end was reported.

    `result` is the outcome at the same threshold. Delays are in seconds of audio, without
    computation time.
    """
    reported = axis.seconds(runs(track, level(threshold, timing.span), timing).reported)
    late = reported[result.hit_events] - axis.labels[keyword].end[result.hit_labels]
    return late[axis.timed[keyword][result.hit_labels]]


def tradeoff(
    thresholds: Sequence[float],
    track: Track,
    keyword: str,
    timing: Timing,
    axis: Axis,
    placing: Placing,
    tolerance_s: float,
) -> list[Point]:
    """Return a point for every threshold."""
    points = []
    for threshold in thresholds:
        result = outcome_at(threshold, track, keyword, timing, axis, placing, tolerance_s)
        points.append(
            Point(threshold, result.misses, result.repeats, result.confusions, result.false_alarms)
        )
    return points


def thresholds(track: Track, span: int, labels: Spans, axis: Axis, reach_s: float) -> list[float]:
    """Return the thresholds at which the outcome changes, in increasing order, at most `MOST`.

    They are the peaks at the labels, up to `reach_s` after them, where a miss becomes a hit; just
    above the highest peaks elsewhere, where a false alarm disappears; an even grid; and one that
    is never reached.
    """
    full = span * UNIT
    times = axis.seconds(track.decisions)
    begins = np.searchsorted(times, labels.start)
    ends = np.searchsorted(times, labels.end + reach_s, side="right")
    at_labels = [track.values[a:b].max() for a, b in zip(begins, ends, strict=True) if a < b]
    values, decisions = peaks(track)
    begun = np.searchsorted(np.sort(labels.start), axis.seconds(decisions), side="right")
    over = np.searchsorted(np.sort(labels.end + reach_s), axis.seconds(decisions))
    elsewhere = np.sort(values[begun <= over])[-MOST // 2 :]
    tops, above = (np.floor(np.array(v) / full / _STEP) * _STEP for v in (at_labels, elsewhere))
    chosen = np.unique(np.round(np.concatenate([tops, above + _STEP, _GRID, [NEVER]]), 4))
    chosen = chosen[chosen >= LOWEST]
    if len(chosen) > MOST:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST).round().astype(int)]
    return [float(threshold) for threshold in chosen]


def corners(points: Sequence[Point]) -> list[Point]:
    """Return the points at which misses or false alarms change, and the first and the last."""
    return list(_corners(points))


def _corners(points: Sequence[Point]) -> Iterator[Point]:
    for number, point in enumerate(points):
        neighbours = [points[max(0, number - 1)], points[min(len(points) - 1, number + 1)]]
        inner = 0 < number < len(points) - 1
        if not inner or any(
            (neighbour.misses, neighbour.false_alarms) != (point.misses, point.false_alarms)
            for neighbour in neighbours
        ):
            yield point
