"""Recall averaged over labels: balanced accuracy, and macro recall, which `_silence_` is not in."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE


def in_macro_recall(clips: NDArray[np.int64], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return which labels macro recall averages, `(n_labels,)`: those with clips but `_silence_`.

    `clips` `(n_labels,)` are the clips of each label.
    """
    return np.array([label != SILENCE for label in labels]) & (clips > 0)


def mean_recall(clips: NDArray[np.int64], hits: NDArray[np.int64]) -> float:
    """Return the recall averaged over labels, of which each has `clips` and, among them, `hits`.

    Both are `(n_labels,)`; every label has clips. Without labels it is 0.

    >>> mean_recall(np.array([4, 2]), np.array([4, 1]))
    0.75
    """
    return float(np.mean(hits / clips)) if len(clips) else 0.0
