"""Differences between systems, with their doubt from speakers and from seeds.

A system is one model, or the models of one recipe trained from several seeds. Speakers and seeds
are crossed: every model hears every speaker. Each is resampled on its own (Owen 2007, "The
pigeonhole bootstrap"). Of n, n - 1 are drawn with replacement, which makes the variance of the
draws unbiased where n is small (McCarthy & Snowden 1985; Rao & Wu 1988).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE
from edgekws.core.corpus import Examples
from edgekws.metrics.accuracy import drawn_together

RESAMPLES = 4000
_CHUNK = 100
_Z95 = 1.959964
_SEED = 20_240_229

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class System:
    """What the models of one system get right.

    `right` is `(seeds, N)`; `values` `(seeds,)` a metric, `draws` `(seeds, RESAMPLES)` the same
    over draws of speakers, which are the same draws for every system of one call; `shares` `(N,)`
    what each clip that is right adds to the metric.
    """

    right: NDArray[np.bool_]
    values: dict[str, Array]
    draws: dict[str, Array]
    shares: dict[str, Array]


@dataclass(frozen=True)
class Difference:
    """By how much system a is above system b: mean over seeds, 95 % interval, and p-value.

    Its variance has two parts. `speaker_variance` comes from the draws; `clip_variance` is what
    it would be were every clip on its own, and no system better (the variance of McNemar's
    statistic). `seed_variance` is 0 where a system has one seed alone, which tells nothing about
    others.
    """

    value: float
    ci95: tuple[float, float]
    p: float
    speaker_variance: float
    clip_variance: float
    seed_variance: float


def systems(
    predicted: Sequence[Sequence[Counts]], examples: Examples, labels: Sequence[str]
) -> list[System]:
    """Resample speakers for systems, given as `(seeds, N)` predicted labels each.

    The metrics are `accuracy`, and `macro_recall` where a label but `_silence_` has clips. Clips
    without a speaker are drawn apart from the speakers, and all are drawn alone where fewer than
    two speakers are known, as in `metrics.accuracy`.
    """
    groups, n_speakers = drawn_together(examples.speakers)
    size = (int(groups.max()) + 1, len(labels))
    counted = [label != SILENCE for label in labels]
    rights = [np.array(seeds) == examples.targets for seeds in predicted]
    clips = _table(groups, examples.targets, np.ones(len(examples), bool), size)
    tables = [[_table(groups, examples.targets, one, size) for one in right] for right in rights]
    weights = list(_weights(size[0], n_speakers))
    whole = [np.ones((1, size[0]))]
    shares = _shares(examples.targets, counted)
    found = []
    for right, mine in zip(rights, tables, strict=True):
        values = [_metrics(whole, one, clips, counted) for one in mine]
        draws = [_metrics(weights, one, clips, counted) for one in mine]
        found.append(
            System(
                right,
                {name: np.concatenate([one[name] for one in values]) for name in values[0]},
                {name: np.stack([one[name] for one in draws]) for name in draws[0]},
                shares,
            )
        )
    return found


def difference(a: System, b: System, metric: str = "accuracy") -> Difference:
    """Return the difference of two systems, whose speakers were drawn together.

    The p-value is two-sided: twice the share of draws on the other side of zero. A few speakers
    can agree by chance, so neither it nor the interval is let below what clips on their own, and
    the seeds, leave in doubt.
    """
    value = float(a.values[metric].mean() - b.values[metric].mean())
    apart = a.shares[metric] * (a.right.mean(axis=0) - b.right.mean(axis=0))  # (N,)
    clip_variance = float(np.square(apart).sum())
    seed_variance = _seed_variance(a.values[metric]) + _seed_variance(b.values[metric])
    error = (clip_variance + seed_variance) ** 0.5
    drawn = _over_seeds(a.draws[metric], 1) - _over_seeds(b.draws[metric], 2)
    low, high = np.percentile(drawn, (2.5, 97.5))
    beyond = 1 + min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    chance = 2 * NormalDist().cdf(-abs(value) / error) if error else 1.0
    means = a.draws[metric].mean(axis=0) - b.draws[metric].mean(axis=0)
    return Difference(
        value,
        (float(min(low, value - _Z95 * error)), float(max(high, value + _Z95 * error))),
        max(chance, min(1.0, 2 * beyond / (len(drawn) + 1))),
        float(means.var()),
        clip_variance,
        seed_variance,
    )


def speaker_count(examples: Examples) -> int:
    """Return how many speakers are drawn: 0 where clips are, because fewer than two are known."""
    return drawn_together(examples.speakers)[1]


def _table(
    groups: Counts, targets: Counts, chosen: NDArray[np.bool_], size: tuple[int, int]
) -> Array:
    """Count the chosen clips by group and label, `(n_groups, n_labels)`."""
    table = np.zeros(size)
    np.add.at(table, (groups[chosen], targets[chosen]), 1)
    return table


def _weights(n_groups: int, n_speakers: int) -> list[Array]:
    """Draw groups: how much each counts in each draw, `(_CHUNK, n_groups)` at a time.

    The weights of all speakers, and those of all single clips, add up to their number.
    """
    rng = np.random.default_rng([_SEED, 0])
    urns = [(a, b) for a, b in ((0, n_speakers), (n_speakers, n_groups)) if a < b]
    weights = []
    for _ in range(RESAMPLES // _CHUNK):
        weight = np.empty((_CHUNK, n_groups))
        for first, end in urns:
            n = end - first
            drawn = rng.integers(0, n, (_CHUNK, max(1, n - 1)))
            flat = (drawn + n * np.arange(_CHUNK)[:, None]).ravel()
            times = np.bincount(flat, minlength=_CHUNK * n).reshape(_CHUNK, n)
            weight[:, first:end] = times * (n / max(1, n - 1))
        weights.append(weight)
    return weights


def _metrics(
    weights: Sequence[Array], right: Array, clips: Array, counted: Sequence[bool]
) -> dict[str, Array]:
    """Return the metrics of tables `(n_groups, n_labels)` under weights, `(draws,)` each."""
    rights = np.concatenate([weight @ right for weight in weights])  # (draws, n_labels)
    sums = np.concatenate([weight @ clips for weight in weights])
    found = {"accuracy": rights.sum(axis=1) / sums.sum(axis=1)}
    if clips[:, counted].any():
        sums, rights = sums[:, counted], rights[:, counted]
        present = sums > 0
        recalls = np.where(present, rights / np.where(present, sums, 1), 0)
        found["macro_recall"] = recalls.sum(axis=1) / np.maximum(1, present.sum(axis=1))
    return found


def _shares(targets: Counts, counted: Sequence[bool]) -> dict[str, Array]:
    """Return what each clip that is right adds to each metric, `(N,)`."""
    clips = np.bincount(targets, minlength=len(counted))
    present = np.array(counted) & (clips > 0)
    recall = present[targets] / np.maximum(1, clips[targets]) / max(1, present.sum())
    return {"accuracy": np.full(len(targets), 1 / len(targets)), "macro_recall": recall}


def _over_seeds(draws: Array, stream: int) -> Array:
    """Draw seeds, and return the mean over them in each draw of speakers, `(RESAMPLES,)`."""
    n = len(draws)
    rng = np.random.default_rng([_SEED, stream])
    chosen = rng.integers(0, n, (draws.shape[1], max(1, n - 1)))
    drawn: Array = draws[chosen, np.arange(draws.shape[1])[:, None]].mean(axis=1)
    return drawn


def _seed_variance(values: Array) -> float:
    """Return the variance of the mean over seeds."""
    return float(values.var(ddof=1) / len(values)) if len(values) > 1 else 0.0
