"""Scores of trials on the same clips with intervals: paired, by speaker, over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.metrics import intervals, tallies
from edgekws.metrics.differences import seed_variance
from edgekws.metrics.intervals import Interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and the p-value of its difference from 0.

    With one speaker and one seed, `ci95` is `None` and `p` is 1.
    """

    value: float
    ci95: Interval | None
    p: float = 1.0


@dataclass(frozen=True)
class Scored:
    """A score, or a weighted sum of scores.

    `influence` `(G,)` is the effect of each group of clips on it, `by_seed` `(seeds,)` its value
    for every seed, `step` the effect of one clip of one trial.
    """

    value: float
    influence: Floats
    by_seed: Floats
    step: float = 0.0


class PairedScores:
    """Scores of trials counted by speaker, so that every comparison is paired.

    Speakers are independent of each other, and so are clips without a speaker, see
    `metrics.intervals`; several seeds add their own variance.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], objective: str) -> None:
        """Take the tables (`table.table`) of all trials to compare, by key."""
        self._groups = _groups(tables.values())
        self.speakers = max((table["speakers"] for table in tables.values()), default=0)
        self.shares = {key: self._share(table, objective) for key, table in tables.items()}

    def _share(self, table: Mapping[str, Any], objective: str) -> tallies.Share:
        labels = table["labels"]
        counts = np.zeros((2, len(self._groups), len(labels)), np.int64)
        for group, label, clips, right in table["cells"]:
            counts[:, self._groups[table["groups"][group]], label] = clips, right
        weights = tallies.clip_weights(objective, counts[0].sum(0), labels)
        if weights is None:  # nothing but `_silence_`
            weights = np.zeros(len(labels))
        return tallies.share(counts[0], counts[1], weights, self.speakers)

    def mean(self, keys: Sequence[str]) -> Scored:
        """Return the mean over the trials of one combination, one for each seed."""
        shares = [self.shares[key] for key in keys]
        by_seed = np.array([share.value for share in shares])
        influence = np.mean([share.influence for share in shares], axis=0)
        step = (shares[0].squares / max(shares[0].n, 1)) ** 0.5 / len(shares)
        return Scored(float(by_seed.mean()), influence, by_seed, step)

    def level(self, keys: Sequence[str]) -> Interval | None:
        """Return the 95 % interval of the mean over the trials of one combination."""
        mean, share = self.mean(keys), self.shares[keys[0]]
        of_mean = tallies.Share(
            mean.value, share.n, mean.influence, share.weight, share.squares, self.speakers
        )
        return of_mean.ci95(seed_variance(mean.by_seed))

    def estimate(self, scored: Scored) -> Estimate:
        """Return the estimate of a weighted sum of scores, such as a difference."""
        return estimate(scored, self.speakers)


def estimate(scored: Scored, speakers: int) -> Estimate:
    """Return the estimate of a weighted sum of scores, over speakers and seeds.

    A few speakers can agree by chance, so the variance between them is at least that of one clip.
    """
    between = intervals.between(scored.influence, speakers)
    of_speakers = between.at_least(scored.step**2) if between else None
    known = [part for part in (of_speakers, seed_variance(scored.by_seed)) if part]
    if speakers == 1 or not known:
        return Estimate(scored.value, None)
    total = known[0] if len(known) == 1 else known[0] + known[1]
    p = intervals.p_value(scored.value, total)
    return Estimate(scored.value, intervals.difference(scored.value, total), p)


def over_seeds(values: Sequence[float]) -> Scored:
    """Return the mean of scores over seeds, without speakers."""
    return Scored(float(np.mean(values)), np.zeros(0), np.array(values))


def weighted(parts: Sequence[Scored], weights: Floats) -> Scored:
    """Return the weighted sum of scores, seed by seed."""
    value = float(weights @ np.array([part.value for part in parts]))
    influence = weights @ np.stack([part.influence for part in parts])
    seeds = min(len(part.by_seed) for part in parts)
    by_seed = weights @ np.stack([part.by_seed[:seeds] for part in parts])
    step = min(abs(weight) * part.step for weight, part in zip(weights, parts, strict=True))
    return Scored(value, influence, by_seed, step)


def difference(a: Scored, b: Scored) -> Scored:
    """Return `a - b`."""
    return weighted((a, b), np.array([1.0, -1.0]))


def average(parts: Sequence[Scored]) -> Scored:
    """Return the mean of scores or differences."""
    return weighted(parts, np.full(len(parts), 1 / len(parts)))


def _groups(tables: Any) -> dict[str, int]:
    """Number the speakers of all tables, then the clips without a speaker."""
    speakers: dict[str, None] = {}
    alone: dict[str, None] = {}
    for table in tables:
        speakers |= dict.fromkeys(table["groups"][: table["speakers"]])
        alone |= dict.fromkeys(table["groups"][table["speakers"] :])
    names = [*speakers, *(name for name in alone if name not in speakers)]
    return {name: i for i, name in enumerate(names)}
