"""Tests of the difference between two models on the same clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
POWER = 0.8

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class McNemar:
    """How many clips only one of two models gets right, and the p-value."""

    only_a: int
    only_b: int
    p: float


def mcnemar(a: Right, b: Right) -> McNemar:
    """Test whether two models, right or not on the same clips `(N,)`, are right equally often.

    The exact two-sided form: under the null hypothesis, each model is right on half of the clips
    on which they differ. Source: McNemar 1947; Dietterich 1998 for classifiers.
    """
    from scipy.stats import binomtest

    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    both = only_a + only_b
    return McNemar(only_a, only_b, float(binomtest(only_a, both).pvalue) if both else 1.0)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for multiple comparisons (step-down), in the same order.

    Source: Holm 1979.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return tuple(corrected)


def clips_needed(
    difference: float, discordance: float, comparisons: int = 1, design_effect: float = 1.0
) -> float:
    """Return how many clips would detect a `difference` between two shares with a power of 0.8.

    `discordance` is the share of clips on which exactly one model is right; `comparisons` divides
    the level of 0.05; `design_effect` is the increase in variance because clips share speakers.
    Sources: Connor 1987 (paired proportions), Kish 1965 (design effect).

    >>> round(clips_needed(0.01, 0.05))
    3922
    """
    level, power = critical(comparisons), NormalDist().inv_cdf(POWER)
    share = max(discordance, difference)  # models that differ by d disagree on d of the clips
    root: float = level * share**0.5 + power * (share - difference**2) ** 0.5
    return float(design_effect * (root / difference) ** 2)


def critical(comparisons: int = 1) -> float:
    """Return the two-sided critical value of the standard normal at 0.05 / `comparisons`.

    >>> round(critical(), 2)
    1.96
    """
    return NormalDist().inv_cdf(1 - ALPHA / comparisons / 2)
