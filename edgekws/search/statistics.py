"""Scores of many trials on the same clips, with their doubt: paired, by speaker, over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE

RESAMPLES = 2000
_SEED = 20_251_122

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    ci95: tuple[float, float]

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0."""
        return int(self.ci95[0] > 0) - int(self.ci95[1] < 0)


@dataclass(frozen=True)
class Scored:
    """The objective of every trial: `value` on all clips, `draws` `(RESAMPLES,)` when resampled."""

    value: float
    draws: Floats


class Bench:
    """Resamples speakers once for all trials, so that every comparison is paired.

    Whole speakers are drawn with replacement and, apart from them, the clips without a speaker
    (Bisani and Ney 2004); seeds are drawn as well where there are several. Few speakers or seeds
    make such an interval too narrow: it is widened by sqrt(n / (n - 1)), n the smaller number.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], objective: str) -> None:
        """Take the tables (`table.table`) of all trials that are to be compared, by their key."""
        self._groups = _groups(tables.values())
        n_speakers = max((table["speakers"] for table in tables.values()), default=0)
        self.speakers = n_speakers
        weights = _weights(len(self._groups), n_speakers)
        self.scored = {key: self._score(table, objective, weights) for key, table in tables.items()}

    def _score(self, table: Mapping[str, Any], objective: str, weights: Floats) -> Scored:
        labels = table["labels"]
        counts = np.zeros((2, len(self._groups), len(labels)))
        for group, label, clips, right in table["cells"]:
            counts[:, self._groups[table["groups"][group]], label] = clips, right
        share = _accuracy if objective == "accuracy" else _macro_recall
        spoken = np.array([label != SILENCE for label in labels])
        total = share(counts.sum(1)[:, None], spoken)
        return Scored(float(total[0]), share(weights @ counts, spoken))

    def mean(self, keys: Sequence[str]) -> Scored:
        """Return the mean over the trials of one combination, one for each seed."""
        found = [self.scored[key] for key in keys]
        drawn = np.stack([one.draws for one in found], axis=1)  # (RESAMPLES, seeds)
        value = float(np.mean([one.value for one in found]))
        return Scored(value, (drawn * _seed_weights(len(keys))).sum(1))

    def estimate(self, scored: Scored, seeds: int) -> Estimate:
        """Return the 95 % interval of a score, or of a difference of scores, over `seeds` seeds."""
        return estimate(scored, (self.speakers, seeds))


def estimate(scored: Scored, drawn: Sequence[int]) -> Estimate:
    """Return the 95 % interval, widened for the smallest number above 1 of what was `drawn`."""
    numbers = [n for n in drawn if n > 1]
    wider = np.sqrt(min(numbers) / (min(numbers) - 1)) if numbers else 1.0
    low, high = np.nanpercentile(scored.draws, (2.5, 97.5))
    value = scored.value
    low, high = (value + wider * (bound - value) for bound in (low, high))
    return Estimate(value, (float(low), float(high)))


def over_seeds(values: Sequence[float]) -> Scored:
    """Return the mean over seeds of scores of which nothing else can be drawn."""
    draws = _seed_weights(len(values)) @ np.array(values)
    return Scored(float(np.mean(values)), draws)


def weighted(parts: Sequence[Scored], weights: Floats) -> Scored:
    """Return the weighted sum of scores, draw by draw."""
    value = float(weights @ np.array([part.value for part in parts]))
    return Scored(value, weights @ np.stack([part.draws for part in parts]))


def difference(a: Scored, b: Scored) -> Scored:
    """Return `a - b`, paired draw by draw."""
    return Scored(a.value - b.value, a.draws - b.draws)


def average(parts: Sequence[Scored]) -> Scored:
    """Return the mean of scores or differences, draw by draw."""
    value = float(np.mean([part.value for part in parts]))
    return Scored(value, np.mean([part.draws for part in parts], axis=0))


def _groups(tables: Any) -> dict[str, int]:
    """Number the speakers of all tables, and behind them the clips without one."""
    speakers: dict[str, None] = {}
    alone: dict[str, None] = {}
    for table in tables:
        speakers |= dict.fromkeys(table["groups"][: table["speakers"]])
        alone |= dict.fromkeys(table["groups"][table["speakers"] :])
    names = [*speakers, *(name for name in alone if name not in speakers)]
    return {name: i for i, name in enumerate(names)}


def _weights(n_groups: int, n_speakers: int) -> Floats:
    """Return how often each group is drawn, `(RESAMPLES, n_groups)`."""
    random = np.random.default_rng(_SEED)
    parts = [(0, n_speakers), (n_speakers, n_groups)]
    drawn = [
        random.multinomial(b - a, np.full(b - a, 1 / (b - a)), RESAMPLES) for a, b in parts if a < b
    ]
    return np.hstack(drawn).astype(np.float64)


def _seed_weights(n: int) -> Floats:
    """Return the share of each seed in a draw, `(RESAMPLES, n)`; the same for every combination."""
    random = np.random.default_rng((_SEED, n))
    return random.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n


def _accuracy(counts: Floats, _: NDArray[np.bool_]) -> Floats:
    """Return the share of right clips; `counts` are clips and right ones, `(2, draws, labels)`."""
    clips, right = counts.sum(2)
    return np.asarray(right / np.maximum(clips, 1))


def _macro_recall(counts: Floats, spoken: NDArray[np.bool_]) -> Floats:
    """Return the mean recall of the labels that a draw has, `_silence_` left out."""
    clips, right = counts[:, :, spoken]
    present = np.maximum((clips > 0).sum(1), 1)
    return np.asarray((right / np.maximum(clips, 1)).sum(1) / present)
