"""Which labels macro recall averages, and what becomes of labels without clips."""

import numpy as np

from edgekws.metrics.recall import in_macro_recall, mean_recall


def test_silence_and_labels_without_clips_are_not_in_macro_recall() -> None:
    counted = in_macro_recall(np.array([3, 4, 0, 1]), ("yes", "_silence_", "no", "_unknown_"))
    assert counted.tolist() == [True, False, False, True]


def test_every_label_counts_alike_however_many_clips_it_has() -> None:
    assert mean_recall(np.array([100, 1]), np.array([50, 1])) == 0.75
    assert mean_recall(np.zeros(0, np.int64), np.zeros(0, np.int64)) == 0.0
