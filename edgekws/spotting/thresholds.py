"""A threshold for each keyword: distribute the allowed false alarms where they help most."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgekws.metrics.event_tradeoff import LOWEST, Point

MOST_ALLOWED = 2_000
"""Most false alarms to distribute one by one."""

Worth = tuple[int, int]
"""Mistakes near spoken keywords, then false alarms elsewhere: lower is better, in this order."""


def allocate(points: Mapping[str, Sequence[Point]], allowed: int) -> dict[str, Point]:
    """Return a point for each keyword: fewest mistakes with at most `allowed` false alarms in all.

    Exact, by dynamic programming over the false alarms allowed to the keywords so far. Ties go to
    fewer false alarms, and among a keyword's equal points to the highest threshold.
    """
    allowed = min(allowed, MOST_ALLOWED, *[_most(points)])
    weight = 1 + _most(points)
    best = np.zeros(allowed + 1, np.int64)
    given: list[NDArray[np.int64]] = []
    for keyword_points in points.values():
        alone = _within(keyword_points, allowed, weight)
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
            (point for point in points[word] if point.false_alarms <= share),
            key=lambda point: (point.mistakes, point.false_alarms, -point.threshold),
        )
        left -= share
    return {word: chosen[word] for word in points}


def worth(points: Mapping[str, Point]) -> Worth:
    """Return the mistakes and the false alarms of all keywords together."""
    return (
        sum(point.mistakes for point in points.values()),
        sum(point.false_alarms for point in points.values()),
    )


def centred(chosen: Point, points: Sequence[Point], evaluate: Callable[[float], Point]) -> Point:
    """Return the point in the middle of the equally good thresholds, if it is as good itself.

    Between the highest false alarm and the lowest hit all thresholds are equal on these
    recordings; on others, the middle is the safest.
    """
    low = high = min(chosen.threshold, 1.0)
    for point in reversed(points):
        if point.threshold <= chosen.threshold:
            if (point.mistakes, point.false_alarms) != (chosen.mistakes, chosen.false_alarms):
                break
            low = min(point.threshold, 1.0)
    if chosen.threshold > 1 and low == high:
        return chosen
    middle = evaluate(max(LOWEST, round((low + high) / 2, 4)))
    as_good = middle.mistakes <= chosen.mistakes and middle.false_alarms <= chosen.false_alarms
    return middle if as_good else chosen


def _within(points: Sequence[Point], allowed: int, weight: int) -> NDArray[np.int64]:
    """Return the fewest mistakes, then false alarms, as one number for each number allowed."""
    least_by_count = np.full(allowed + 1, np.iinfo(np.int64).max // 4)
    for point in points:
        if point.false_alarms <= allowed:
            cost = point.mistakes * weight + point.false_alarms
            least_by_count[point.false_alarms] = min(least_by_count[point.false_alarms], cost)
    least: NDArray[np.int64] = np.minimum.accumulate(least_by_count)
    return least


def _most(points: Mapping[str, Sequence[Point]]) -> int:
    return sum(max(point.false_alarms for point in curve) for curve in points.values())
