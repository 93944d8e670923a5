"""Accuracy of models and bundles on the data of a recipe, class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekws.core.corpus import Split
from edgekws.core.events import Emit, progress
from edgekws.core.measurement import Measurement
from edgekws.engine.data import Source
from edgekws.engine.environment import cache_folder
from edgekws.engine.models import model_file, model_logits
from edgekws.recipe.load import Loaded


@dataclass(frozen=True)
class Evaluation:
    """One model on one split: `per_class` has a row a label, `confusion[i][j]` counts i as j."""

    name: str
    measurements: tuple[Measurement, ...]
    per_class: list[dict[str, Any]]
    confusion: list[list[int]]


def evaluate(paths: Sequence[Path], loaded: Loaded, split: Split, emit: Emit) -> list[Evaluation]:
    """Evaluate ONNX models or bundles on one split of the recipe's data.

    Raises:
        DataError: no model there, or one with another front end or other labels.
    """
    from edgekws.metrics import accuracy

    files = [model_file(path) for path in paths]
    data = Source(loaded.recipe, cache_folder(), emit).features
    examples = data.examples(split)
    evaluations = []
    for done, (path, file) in enumerate(zip(paths, files, strict=True)):
        progress(emit, f"evaluate {path}", done, len(paths))
        logits = model_logits(file, data, examples)
        evaluations.append(
            Evaluation(
                str(path),
                accuracy.accuracy(logits, examples, data.labels),
                accuracy.per_class(logits, examples, data.labels),
                np.asarray(accuracy.confusion(logits, examples, data.labels)).tolist(),
            )
        )
    return evaluations
