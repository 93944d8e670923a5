"""Clips counted by speaker and label, and shares computed from the counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.metrics import intervals
from edgekws.metrics.intervals import Interval, Variance
from edgekws.metrics.recall import in_macro_recall

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

EQUALLY_WEIGHTED = {
    "accuracy": ("keyword", UNKNOWN, SILENCE),
    "keyword_recall": ("keyword",),
    "unknown_recall": (UNKNOWN,),
    "silence_recall": (SILENCE,),
    "unknown_accepted": (UNKNOWN,),
}
"""The kinds of clips that each share counts; all clips have equal weight."""

MACRO_RECALL = "macro_recall"
"""The mean recall of all labels with clips except `_silence_`."""

BY_LABEL = ("accuracy", MACRO_RECALL, *(name for name in EQUALLY_WEIGHTED if name != "accuracy"))
"""Every share that is counted by label."""


@dataclass(frozen=True)
class Groups:
    """Groups of correlated clips: `codes` `(N,)` number them, the `speakers` first.

    A clip without a speaker is its own group.
    """

    codes: Counts
    speakers: int

    def __len__(self) -> int:
        return int(self.codes.max()) + 1

    def tally(self, targets: Counts, chosen: NDArray[np.bool_], n_labels: int) -> Counts:
        """Count the chosen clips `(N,)` by group and label, `(G, n_labels)`."""
        table = np.zeros((len(self), n_labels), np.int64)
        np.add.at(table, (self.codes[chosen], targets[chosen]), 1)
        return table


@dataclass(frozen=True)
class Share:
    """A weighted share of clips, written as a sum over groups for its interval.

    `influence` and `weight` are `(G,)`, as in `metrics.intervals`; `squares` is the sum of the
    squared weights of single clips; `n` counts the clips with a weight.
    """

    value: float
    n: int
    influence: Array
    weight: Array
    squares: float
    speakers: int

    @property
    def known_speakers(self) -> int:
        """The number of known speakers of the clips."""
        return int(np.count_nonzero(self.weight[: self.speakers] > 0))

    def ci95(self, more: Variance | None = None) -> Interval | None:
        """Return the 95 % interval, `None` with a single speaker."""
        counted = self.weight > 0
        parts = (self.influence[counted], self.weight[counted], self.squares)
        return intervals.share(self.value, *parts, self.known_speakers, more)


def grouped(speakers: NDArray[np.str_]) -> Groups:
    """Group clips by the names of their speakers `(N,)`, empty if unknown."""
    known = speakers != ""
    names, codes = np.unique(speakers[known], return_inverse=True)
    groups = np.empty(len(speakers), np.int64)
    groups[known] = codes
    groups[~known] = len(names) + np.arange(np.count_nonzero(~known))
    return Groups(groups, len(names))


def kinds(labels: Sequence[str]) -> list[str]:
    """Return `keyword`, `_unknown_` or `_silence_` for every label."""
    return [label if label in (UNKNOWN, SILENCE) else "keyword" for label in labels]


def clip_weights(metric: str, clips: Counts, labels: Sequence[str]) -> Array | None:
    """Return the weight of one clip of each label, `(n_labels,)`, given the `clips` of each.

    `None` if no clip counts for the metric.
    """
    if metric == MACRO_RECALL:
        counted = in_macro_recall(clips, labels)
        return counted / np.maximum(clips, 1) / counted.sum() if counted.any() else None
    counted = np.array([kind in EQUALLY_WEIGHTED[metric] for kind in kinds(labels)])
    n = int(clips[counted].sum())
    return counted / n if n else None


def share(clips: Counts, hits: Counts, weights: Array, speakers: int) -> Share:
    """Return the share of hits among clips, counted by group and label, `(G, n_labels)` each.

    A group's influence is the difference between its hits and those expected from its labels.
    """
    of_label = clips.sum(0)
    rates = hits.sum(0) / np.maximum(of_label, 1)
    n = int(of_label[weights > 0].sum())
    perfect = n > 0 and not (clips - hits)[:, weights > 0].any()
    return Share(
        1.0 if perfect else float(hits.sum(0) @ weights),
        n,
        (hits - rates * clips) @ weights,
        clips @ weights,
        float(of_label @ np.square(weights)),
        speakers,
    )
