"""Which threshold for which keyword: false alarms are shared out where they buy the most."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekws.metrics.event_tradeoff import LOWEST, Point

MOST_ALLOWED = 2_000
"""More false alarms than that are not shared out one by one."""

Worth = tuple[int, int]
"""Mistakes where keywords are said, and false alarms elsewhere: less is better, in this order."""


def allocate(points: Mapping[str, Sequence[Point]], allowed: int) -> dict[str, Point]:
    """Return a point for each keyword: the least mistakes with `allowed` false alarms in all.

    Exact, by dynamic programming over the false alarms that the keywords so far may have. Of equal
    choices the one with fewer false alarms is taken, of a keyword's equal points the highest
    threshold.
    """
    allowed = min(allowed, MOST_ALLOWED, *[_most(points)])
    weight = 1 + _most(points)
    best = np.zeros(allowed + 1, np.int64)
    given: list[NDArray[np.int64]] = []
    for own in points.values():
        alone = _within(own, allowed, weight)
        # [a, b]: b of the a allowed go to this keyword, the rest to those before it.
        table = np.full((allowed + 1, allowed + 1), np.iinfo(np.int64).max)
        for b in range(allowed + 1):
            table[b:, b] = best[: allowed + 1 - b] + alone[b]
        given.append(table.argmin(axis=1))
        best = table.min(axis=1)
    chosen, left = {}, allowed
    for word, shares in zip(reversed(list(points)), reversed(given), strict=True):
        share = int(shares[left])
        chosen[word] = min(
            (one for one in points[word] if one.false_alarms <= share),
            key=lambda one: (one.mistakes, one.false_alarms, -one.threshold),
        )
        left -= share
    return {word: chosen[word] for word in points}


def worth(points: Mapping[str, Point]) -> Worth:
    """Return the mistakes and the false alarms of all keywords together."""
    return (
        sum(one.mistakes for one in points.values()),
        sum(one.false_alarms for one in points.values()),
    )


def centred(chosen: Point, points: Sequence[Point], evaluate: Callable[[float], Point]) -> Point:
    """Return the point in the middle of the thresholds that are as good, where it is as good.

    Between the highest false alarm and the lowest hit no threshold is better on these recordings;
    on others, the middle is the safest against both.
    """
    low = high = min(chosen.threshold, 1.0)
    for one in reversed(points):
        if one.threshold <= chosen.threshold:
            if (one.mistakes, one.false_alarms) != (chosen.mistakes, chosen.false_alarms):
                break
            low = min(one.threshold, 1.0)
    if chosen.threshold > 1 and low == high:
        return chosen
    middle = evaluate(max(LOWEST, round((low + high) / 2, 4)))
    as_good = middle.mistakes <= chosen.mistakes and middle.false_alarms <= chosen.false_alarms
    return middle if as_good else chosen


def _within(points: Sequence[Point], allowed: int, weight: int) -> NDArray[np.int64]:
    """Return the least mistakes, then false alarms, as one number for each number allowed."""
    found = np.full(allowed + 1, np.iinfo(np.int64).max // 4)
    for one in points:
        if one.false_alarms <= allowed:
            told = one.mistakes * weight + one.false_alarms
            found[one.false_alarms] = min(found[one.false_alarms], told)
    least: NDArray[np.int64] = np.minimum.accumulate(found)
    return least


def _most(points: Mapping[str, Sequence[Point]]) -> int:
    return sum(max(one.false_alarms for one in own) for own in points.values())
