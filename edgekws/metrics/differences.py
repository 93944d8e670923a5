"""Differences between systems, with their doubt from speakers and from seeds.

A system is one model, or the models of one recipe trained from several seeds. Speakers and seeds
are crossed: every model hears every speaker. The variance of a difference has a part from each,
see `metrics.intervals`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Examples
from edgekws.metrics import intervals, tallies
from edgekws.metrics.intervals import Interval, Variance
from edgekws.metrics.tallies import MACRO_RECALL, Groups, Share

METRICS = ("accuracy", MACRO_RECALL)

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class System:
    """What the models of one system get right.

    `right` is `(seeds, N)`; `shares` has a metric's share for each seed, over the same groups for
    every system of one call; `weights` `(N,)` says what each clip that is right adds to it.
    """

    right: NDArray[np.bool_]
    shares: dict[str, tuple[Share, ...]]
    weights: dict[str, Array]

    def values(self, metric: str) -> Array:
        """Return the metric of every seed, `(seeds,)`."""
        return np.array([share.value for share in self.shares[metric]])

    def influence(self, metric: str) -> Array:
        """Return by how much each group moves the mean over the seeds, `(G,)`."""
        mean: Array = np.mean([share.influence for share in self.shares[metric]], axis=0)
        return mean


@dataclass(frozen=True)
class Difference:
    """By how much system a is above system b: mean over seeds, 95 % interval, and p-value.

    `speaker_variance` is what speakers leave in doubt; `clip_variance` what it would be were every
    clip on its own, and no system better (the variance of McNemar's statistic). `seed_variance` is
    0 where a system has one seed alone, which says nothing about others. With clips of one speaker
    there is neither an interval nor a verdict: `ci95` is `None` and `p` is 1.
    """

    value: float
    ci95: Interval | None
    p: float
    speaker_variance: float
    clip_variance: float
    seed_variance: float


def systems(
    predicted: Sequence[Sequence[Counts]], examples: Examples, labels: Sequence[str]
) -> list[System]:
    """Count what systems get right, given as `(seeds, N)` predicted labels each.

    The metrics are `accuracy`, and `macro_recall` where a label but `_silence_` has clips.
    """
    groups = tallies.grouped(examples.speakers)
    clips = groups.tally(examples.targets, np.ones(len(examples), bool), len(labels))
    weighting = {name: tallies.clip_weights(name, clips.sum(0), labels) for name in METRICS}
    weights = {name: weight for name, weight in weighting.items() if weight is not None}
    return [
        _system(np.array(seeds) == examples.targets, examples.targets, groups, clips, weights)
        for seeds in predicted
    ]


def _system(
    right: NDArray[np.bool_],
    targets: Counts,
    groups: Groups,
    clips: Counts,
    weights: dict[str, Array],
) -> System:
    tables = [groups.tally(targets, one, clips.shape[1]) for one in right]
    return System(
        right,
        {
            name: tuple(tallies.share(clips, hits, weight, groups.speakers) for hits in tables)
            for name, weight in weights.items()
        },
        {name: weight[targets] for name, weight in weights.items()},
    )


def difference(a: System, b: System, *, metric: str = "accuracy") -> Difference:
    """Return the difference of two systems that heard the same clips.

    A few speakers can agree by chance, so what they leave in doubt is never taken to be less than
    what clips on their own would, one more of which might have told the systems apart.
    """
    values = a.values(metric), b.values(metric)
    value = float(values[0].mean() - values[1].mean())
    weight = a.weights[metric]
    apart = weight * (a.right.mean(axis=0) - b.right.mean(axis=0))  # (N,)
    clip_variance = float(np.square(apart).sum())
    first = a.shares[metric][0]
    heard = first.weight > 0
    speakers = int(np.count_nonzero(heard[: first.speakers]))
    between = intervals.between((a.influence(metric) - b.influence(metric))[heard], speakers)
    seeds = [seed_variance(one) for one in values]
    of_seeds = sum(one.value for one in seeds if one)
    if between is None:
        return Difference(value, None, 1.0, 0.0, clip_variance, of_seeds)
    total = between.at_least(clip_variance + float(np.square(weight).mean()))
    for one in seeds:
        total = total + one if one else total
    return Difference(
        value,
        intervals.difference(value, total),
        intervals.p_value(value, total),
        between.value,
        clip_variance,
        of_seeds,
    )


def speaker_count(examples: Examples) -> int:
    """Return how many speakers are known."""
    return tallies.grouped(examples.speakers).speakers


def seed_variance(values: Array) -> Variance | None:
    """Return the variance of the mean over seeds, `None` for a single seed."""
    n = len(values)
    return Variance(float(values.var(ddof=1) / n), n - 1.0) if n > 1 else None
