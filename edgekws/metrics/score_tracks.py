"""The runtime's event logic over many thresholds: posteriors are gone through once.

The smoothed posterior of a keyword is kept where it is above a floor alone, which in speech is a
small share of an hour, with its running sums. The runs above any threshold, their centres and the
refractory time then follow from where the track crosses it. The runtime's `Trigger` is what this
has to equal.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.runtime.detect import UNIT

Ints = NDArray[np.int64]


class Timing(NamedTuple):
    """What makes events of posteriors, beside the threshold, counted in decisions.

    `span` is averaged over, `refractory` follows an event, `longest` is the longest run.
    """

    span: int
    refractory: int
    longest: int


class Track(NamedTuple):
    """Where the smoothed posterior of one keyword is above the floor, in order of time.

    `values` `(n,)` are sums over the span in units of the runtime; a zero stands after each
    stretch. `decisions` say which decision each belongs to; `sums` and `moments` `(n + 1,)` are
    running sums of the values, and of the values times their place.
    """

    values: Ints
    decisions: Ints
    sums: Ints
    moments: Ints


class Runs(NamedTuple):
    """Runs that become events: when each was told, and its centre, in decisions, `(n,)` each."""

    told: Ints
    centre: NDArray[np.float64]


def smoothed(counts: Ints, span: int) -> Ints:
    """Return the sums over the last `span` decisions of one recording's counts `(D, keywords)`."""
    total = np.cumsum(counts, axis=0, dtype=np.int64)
    total[span:] -= total[:-span].copy()
    return total


def level(threshold: float, span: int) -> int:
    """Return the sum over the span at which a threshold is reached, as the runtime counts it."""
    return max(1, int(np.ceil(threshold * (span * UNIT))))


def track(recordings: Sequence[Ints], begins: Sequence[int], floor: int) -> Track:
    """Return the track of the smoothed sums `(D,)` of recordings whose first decisions are given.

    Recordings have to begin further apart than the refractory time reaches.
    """
    values, decisions = [], []
    for sums, begin in zip(recordings, begins, strict=True):
        above = np.flatnonzero(sums >= floor)
        values.append(np.append(sums[above], 0))
        decisions.append(np.append(above, len(sums)) + begin)
    joined, at = np.concatenate(values), np.concatenate(decisions)
    breaks = np.flatnonzero((np.diff(at) != 1) & (joined[1:] > 0) & (joined[:-1] > 0)) + 1
    joined, at = np.insert(joined, breaks, 0), np.insert(at, breaks, at[breaks - 1] + 1)
    place = np.arange(len(joined), dtype=np.int64)
    return Track(joined, at, _running(joined), _running(joined * place))


def runs(found: Track, level: int, timing: Timing) -> Runs:
    """Return the runs above a level, which is not below the track's floor."""
    above = np.concatenate([[False], found.values >= level, [False]])
    starts, ends = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2).T
    lengths = np.minimum(ends - starts, timing.longest)
    cut = ends - starts >= timing.longest
    # A run is told at the decision after its last, or with its last where it is cut off.
    told = found.decisions[starts] + lengths - cut
    kept = _unhindered(found.decisions[starts], told, timing.refractory)
    starts, lengths, told = starts[kept], lengths[kept], told[kept]
    ends = starts + lengths
    total = found.sums[ends] - found.sums[starts]
    weight = total - (level - 1) * lengths
    moment = found.moments[ends] - found.moments[starts] - starts * total
    moment -= (level - 1) * (lengths * (lengths - 1) // 2)
    centre = found.decisions[starts] + moment / weight - (timing.span - 1) / 2
    return Runs(told, centre)


def peaks(found: Track) -> tuple[Ints, Ints]:
    """Return the highest value of every stretch above the floor, and its decision, `(n,)` each."""
    above = np.concatenate([[False], found.values > 0, [False]])
    starts, ends = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2).T
    tops = [s + int(np.argmax(found.values[s:e])) for s, e in zip(starts, ends, strict=True)]
    return found.values[tops], found.decisions[tops]


def _running(values: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])


def _unhindered(starts: Ints, told: Ints, refractory: int) -> Ints:
    """Return the numbers of the runs that do not begin in the refractory time of one before."""
    if not (starts[1:] < told[:-1] + refractory).any():
        return np.arange(len(starts))
    kept, free = [], -1
    for number, (start, tell) in enumerate(zip(starts.tolist(), told.tolist(), strict=True)):
        if start >= free:
            kept.append(number)
            free = tell + refractory
    return np.array(kept, np.int64)
