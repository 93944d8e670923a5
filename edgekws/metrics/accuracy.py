"""Accuracy over labelled clips, with confidence intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Examples
from edgekws.core.measurement import Measurement
from edgekws.errors import DataError
from edgekws.metrics import tallies
from edgekws.metrics.tallies import Counts, Share


def accuracy(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> tuple[Measurement, ...]:
    """Measure `logits` `(N, n_labels)` against the targets.

    Returns `accuracy`; `macro_recall`, the mean recall of all classes with clips except
    `_silence_`; `keyword_recall`, the recall of all keyword clips together; `unknown_recall` and
    `silence_recall`; `unknown_accepted`, the share of `_unknown_` clips classified as a keyword;
    and `unheard_accepted`, that of the clips whose word no training clip has. A metric without
    clips is omitted.

    The 95 % intervals are over speakers, see `metrics.intervals`; each clip without a speaker
    (`_silence_`) is its own group. With a single speaker there is no interval.

    Raises:
        DataError: there are no clips, or a clip's logits are not finite.
    """
    predicted = _predictions(logits, examples)
    groups = tallies.grouped(examples.speakers)
    keyword = np.array([kind == "keyword" for kind in tallies.kinds(labels)])
    right = predicted == examples.targets
    accepted = keyword[predicted]
    chosen = dict.fromkeys(tallies.BY_LABEL, right) | {"unknown_accepted": accepted}
    every = np.ones(len(examples), bool)
    clips = groups.tally(examples.targets, every, len(labels))
    measurements = []
    for metric, hits in chosen.items():
        weights = tallies.clip_weights(metric, clips.sum(0), labels)
        if weights is not None:
            counted = groups.tally(examples.targets, hits, len(labels))
            share = tallies.share(clips, counted, weights, groups.speakers)
            speakers = share.known_speakers or None
            measurements.append(
                Measurement(metric, share.value, "", share.n, share.ci95(), speakers)
            )
    if examples.unheard is not None:
        part = _share_of(accepted, examples.unheard, examples.speakers)
        if part:
            speakers = part.known_speakers or None
            measurements.append(
                Measurement("unheard_accepted", part.value, "", part.n, part.ci95(), speakers)
            )
    return tuple(measurements)


def per_class(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one row per label: `label`, `recall`, `precision`, `support` (clips of that label).

    `recall_ci95` and `precision_ci95` are the intervals over speakers. A recall without clips,
    and a precision without predictions, is `None`.

    Raises:
        DataError: there are no clips, or a clip's logits are not finite.
    """
    predicted = _predictions(logits, examples)
    right = predicted == examples.targets
    rows = []
    for i, label in enumerate(labels):
        row: dict[str, Any] = {"label": label, "support": int((examples.targets == i).sum())}
        for name, counted in (("recall", examples.targets == i), ("precision", predicted == i)):
            share = _share_of(right, counted, examples.speakers)
            row[name] = share.value if share else None
            row[f"{name}_ci95"] = share.ci95() if share else None
        rows.append(row)
    return rows


def _share_of(
    hits: NDArray[np.bool_], counted: NDArray[np.bool_], speakers: NDArray[np.str_]
) -> Share | None:
    """Return the share of hits among the counted clips, `(N,)` each."""
    n = int(np.count_nonzero(counted))
    if not n:
        return None
    groups, alike = tallies.grouped(speakers), np.zeros(len(hits), np.int64)
    clips, n_hits = (groups.tally(alike, mask, 1) for mask in (counted, counted & hits))
    return tallies.share(clips, n_hits, np.array([1 / n]), groups.speakers)


def confusion(
    logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> list[list[int]]:
    """Count, at `[i][j]`, the clips of label `i` that were classified as label `j`.

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
