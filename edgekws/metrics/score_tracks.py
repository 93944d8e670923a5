"""The runtime's event logic for many thresholds, in a single pass over the posteriors.

The smoothed posterior of a keyword is stored with its running sums only where it is above a floor,
a small share of the time. The runs above any threshold, their centres and the refractory time
follow from where the track crosses it. The result must equal that of the runtime's `Trigger`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.runtime.detect import UNIT

Ints = NDArray[np.int64]


class Timing(NamedTuple):
    """Event settings other than the threshold, in decisions.

    Posteriors are averaged over `span`; `refractory` follows an event; `longest` is the longest
    run.
    """

    span: int
    refractory: int
    longest: int


class Track(NamedTuple):
    """The smoothed posterior of one keyword where it is above the floor, in order of time.

    `values` `(n,)` are sums over the span in the runtime's units; a zero follows each run.
    `decisions` are the indices of their decisions; `sums` and `moments` `(n + 1,)` are running
    sums of the values, and of the values times their position.
    """

    values: Ints
    decisions: Ints
    sums: Ints
    moments: Ints


class Runs(NamedTuple):
    """Runs that become events: when each is reported, and its centre, in decisions, `(n,)` each."""

    reported: Ints
    centre: NDArray[np.float64]


def smoothed(counts: Ints, span: int) -> Ints:
    """Return the sums over the last `span` decisions of one recording's counts `(D, keywords)`."""
    total = np.cumsum(counts, axis=0, dtype=np.int64)
    total[span:] -= total[:-span].copy()
    return total


def level(threshold: float, span: int) -> int:
    """Return the sum over the span that reaches a threshold, as the runtime counts it."""
    return max(1, int(np.ceil(threshold * (span * UNIT))))


def track(recordings: Sequence[Ints], begins: Sequence[int], floor: int) -> Track:
    """Return the track of recordings from their smoothed sums `(D,)` and first decisions.

    The gaps between recordings must be longer than the refractory time.
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


def runs(track: Track, level: int, timing: Timing) -> Runs:
    """Return the runs above a level that is not below the track's floor."""
    above = np.concatenate([[False], track.values >= level, [False]])
    starts, ends = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2).T
    lengths = np.minimum(ends - starts, timing.longest)
    cut = ends - starts >= timing.longest
    # A run is reported at the decision after its last, or at its last if it is cut off.
    reported = track.decisions[starts] + lengths - cut
    allowed = _outside_refractory(track.decisions[starts], reported, timing.refractory)
    starts, lengths, reported = starts[allowed], lengths[allowed], reported[allowed]
    ends = starts + lengths
    total = track.sums[ends] - track.sums[starts]
    weight = total - (level - 1) * lengths
    moment = track.moments[ends] - track.moments[starts] - starts * total
    moment -= (level - 1) * (lengths * (lengths - 1) // 2)
    centre = track.decisions[starts] + moment / weight - (timing.span - 1) / 2
    return Runs(reported, centre)


def peaks(track: Track) -> tuple[Ints, Ints]:
    """Return the highest value of every run above the floor, and its decision, `(n,)` each."""
    above = np.concatenate([[False], track.values > 0, [False]])
    starts, ends = np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2).T
    tops = [s + int(np.argmax(track.values[s:e])) for s, e in zip(starts, ends, strict=True)]
    return track.values[tops], track.decisions[tops]


def _running(values: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])


def _outside_refractory(starts: Ints, reported: Ints, refractory: int) -> Ints:
    """Return the indices of the runs that do not begin in an earlier run's refractory time."""
    if not (starts[1:] < reported[:-1] + refractory).any():
        return np.arange(len(starts))
    allowed, free = [], -1
    for number, (start, end) in enumerate(zip(starts.tolist(), reported.tolist(), strict=True)):
        if start >= free:
            allowed.append(number)
            free = end + refractory
    return np.array(allowed, np.int64)
