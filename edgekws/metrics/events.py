"""Events against labelled keywords: what was heard, missed, and heard where nothing was said.

The rules:

- A label reaches as far as its stretch, widened by a tolerance on both sides, lies in its
  recording. An event touches a label where it overlaps that reach, if only in one instant.
- A label is hit by one event of its keyword, and an event hits one label. Labels are taken in
  order of time; each takes, of the events that touch it and hit no other, the one that ends first.
  Where the labels of a keyword do not overlap, no other choice gives more hits (Glover 1967).
- A label without an event is a miss.
- Of the events that hit nothing, one that touches a label of its own keyword is a repeat, one that
  touches a label of another keyword alone is a confusion, and every other is a false alarm.
- False alarms are counted per hour of keyword-free audio: all audio out of the labels' reach.
  Repeats and confusions lie within it, and are counted apart.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR_S = 3600.0


class Spans(NamedTuple):
    """Stretches of one axis of time, in seconds: `start` and `end`, `(n,)` each, by their end."""

    start: Array
    end: Array


@dataclass(frozen=True)
class Outcome:
    """What became of the labels and events of one keyword.

    `end_errors_s` holds, for every hit, the event's end minus the label's, in order of time;
    `hit_labels` the numbers of the labels hit, `hit_events` those of the events that hit them,
    `false_alarms_s` where false alarms begin.
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
        """All that goes wrong where a keyword is said: misses, confusions and repeats."""
        return self.misses + self.confusions + self.repeats


def outcome(
    events: Spans, labels: Spans, every_label: Spans, recordings: Spans, tolerance_s: float
) -> Outcome:
    """Hold the events of one keyword against its labels, and against those of all keywords.

    `recordings` are the stretches that have audio, in order; each label begins in one of them.
    """
    reached = reach(labels, recordings, tolerance_s)
    pairs = match(events, reached)
    own = int(np.count_nonzero(touching(events, reached)))
    touched = touching(events, reach(every_label, recordings, tolerance_s))
    hit_events = np.array([event for event, _ in pairs], np.int64)
    hit_labels = np.array([label for _, label in pairs], np.int64)
    return Outcome(
        len(labels.start),
        repeats=own - len(pairs),
        confusions=int(np.count_nonzero(touched)) - own,
        false_alarms_s=events.start[~touched],
        end_errors_s=events.end[hit_events] - labels.end[hit_labels],
        hit_labels=hit_labels,
        hit_events=hit_events,
    )


def reach(labels: Spans, recordings: Spans, tolerance_s: float) -> Spans:
    """Return labels widened by the tolerance, as far as their recordings go."""
    own = recording_of(labels.start, recordings)
    return Spans(
        np.maximum(labels.start - tolerance_s, recordings.start[own]),
        np.minimum(labels.end + tolerance_s, recordings.end[own]),
    )


def recording_of(times_s: Array, recordings: Spans) -> Ints:
    """Return the numbers of the recordings in which times lie, `(n,)`."""
    found: Ints = np.searchsorted(recordings.start, times_s, side="right") - 1
    return found


def match(events: Spans, reached: Spans) -> list[tuple[int, int]]:
    """Return the numbers of event and label of every hit, in order of the labels.

    `reached` is the labels' reach, in order of both start and end.
    """
    starts, ends = events.start.tolist(), events.end.tolist()
    longest = max((end - start for start, end in zip(starts, ends, strict=True)), default=0.0)
    taken = [False] * len(starts)
    pairs, first = [], 0
    for number, (start, end) in enumerate(zip(*map(np.ndarray.tolist, reached), strict=True)):
        while first < len(ends) and ends[first] < start:
            first += 1  # labels come in order: nothing later touches it either
        event = first
        while event < len(ends) and ends[event] - longest <= end:
            if not taken[event] and starts[event] <= end:
                taken[event] = True
                pairs.append((event, number))
                break
            event += 1
    return pairs


def touching(events: Spans, reached: Spans) -> NDArray[np.bool_]:
    """Tell which events touch any of the labels, `(n,)`."""
    begun = np.searchsorted(np.sort(reached.start), events.end, side="right")
    over = np.searchsorted(np.sort(reached.end), events.start, side="left")
    found: NDArray[np.bool_] = begun > over
    return found


def keyword_free_s(every_label: Spans, recordings: Spans, tolerance_s: float) -> Array:
    """Return how many seconds of each recording are out of the reach of all labels."""
    starts, ends = reach(every_label, recordings, tolerance_s)
    order = np.argsort(starts)
    starts, ends = starts[order], ends[order]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(ends)[:-1]])[: len(ends)]
    covered = np.maximum(0.0, ends - np.maximum(starts, before))
    own, count = recording_of(starts, recordings), len(recordings.start)
    free: Array = recordings.end - recordings.start - np.bincount(own, covered, count)
    return np.maximum(0.0, free)
