"""A model that only guesses is said to, by every command that has its accuracy."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekws.core.events import Emit, Event, quiet
from edgekws.core.measurement import Budget, Limit, Measurement
from edgekws.engine.chance import chance_warning
from edgekws.evaluation.check import check
from edgekws.evaluation.compare import compare
from edgekws.evaluation.evaluate import evaluate
from edgekws.evaluation.evaluation_set import EvaluationSet
from edgekws.recipe.load import Loaded

ACCURACY = Budget((Limit("accuracy", "min", 0.1),))


@pytest.fixture
def models(loaded: Loaded, linear: Any) -> tuple[Path, Path]:
    """Return a model that tells the tones apart, and one that gives the same logits to all."""
    clips = EvaluationSet(loaded, "dev", quiet)
    front_end, normalization = clips._data.front_end, clips._data.normalization
    paths = [linear(f"{name}.onnx", front_end, normalization).path for name in ("good", "guess")]
    mean = clips.examples.features.mean(axis=2)
    means = [mean[clips.examples.targets == i].mean(axis=0) for i in range(len(clips.labels))]
    _set_matrix(paths[0], np.stack(means, axis=1))
    _set_matrix(paths[1], np.zeros_like(np.stack(means, axis=1)))
    return paths[0], paths[1]


def _set_matrix(path: Path, matrix: np.ndarray) -> None:
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(matrix, "matrix"))
    onnx.save(model, path)


def _evaluate(good: Path, guess: Path, loaded: Loaded, emit: Emit) -> None:
    evaluate([good, guess], loaded, "dev", emit)


def _compare(good: Path, guess: Path, loaded: Loaded, emit: Emit) -> None:
    compare([str(good), str(guess)], loaded, "dev", emit)


def _check(good: Path, guess: Path, loaded: Loaded, emit: Emit) -> None:
    for path in (good, guess):
        check(path, ACCURACY, emit, loaded)


@pytest.mark.parametrize("command", [_evaluate, _compare, _check])
def test_only_the_model_that_guesses_is_named(
    command: Any, models: tuple[Path, Path], loaded: Loaded
) -> None:
    reported: list[str] = []

    def emit(event: Event) -> None:
        if event.kind == "warning" and "a guess among" in event.text:
            reported.append(event.text)

    command(*models, loaded, emit)
    (text,) = reported
    assert text.startswith(f"{models[1]}: accuracy is 50.0 %")
    assert text.endswith("no better than a guess among 2 labels (50.0 %)")


@pytest.mark.parametrize(
    ("one", "warned"),
    [
        (Measurement("accuracy", 0.3, ci95=(0.25, 0.4)), True),
        (Measurement("accuracy", 0.3, ci95=(0.26, 0.4)), False),
        (Measurement("macro_recall", 0.25), True),
        (Measurement("keyword_recall", 0.1), True),
        (Measurement("filler_recall", 0.1), False),
    ],
)
def test_the_lower_end_decides(one: Measurement, warned: bool) -> None:
    assert (chance_warning([one], 4) is not None) == warned
