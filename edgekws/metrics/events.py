"""Events against labelled keywords: what was heard, missed, and heard where nothing was said.

The rules:

- An event touches a label where its stretch, widened by a tolerance on both sides, overlaps the
  label's.
- A label is hit by one event of its keyword, and an event hits one label. Labels are taken in
  order of time; each takes, of the events that touch it and hit no other, the one that ends first.
  Where the labels of a keyword do not overlap, no other choice gives more hits (Glover 1967).
- A label without an event is a miss.
- Of the events that hit nothing, one that touches a label of its own keyword is a repeat, one that
  touches a label of another keyword alone is a confusion, and every other is a false alarm.
- False alarms are counted per hour of keyword-free audio: all audio but the labelled stretches,
  widened by the tolerance. Repeats and confusions lie in those, and are told apart.

Intervals are exact, of 95 %, and two-sided: that of Clopper and Pearson (1934) for the share of
misses, that of Garwood (1936) for the false alarms, which are taken to come as a Poisson process.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HOUR_S = 3600.0

_TAIL = 0.025


class Spans(NamedTuple):
    """Stretches of one axis of time, in seconds: `start` and `end`, `(n,)` each, by their end."""

    start: Array
    end: Array


@dataclass(frozen=True)
class Outcome:
    """What became of the labels and events of one keyword.

    `end_errors_s` holds, for every hit, the event's end minus the label's, in order of time;
    `hit_labels` the numbers of the labels hit.
    """

    labels: int
    repeats: int
    confusions: int
    false_alarms: int
    end_errors_s: Array
    hit_labels: NDArray[np.int64]

    @property
    def hits(self) -> int:
        """Labels that were hit."""
        return len(self.hit_labels)

    @property
    def misses(self) -> int:
        """Labels that were not hit."""
        return self.labels - self.hits

    @property
    def mistakes(self) -> int:
        """All that goes wrong where a keyword is said: misses, confusions and repeats."""
        return self.misses + self.confusions + self.repeats


def outcome(events: Spans, labels: Spans, every_label: Spans, tolerance_s: float) -> Outcome:
    """Hold the events of one keyword against its labels, and against those of all keywords."""
    pairs = match(events, labels, tolerance_s)
    own = touching(events, labels, tolerance_s)
    hit_labels = np.array([label for _, label in pairs], np.int64)
    ends = events.end[[event for event, _ in pairs]]
    touched = int(np.count_nonzero(own))
    anything = int(np.count_nonzero(touching(events, every_label, tolerance_s)))
    return Outcome(
        len(labels.start),
        repeats=touched - len(pairs),
        confusions=anything - touched,
        false_alarms=len(events.start) - anything,
        end_errors_s=ends - labels.end[hit_labels],
        hit_labels=hit_labels,
    )


def match(events: Spans, labels: Spans, tolerance_s: float) -> list[tuple[int, int]]:
    """Return the numbers of event and label of every hit, in order of the labels."""
    starts, ends = (events.start - tolerance_s).tolist(), (events.end + tolerance_s).tolist()
    longest = max((end - start for start, end in zip(starts, ends, strict=True)), default=0.0)
    taken = [False] * len(starts)
    pairs, first = [], 0
    for number, (start, end) in enumerate(zip(*map(np.ndarray.tolist, labels), strict=True)):
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


def touching(events: Spans, labels: Spans, tolerance_s: float) -> NDArray[np.bool_]:
    """Tell which events touch any of the labels, `(n,)`."""
    begun = np.searchsorted(np.sort(labels.start), events.end + tolerance_s, side="right")
    over = np.searchsorted(np.sort(labels.end), events.start - tolerance_s, side="left")
    found: NDArray[np.bool_] = begun > over
    return found


def covered_s(labels: Spans, tolerance_s: float) -> float:
    """Return how many seconds lie in any of the labels, widened by the tolerance."""
    order = np.argsort(labels.start)
    starts, ends = labels.start[order] - tolerance_s, labels.end[order] + tolerance_s
    if not len(starts):
        return 0.0
    reached = np.maximum.accumulate(ends)
    before = np.concatenate([[-np.inf], reached[:-1]])
    return float(np.maximum(0.0, ends - np.maximum(starts, before)).sum())


def miss_interval(misses: int, labels: int) -> tuple[float, float]:
    """Return the interval of the share of misses (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    hits = labels - misses
    low = betaincinv(misses, hits + 1, _TAIL) if misses else 0.0
    high = betaincinv(misses + 1, hits, 1 - _TAIL) if hits else 1.0
    return float(low), float(high)


def hourly_interval(count: int, seconds: float) -> tuple[float, float]:
    """Return the interval of events per hour, of which `count` came in `seconds` (Garwood 1936).

    That of none in 20 minutes ends at 11 per hour: as much as so short a time can exclude.
    """
    from scipy.special import gammaincinv

    low = gammaincinv(count, _TAIL) if count else 0.0
    high = gammaincinv(count + 1, 1 - _TAIL)
    return float(low) * HOUR_S / seconds, float(high) * HOUR_S / seconds
