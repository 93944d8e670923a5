"""Intervals of misses and false alarms, grouped by the speakers of the recordings.

Misses and false alarms are correlated within one speaker's recordings. So the 95 % intervals are
those of `metrics.intervals` between groups: speakers, and each recording with an unknown speaker
as its own group. A single speaker says nothing about others and has no interval. A single
recording without a speaker has the interval of independent labels and events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.metrics import intervals
from edgekws.metrics.intervals import Interval
from edgekws.metrics.tallies import Groups

Ints = NDArray[np.int64]
Array = NDArray[np.float64]

Kind = Literal["by speaker", "by recording", "if independent", "one speaker"]


@dataclass(frozen=True)
class Basis:
    """What an interval is taken over: speakers, and recordings with an unknown speaker.

    With one known speaker among unknown ones, it is by recording, and all recordings of the known
    speaker count as one.
    """

    kind: Kind
    speakers: int
    recordings: int


class Doubt(NamedTuple):
    """The interval of a figure (`None` with a single speaker), and what it is taken over."""

    ci95: Interval | None
    basis: Basis


def group_recordings(recordings: Sequence[tuple[str, str]]) -> Groups:
    """Group recordings, each given by its speaker (empty if unknown) and its name.

    >>> group_recordings([("", "noise.wav"), ("ann", "1.wav"), ("ann", "2.wav")])
    Groups(codes=array([1, 0, 0]), speakers=1)
    """
    keys = [(not speaker, speaker or name) for speaker, name in recordings]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    codes = np.array([numbers[key] for key in keys], np.int64)
    return Groups(codes, sum(not alone for alone, _ in numbers))


def miss_rate(misses: Ints, labels: Ints, groups: Groups) -> Doubt:
    """Return the interval of the share of missed labels, from counts `(recordings,)`."""
    missed, said, basis = _by_group(misses, labels, groups)
    total = float(said.sum())
    value = float(missed.sum()) / total
    influence = (missed - value * said) / total
    return Doubt(
        intervals.share(value, influence, said / total, 1 / total, _speakers(basis)), basis
    )


def alarms_per_hour(alarms: Ints, seconds: Array, groups: Groups) -> Doubt:
    """Return the interval of events per hour, from counts and seconds `(recordings,)`."""
    counts, heard_s, basis = _by_group(alarms, seconds, groups)
    return Doubt(intervals.hourly(counts.astype(np.int64), heard_s, _speakers(basis)), basis)


def _by_group(
    events: Ints, exposure: NDArray[np.int64] | Array, groups: Groups
) -> tuple[Array, Array, Basis]:
    """Sum both over the groups with any exposure."""
    summed = np.bincount(groups.codes, events).astype(float)
    exposed = np.bincount(groups.codes, exposure).astype(float)
    there = np.flatnonzero(exposed)
    speakers = int(np.count_nonzero(there < groups.speakers))
    return summed[there], exposed[there], _basis(speakers, len(there) - speakers)


def _basis(speakers: int, recordings: int) -> Basis:
    if speakers > 1:
        return Basis("by speaker", speakers, recordings)
    if speakers + recordings > 1:
        return Basis("by recording", speakers, recordings)
    return Basis("one speaker" if speakers else "if independent", speakers, recordings)


def _speakers(basis: Basis) -> int:
    """Return the number of groups that count as speakers; by recording, every group does."""
    together = basis.speakers + basis.recordings
    return together if basis.kind == "by recording" else basis.speakers
