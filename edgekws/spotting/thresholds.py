"""A threshold for each keyword: distribute the allowed false alarms where they help most."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.metrics.event_tradeoff import LOWEST, Point

PARTS = 20
"""Parts of a false alarm that are distributed one by one."""

MOST_PARTS = 2_000
"""Most parts to distribute; of more, each is larger."""

Worth = tuple[int, float]
"""Mistakes near spoken keywords, then false alarms elsewhere: lower is better, in this order."""


class Candidate(NamedTuple):
    """One threshold with its errors, and the false alarms to expect in as much other speech."""

    point: Point
    expected: float


def allocate(candidates: Mapping[str, Sequence[Candidate]], allowed: float) -> dict[str, Candidate]:
    """Return a candidate per keyword: fewest mistakes with at most `allowed` expected in all.

    By dynamic programming over the parts of false alarms allowed to the keywords so far, with
    expected ones rounded up to whole parts. Ties go to fewer of them.
    """
    size = max(1 / PARTS, allowed / MOST_PARTS)
    budget = int(allowed / size + 1e-9)
    weight = 1 + budget
    best = np.zeros(budget + 1, np.int64)
    given: list[NDArray[np.int64]] = []
    for of_word in candidates.values():
        alone = _within(of_word, budget, size, weight)
        # [a, b]: b of the a allowed go to this keyword, the rest to those before it.
        table = np.full((budget + 1, budget + 1), np.iinfo(np.int64).max)
        for b in range(budget + 1):
            table[b:, b] = best[: budget + 1 - b] + alone[b]
        given.append(table.argmin(axis=1))
        best = table.min(axis=1)
    chosen, left = {}, budget
    for word, shares in zip(reversed(list(candidates)), reversed(given), strict=True):
        share = int(shares[left])
        fitting = (c for c in candidates[word] if _parts(c, size) <= share)
        chosen[word] = min(fitting, key=lambda c: (c.point.mistakes, c.expected))
        left -= share
    return {word: chosen[word] for word in candidates}


def worth(candidates: Mapping[str, Candidate]) -> Worth:
    """Return the mistakes and the expected false alarms of all keywords together."""
    return (
        sum(candidate.point.mistakes for candidate in candidates.values()),
        sum(candidate.expected for candidate in candidates.values()),
    )


def centred(
    chosen: Candidate,
    candidates: Sequence[Candidate],
    evaluate: Callable[[float], Candidate],
    allowed: float,
) -> Candidate:
    """Return the middle of the equally good thresholds, if no more than `allowed` are expected.

    Between the highest false alarm and the lowest hit all thresholds are equal on these
    recordings; on others, the middle is the safest.
    """
    low = high = min(chosen.point.threshold, 1.0)
    errors = (chosen.point.mistakes, chosen.point.false_alarms)
    for point, _ in reversed(candidates):
        if point.threshold <= chosen.point.threshold:
            if (point.mistakes, point.false_alarms) != errors:
                break
            low = min(point.threshold, 1.0)
    if chosen.point.threshold > 1 and low == high:
        return chosen
    middle = evaluate(max(LOWEST, round((low + high) / 2, 4)))
    as_good = middle.point.mistakes <= errors[0] and middle.point.false_alarms <= errors[1]
    return middle if as_good and middle.expected <= allowed else chosen


def _within(
    candidates: Sequence[Candidate], budget: int, size: float, weight: int
) -> NDArray[np.int64]:
    """Return the fewest mistakes, then parts, as one number for each number of parts allowed."""
    least_by_parts = np.full(budget + 1, np.iinfo(np.int64).max // 4)
    for candidate in candidates:
        parts = _parts(candidate, size)
        if parts <= budget:
            cost = candidate.point.mistakes * weight + parts
            least_by_parts[parts] = min(least_by_parts[parts], cost)
    least: NDArray[np.int64] = np.minimum.accumulate(least_by_parts)
    return least


def _parts(candidate: Candidate, size: float) -> int:
    return ceil(candidate.expected / size - 1e-9)
