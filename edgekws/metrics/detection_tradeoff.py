"""Detection error trade-off: each keyword's misses against its false accepts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Examples

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tradeoff:
    """The curve of one detector: a clip is accepted if its score is at or above a threshold.

    `thresholds` increase; `miss_rate[i]` is the share of the keyword's `clips` below
    `thresholds[i]`, `false_accept_rate[i]` the share of the `others` at or above it. Points on a
    straight line between two others are left out. `eer` is the equal error rate.
    """

    label: str
    eer: float
    clips: int
    others: int
    thresholds: tuple[float, ...]
    miss_rate: tuple[float, ...]
    false_accept_rate: tuple[float, ...]


def softmax(logits: NDArray[np.float32]) -> Array:
    """Return the scores `(N, n_labels)` of logits, as a bundle's runtime computes them."""
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    scores: Array = odds / odds.sum(axis=1, keepdims=True)
    return scores


def per_keyword(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> tuple[Tradeoff, ...]:
    """Return the trade-off of every keyword over thresholds of its softmax score.

    Keywords are all labels except `_unknown_` and `_silence_`; a keyword must not accept clips of
    any other label. A keyword without clips, or without other clips, is left out.
    Source: Martin et al. 1997, "The DET curve in assessment of detection task performance".
    """
    scores = softmax(logits)
    tradeoffs = []
    for i, label in _keywords(labels):
        positive = examples.targets == i
        if positive.any() and not positive.all():
            tradeoffs.append(tradeoff(label, scores[positive, i], scores[~positive, i]))
    return tuple(tradeoffs)


def pooled(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str], name: str
) -> Tradeoff | None:
    """Return the trade-off of all keywords at a common threshold, over pairs of clip and keyword.

    `None` if no pair matches, or every pair does.
    """
    scores = softmax(logits)
    columns = [i for i, _ in _keywords(labels)]
    positive = examples.targets[:, None] == np.array(columns, np.int64)
    tried = scores[:, columns]
    return (
        tradeoff(name, tried[positive], tried[~positive])
        if positive.any() and not positive.all()
        else None
    )


def tradeoff(label: str, clips: Array, others: Array) -> Tradeoff:
    """Return the trade-off between the scores of clips to accept and to reject, `(n,)` each."""
    thresholds = np.unique(np.concatenate([clips, others]))
    thresholds = np.append(thresholds, np.nextafter(thresholds[-1], np.inf))
    miss = np.searchsorted(np.sort(clips), thresholds) / len(clips)
    accepted = 1 - np.searchsorted(np.sort(others), thresholds) / len(others)
    corners = _corners(miss, accepted)
    return Tradeoff(
        label,
        _equal_error_rate(miss, accepted),
        len(clips),
        len(others),
        tuple(thresholds[corners].tolist()),
        tuple(miss[corners].tolist()),
        tuple(accepted[corners].tolist()),
    )


def _keywords(labels: Sequence[str]) -> list[tuple[int, str]]:
    return [(i, label) for i, label in enumerate(labels) if label not in (UNKNOWN, SILENCE)]


def _equal_error_rate(miss: Array, accepted: Array) -> float:
    """Return the rate at which the two curves cross, interpolated linearly."""
    after = int(np.argmax(miss >= accepted))  # the lowest threshold misses none and accepts all
    before = after - 1
    gap, past = accepted[before] - miss[before], miss[after] - accepted[after]
    share = gap / (gap + past)
    return float(miss[before] + share * (miss[after] - miss[before]))


def _corners(miss: Array, accepted: Array) -> NDArray[np.bool_]:
    """Return which points are not in the middle of a run along one of the axes."""
    keep = np.ones(len(miss), bool)
    for rate in (miss, accepted):
        level = rate[1:] == rate[:-1]
        keep[1:-1] &= ~(level[:-1] & level[1:])
    return keep
