"""Detection error trade-off: what each keyword misses against what it accepts wrongly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Examples

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tradeoff:
    """The curve of one detector: a clip is accepted where its score is at or above a threshold.

    `thresholds` rise; `miss_rate[i]` is the share of the `clips` of the keyword that are below
    `thresholds[i]`, `false_accept_rate[i]` the share of the `others` that are not. Points on a
    straight run between two others are left out. `eer` is the equal error rate.
    """

    label: str
    eer: float
    clips: int
    others: int
    thresholds: tuple[float, ...]
    miss_rate: tuple[float, ...]
    false_accept_rate: tuple[float, ...]


def softmax(logits: NDArray[np.float32]) -> Array:
    """Return the scores `(N, n_labels)` of logits, as the runtime of a bundle gives them."""
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    scores: Array = odds / odds.sum(axis=1, keepdims=True)
    return scores


def per_keyword(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> tuple[Tradeoff, ...]:
    """Return the trade-off of every keyword over thresholds of its softmax score.

    Keywords are the labels but `_unknown_` and `_silence_`; clips of all other labels are what a
    keyword must not accept. One without clips, or without others, has none.
    Source: Martin et al. 1997, "The DET curve in assessment of detection task performance".
    """
    scores = softmax(logits)
    found = []
    for i, label in _keywords(labels):
        mine = examples.targets == i
        if mine.any() and not mine.all():
            found.append(tradeoff(label, scores[mine, i], scores[~mine, i]))
    return tuple(found)


def pooled(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str], name: str
) -> Tradeoff | None:
    """Return the trade-off of all keywords at one common threshold, each clip tried with each.

    `None` where no clip is, or every trial is, one of a keyword.
    """
    scores = softmax(logits)
    columns = [i for i, _ in _keywords(labels)]
    mine = examples.targets[:, None] == np.array(columns, np.int64)
    tried = scores[:, columns]
    return tradeoff(name, tried[mine], tried[~mine]) if mine.any() and not mine.all() else None


def tradeoff(label: str, clips: Array, others: Array) -> Tradeoff:
    """Return the trade-off between scores of clips to accept and of others, `(n,)` each."""
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
    """Return where the two rates meet, on the line between the points around it."""
    after = int(np.argmax(miss >= accepted))  # the lowest threshold misses none and accepts all
    before = after - 1
    gap, past = accepted[before] - miss[before], miss[after] - accepted[after]
    share = gap / (gap + past)
    return float(miss[before] + share * (miss[after] - miss[before]))


def _corners(miss: Array, accepted: Array) -> NDArray[np.bool_]:
    """Tell the points that are not in the middle of a run along one of the axes."""
    keep = np.ones(len(miss), bool)
    for rate in (miss, accepted):
        level = rate[1:] == rate[:-1]
        keep[1:-1] &= ~(level[:-1] & level[1:])
    return keep
