"""Matching of events with labelled keywords: hits, misses, repeats, confusions and false alarms.

The rules:

- The reach of a label is its span, widened by a tolerance on both sides and clipped to its
  recording. An event touches a label if it overlaps that reach, even at a single instant.
- A label is hit by one event of its keyword, and an event hits one label. Labels are processed in
  order of time; each takes the first to end of the events that touch it and hit no other label.
  If the labels of a keyword do not overlap, no other matching gives more hits (Glover 1967).
- A label without an event is a miss.
- Of the events that hit nothing, one that touches a label of its own keyword is a repeat, one that
  only touches labels of other keywords is a confusion, and any other is a false alarm.
- False alarms are counted per hour of keyword-free audio: all audio outside the labels' reach.
  Repeats and confusions lie within the reach, and are counted separately.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR_S = 3600.0


class Spans(NamedTuple):
    """Spans on a time axis, in seconds: `start` and `end`, `(n,)` each, sorted by end."""

    start: Array
    end: Array


@dataclass(frozen=True)
class Outcome:
    """How the labels and events of one keyword match.

    `end_errors_s` holds, for every hit, the event's end minus the label's, in order of time;
    `hit_labels` and `hit_events` are the indices of the matched labels and events,
    `false_alarms_s` the start times of the false alarms.
    """

    labels: int
    repeats: int
    confusions: int
    false_alarms_s: Array
    end_errors_s: Array
    hit_labels: Ints
    hit_events: Ints

    @property
    def hits(self) -> int:
        """Labels that were hit."""
        return len(self.hit_labels)

    @property
    def misses(self) -> int:
        """Labels that were not hit."""
        return self.labels - self.hits

    @property
    def false_alarms(self) -> int:
        """Events that touch no label."""
        return len(self.false_alarms_s)

    @property
    def mistakes(self) -> int:
        """Errors near spoken keywords: misses, confusions and repeats."""
        return self.misses + self.confusions + self.repeats


def outcome(
    events: Spans, labels: Spans, every_label: Spans, recordings: Spans, tolerance_s: float
) -> Outcome:
    """Match the events of one keyword with its labels, and with those of all keywords.

    `recordings` are the spans of the recordings, in order; each label begins in one of them.
    """
    reached = reach(labels, recordings, tolerance_s)
    pairs = match(events, reached)
    of_keyword = int(np.count_nonzero(touching(events, reached)))
    touched = touching(events, reach(every_label, recordings, tolerance_s))
    hit_events = np.array([event for event, _ in pairs], np.int64)
    hit_labels = np.array([label for _, label in pairs], np.int64)
    return Outcome(
        len(labels.start),
        repeats=of_keyword - len(pairs),
        confusions=int(np.count_nonzero(touched)) - of_keyword,
        false_alarms_s=events.start[~touched],
        end_errors_s=events.end[hit_events] - labels.end[hit_labels],
        hit_labels=hit_labels,
        hit_events=hit_events,
    )


def reach(labels: Spans, recordings: Spans, tolerance_s: float) -> Spans:
    """Return labels widened by the tolerance and clipped to their recordings."""
    recording = recording_of(labels.start, recordings)
    return Spans(
        np.maximum(labels.start - tolerance_s, recordings.start[recording]),
        np.minimum(labels.end + tolerance_s, recordings.end[recording]),
    )


def recording_of(times_s: Array, recordings: Spans) -> Ints:
    """Return the indices of the recordings that contain the given times, `(n,)`."""
    numbers: Ints = np.searchsorted(recordings.start, times_s, side="right") - 1
    return numbers


def match(events: Spans, reached: Spans) -> list[tuple[int, int]]:
    """Return the indices of event and label for every hit, in order of the labels.

    `reached` is the labels' reach, sorted by both start and end.
    """
    starts, ends = events.start.tolist(), events.end.tolist()
    longest = max((end - start for start, end in zip(starts, ends, strict=True)), default=0.0)
    taken = [False] * len(starts)
    pairs, first = [], 0
    for number, (start, end) in enumerate(zip(*map(np.ndarray.tolist, reached), strict=True)):
        while first < len(ends) and ends[first] < start:
            first += 1  # labels are in order: no later label touches it either
        event = first
        while event < len(ends) and ends[event] - longest <= end:
            if not taken[event] and starts[event] <= end:
                taken[event] = True
                pairs.append((event, number))
                break
            event += 1
    return pairs


def touching(events: Spans, reached: Spans) -> NDArray[np.bool_]:
    """Return which events touch any of the labels, `(n,)`."""
    begun = np.searchsorted(np.sort(reached.start), events.end, side="right")
    over = np.searchsorted(np.sort(reached.end), events.start, side="left")
    touches: NDArray[np.bool_] = begun > over
    return touches


def keyword_free_s(every_label: Spans, recordings: Spans, tolerance_s: float) -> Array:
    """Return the seconds of each recording outside the reach of all labels."""
    starts, ends = reach(every_label, recordings, tolerance_s)
    order = np.argsort(starts)
    starts, ends = starts[order], ends[order]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(ends)[:-1]])[: len(ends)]
    covered = np.maximum(0.0, ends - np.maximum(starts, before))
    recording, count = recording_of(starts, recordings), len(recordings.start)
    free: Array = recordings.end - recordings.start - np.bincount(recording, covered, count)
    return np.maximum(0.0, free)
