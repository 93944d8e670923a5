"""Recall averaged over labels: balanced accuracy, and macro recall, which excludes `_silence_`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE


def in_macro_recall(clips: NDArray[np.int64], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return which labels macro recall averages, `(n_labels,)`: all with clips except `_silence_`.

    `clips` `(n_labels,)` is the number of clips of each label.
    """
    return np.array([label != SILENCE for label in labels]) & (clips > 0)


def mean_recall(clips: NDArray[np.int64], hits: NDArray[np.int64]) -> float:
    """Return the recall averaged over labels, from the `clips` and `hits` of each.

    Both are `(n_labels,)`; every label has clips. Without labels it is 0.

    >>> mean_recall(np.array([4, 2]), np.array([4, 1]))
    0.75
    """
    return float(np.mean(hits / clips)) if len(clips) else 0.0
