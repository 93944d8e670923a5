"""Accuracy of models and bundles on the data of a recipe, class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Emit, progress
from edgekws.core.measurement import Measurement
from edgekws.engine.chance import warn_of_chance
from edgekws.evaluation.evaluation_set import EvaluationSet
from edgekws.evaluation.recordings import RecordingSet
from edgekws.recipe.load import Loaded

if TYPE_CHECKING:
    from edgekws.metrics.detection_tradeoff import Tradeoff

ALL_KEYWORDS = "all keywords"


@dataclass(frozen=True)
class Evaluation:
    """One model on one split.

    `per_class` has the rows of `metrics.accuracy.per_class` with `f1`; an undefined figure is
    `None`. `confusion[i][j]` counts clips of label i classified as label j. `detection` holds the
    trade-off of each keyword, `pooled` that of all keywords at a common threshold.
    """

    name: str
    measurements: tuple[Measurement, ...]
    per_class: list[dict[str, Any]]
    confusion: list[list[int]]
    detection: tuple["Tradeoff", ...] = ()
    pooled: "Tradeoff | None" = None


def evaluate(paths: Sequence[Path], loaded: Loaded, split: Split, emit: Emit) -> list[Evaluation]:
    """Evaluate ONNX models, bundles or runs on one split of the recipe's data.

    Each processes the clips with its own front end; a warning is emitted if that is not the
    recipe's, or if a model does no better than chance.

    Raises:
        DataError: there is no model, or it has other labels.
    """
    return _evaluations(paths, EvaluationSet(loaded, split, emit), emit)


def evaluate_recordings(paths: Sequence[Path], folder: Path, emit: Emit) -> list[Evaluation]:
    """Evaluate ONNX models, bundles or runs on every clip of word folders, as `record` writes them.

    Words that are no label of the first model are `_unknown_`. A warning is emitted if all clips
    are of one speaker: the intervals are then over clips.

    Raises:
        DataError: there is no model or clip, a clip cannot be read, or labels differ.
    """
    return _evaluations(paths, RecordingSet(folder, paths[0], emit), emit)


def _evaluations(
    paths: Sequence[Path], clips: EvaluationSet | RecordingSet, emit: Emit
) -> list[Evaluation]:
    evaluations = []
    for done, path in enumerate(paths):
        progress(emit, "evaluate", done, len(paths), unit="models")
        logits = clips.logits(path)
        result = evaluation(str(path), logits, clips.examples, clips.labels)
        warn_of_chance(result.name, result.measurements, len(clips.labels), emit)
        evaluations.append(result)
    progress(emit, "evaluate", len(paths), len(paths))
    return evaluations


def evaluation(
    name: str, logits: NDArray[np.float32], examples: Examples, labels: Sequence[str]
) -> Evaluation:
    """Return the evaluation of a model from its logits `(N, n_labels)`.

    Raises:
        DataError: there are no clips, or a clip's logits are not finite.
    """
    from edgekws.metrics import accuracy, detection_tradeoff

    return Evaluation(
        name,
        accuracy.accuracy(logits, examples, labels),
        [
            row | {"f1": _f1(row["precision"], row["recall"])}
            for row in accuracy.per_class(logits, examples, labels)
        ],
        accuracy.confusion(logits, examples, labels),
        detection_tradeoff.per_keyword(logits, examples, labels),
        detection_tradeoff.pooled(logits, examples, labels, ALL_KEYWORDS),
    )


def _f1(precision: float | None, recall: float | None) -> float | None:
    """Return the harmonic mean; `None` if the class has neither clips nor predictions."""
    if precision is None and recall is None:
        return None
    sides = (precision or 0.0, recall or 0.0)
    return 2 * sides[0] * sides[1] / sum(sides) if sum(sides) else 0.0
