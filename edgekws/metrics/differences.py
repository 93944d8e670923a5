"""Differences between systems, with uncertainty from speakers and from seeds.

A system is one model, or the models of one recipe trained with several seeds. Speakers and seeds
are crossed: every model is evaluated on every speaker. Both contribute to the variance of a
difference, see `metrics.intervals`.
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

    `right` is `(seeds, N)`; `shares` holds each metric's share for each seed, over the same groups
    for every system of one call; `weights` `(N,)` is what each correct clip adds to the metric.
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
    """System a minus system b: mean over seeds, 95 % interval, and p-value.

    `speaker_variance` is the variance between speakers; `clip_variance` is that of independent
    clips if no system is better (the variance of McNemar's statistic). `seed_variance` is 0 for a
    system with a single seed, which says nothing about other seeds. With clips of one speaker
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
    """Count what systems get right, each given as `(seeds, N)` predicted labels.

    The metrics are `accuracy`, and `macro_recall` if a label other than `_silence_` has clips.
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
    tables = [groups.tally(targets, hits, clips.shape[1]) for hits in right]
    return System(
        right,
        {
            name: tuple(tallies.share(clips, hits, weight, groups.speakers) for hits in tables)
            for name, weight in weights.items()
        },
        {name: weight[targets] for name, weight in weights.items()},
    )


def difference(a: System, b: System, *, metric: str = "accuracy") -> Difference:
    """Return the difference between two systems evaluated on the same clips.

    A few speakers can agree by chance, so the variance between them is never taken to be less
    than that of independent clips plus one more clip on which the systems differ.
    """
    values = a.values(metric), b.values(metric)
    value = float(values[0].mean() - values[1].mean())
    weight = a.weights[metric]
    apart = weight * (a.right.mean(axis=0) - b.right.mean(axis=0))  # (N,)
    clip_variance = float(np.square(apart).sum())
    first = a.shares[metric][0]
    counted = first.weight > 0
    speakers = int(np.count_nonzero(counted[: first.speakers]))
    between = intervals.between((a.influence(metric) - b.influence(metric))[counted], speakers)
    seeds = [seed_variance(variance) for variance in values]
    of_seeds = sum(variance.value for variance in seeds if variance)
    if between is None:
        return Difference(value, None, 1.0, 0.0, clip_variance, of_seeds)
    total = between.at_least(clip_variance + float(np.square(weight).mean()))
    for variance in seeds:
        total = total + variance if variance else total
    return Difference(
        value,
        intervals.difference(value, total),
        intervals.p_value(value, total),
        between.value,
        clip_variance,
        of_seeds,
    )


def speaker_count(examples: Examples) -> int:
    """Return the number of known speakers."""
    return tallies.grouped(examples.speakers).speakers


def seed_variance(values: Array) -> Variance | None:
    """Return the variance of the mean over seeds, `None` for a single seed."""
    n = len(values)
    return Variance(float(values.var(ddof=1) / n), n - 1.0) if n > 1 else None
