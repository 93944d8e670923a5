"""Accuracy over labelled clips, with its doubt."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Examples
from edgekws.core.measurement import Measurement
from edgekws.errors import DataError

RESAMPLES = 1000
_SEED = 20_240_229
_CHUNK = 100
_Z95 = 1.959964

Counts = NDArray[np.int64]
Share = tuple[NDArray[np.float64], int]
"""A share for every draw, `(draws,)`, and the clips behind the first."""


def accuracy(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> tuple[Measurement, ...]:
    """Measure `logits` `(N, n_labels)` against the targets.

    Returns `accuracy`; `macro_recall`, the mean recall of all classes but `_silence_` that have
    clips; `unknown_accepted`, the share of `_unknown_` clips called a keyword. The last two are
    absent where no clip counts for them.

    The 95 % intervals come from resampling whole speakers and, apart from them, the clips without
    a speaker (`_silence_`), or clips alone where at most one speaker is known; `accuracy` then has
    a Wilson interval, and so has a share of exactly 0 or 1, where resampling sees no doubt.
    Sources: Bisani & Ney 2004 (bootstrap over speakers), Wilson 1927.

    Raises:
        DataError: there are no clips, or a clip's logits are not finite.
    """
    predicted = _predictions(logits, examples)
    groups, n_speakers = drawn_together(examples.speakers)
    tables = _tables(predicted, examples.targets, groups, labels)
    total, draws, kinds = (
        tables.sum(1, keepdims=True),
        _resampled(tables, n_speakers),
        _kinds(labels),
    )
    found = []
    for name, share in _SHARES.items():
        (value,), n = share(total, kinds)
        if n:
            plain = name == "accuracy" and not n_speakers
            values = None if plain or value in (0, 1) else share(draws, kinds)[0]
            ci95 = _wilson(value, n) if values is None else _ci95(values)
            found.append(Measurement(name, float(value), "", n, ci95))
    return tuple(found)


def per_class(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row a label: `label`, `recall`, `precision`, `support` (clips of that label).

    A recall without clips, and a precision without predictions, is `None`.

    Raises:
        DataError: there are no clips, or a clip's logits are not finite.
    """
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, _, support = precision_recall_fscore_support(
        examples.targets,
        _predictions(logits, examples),
        labels=range(len(labels)),
        zero_division=np.nan,
    )
    return [
        {
            "label": label,
            "recall": None if math.isnan(recall[i]) else float(recall[i]),
            "precision": None if math.isnan(precision[i]) else float(precision[i]),
            "support": int(support[i]),
        }
        for i, label in enumerate(labels)
    ]


def confusion(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> list[list[int]]:
    """Count, at `[i][j]`, the clips of label `i` that were called label `j`.

    Raises:
        DataError: there are no clips, or a clip's logits are not finite.
    """
    from sklearn.metrics import confusion_matrix

    predicted = _predictions(logits, examples)
    matrix = confusion_matrix(examples.targets, predicted, labels=range(len(labels)))
    counts: list[list[int]] = matrix.tolist()
    return counts


def _predictions(logits: NDArray[np.float32], examples: Examples) -> Counts:
    if not len(examples):
        raise DataError("there are no clips to measure on; the split is empty")
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(broken):
        raise DataError(
            f"{examples.names[broken[0]]}: the model's logits are not finite"
            f" ({len(broken)} of {len(examples)} clips); train with a lower learning rate"
        )
    predicted: Counts = logits.argmax(axis=1)
    return predicted


def drawn_together(speakers: NDArray[np.str_]) -> tuple[Counts, int]:
    """Number the clips that are drawn together, `(N,)`, speakers first; return how many they are.

    A clip without a speaker is a group of its own; so is every clip where fewer than two speakers
    are known.
    """
    known = speakers != ""
    names, codes = np.unique(speakers[known], return_inverse=True)
    if len(names) < 2:
        return np.arange(len(speakers)), 0
    groups = np.empty(len(speakers), np.int64)
    groups[known] = codes
    groups[~known] = len(names) + np.arange(np.count_nonzero(~known))
    return groups, len(names)


def _tables(predicted: Counts, targets: Counts, groups: Counts, labels: Sequence[str]) -> Counts:
    """Count clips, right ones, and ones called a keyword: `(3, n_groups, n_labels)`."""
    keyword = _kinds(labels) == 0
    tables = np.zeros((3, int(groups.max()) + 1, len(labels)), np.int64)
    chosen = (np.ones(len(targets), bool), predicted == targets, keyword[predicted])
    for table, mask in zip(tables, chosen, strict=True):
        np.add.at(table, (groups[mask], targets[mask]), 1)
    return tables


def _kinds(labels: Sequence[str]) -> NDArray[np.int64]:
    """Return 0 for a keyword, 1 for `_unknown_`, 2 for `_silence_`."""
    return np.array([{UNKNOWN: 1, SILENCE: 2}.get(label, 0) for label in labels])


def _resampled(tables: Counts, n_speakers: int) -> Counts:
    """Draw groups with replacement and sum their counts, `(3, RESAMPLES, n_labels)`.

    As many speakers and as many single clips as there are: were they drawn from one urn, a draw
    might hold hardly a speaker.
    """
    rng = np.random.default_rng(_SEED)
    n_groups = tables.shape[1]
    urns = [(0, n_speakers), (n_speakers, n_groups)]
    sums = []
    for _ in range(RESAMPLES // _CHUNK):
        drawn = np.hstack([rng.integers(a, b, (_CHUNK, b - a)) for a, b in urns if a < b])
        drawn += n_groups * np.arange(_CHUNK)[:, None]
        times = np.bincount(drawn.ravel(), minlength=_CHUNK * n_groups)
        # in floats, whose matrix product is fast, and exact for counts
        sums.append(times.reshape(_CHUNK, n_groups).astype(np.float64) @ tables)
    return np.concatenate(sums, axis=1).astype(np.int64)


def _accuracy(tables: Counts, _: Counts) -> Share:
    clips, right, _ = tables.sum(2)
    return right / clips, int(clips[0])


def _macro_recall(tables: Counts, kinds: Counts) -> Share:
    clips, right, _ = tables[:, :, kinds != 2]
    present = (clips > 0).sum(1)
    recalls = (right / np.maximum(clips, 1)).sum(1)
    return np.where(present, recalls / np.maximum(present, 1), np.nan), int(clips[0].sum())


def _unknown_accepted(tables: Counts, kinds: Counts) -> Share:
    clips, _, accepted = tables[:, :, kinds == 1].sum(2)
    return np.where(clips, accepted / np.maximum(clips, 1), np.nan), int(clips[0])


_SHARES = {
    "accuracy": _accuracy,
    "macro_recall": _macro_recall,
    "unknown_accepted": _unknown_accepted,
}


def _ci95(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share of `n` clips.

    >>> [round(bound, 3) for bound in _wilson(0.9, 100)]
    [0.826, 0.945]
    """
    square = _Z95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
