"""How many false alarms to expect in other speech, from the scores of those in this speech.

The false alarms above a threshold say too little: a threshold just above the highest of them has
none, but in as much other speech one is to be expected, as one of two equal samples has the highest
score. From the next false alarm below the threshold on, the tail is taken to be exponential in the
logit of the score, with the scale of the highest ones.

Source: Pickands, "Statistical inference using extreme order statistics", 1975.
"""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

from edgekws.metrics.event_tradeoff import LOWEST, NEVER, Point

MOST_TOPS = 20
"""Most scores of false alarms, from the highest down, that the tail is fitted to."""

USUAL_SCALE, USUAL_WEIGHT = 1.0, 2
"""Logits over which false alarms become fewer by the factor e, where none measure it, and how many
measured ones this counts as."""

_EDGE = 1e-4
"""Distance from 0 and 1 of the lowest and highest score that a logit is taken of."""


class Tail(NamedTuple):
    """The logits of a keyword's false alarms, highest first, and the scale of their tail.

    The scale is the mean of `measured` excesses; the fewer, the longer the tail may be.
    """

    tops: tuple[float, ...]
    scale: float
    measured: int

    def expected(self, threshold: float) -> float:
        """Return the false alarms at a threshold to expect in as much other speech.

        >>> tail = Tail((2.0, 1.0, 0.0), 1.0, 4)
        >>> [round(tail.expected(p), 2) for p in (0.5, 0.74, 0.95, 1.0001)]
        [3.0, 1.91, 0.43, 0.0]
        """
        if threshold > 1:
            return 0.0
        at = _logit(threshold)
        above = sum(top > at for top in self.tops)
        below = self.tops[above] if above < len(self.tops) else min(at, _logit(LOWEST))
        longer = 1 + (at - below) / (self.scale * self.measured)
        return max(above, (above + 1) * longer**-self.measured)


def tail_of(points: Sequence[Point]) -> Tail:
    """Return the tail of the false alarms counted at `points`, thresholds in increasing order."""
    tops: list[float] = []
    higher = NEVER
    for point in reversed(points):
        tops += [_logit(higher)] * (point.false_alarms - len(tops))
        higher = point.threshold
    highest = tops[:MOST_TOPS]
    measured = USUAL_WEIGHT + max(len(highest) - 1, 0)
    beyond = USUAL_WEIGHT * USUAL_SCALE + sum(top - highest[-1] for top in highest[:-1])
    return Tail(tuple(tops), beyond / measured, measured)


def _logit(threshold: float) -> float:
    p = min(max(threshold, _EDGE), 1 - _EDGE)
    return log(p / (1 - p))
