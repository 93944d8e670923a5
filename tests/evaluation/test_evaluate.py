"""What is told of a model, class by class, against loops over its clips."""

from typing import Any

import numpy as np
import pytest

from edgekws.core.corpus import Examples
from edgekws.core.events import quiet
from edgekws.evaluation.evaluate import evaluate, evaluation
from edgekws.evaluation.evaluation_set import EvaluationSet
from edgekws.metrics.accuracy import accuracy
from edgekws.recipe.load import Loaded

LABELS = ("да", "no", "_unknown_", "_silence_")


def made() -> tuple[np.ndarray, Examples]:
    """Return logits of 80 clips by five speakers; there is no `_silence_`, and `no` is rare."""
    rng = np.random.default_rng(1)
    targets = rng.choice([0, 0, 0, 1, 2, 2], 80)
    logits = rng.standard_normal((80, 4)).astype(np.float32)
    logits[np.arange(80), targets] += 1
    logits[:, 3] = -9
    speakers = np.array([f"s{i % 5}" for i in range(80)])
    names = tuple(f"clip {i}" for i in range(80))
    return logits, Examples(np.zeros((80, 1, 1), np.float32), targets, speakers, names)


def test_every_class_has_its_figures() -> None:
    logits, examples = made()
    result = evaluation("m", logits, examples, LABELS)
    called = logits.argmax(axis=1)
    for i, row in enumerate(result.per_class[:3]):
        both = sum((called == i) & (examples.targets == i))
        precision, recall = both / sum(called == i), both / sum(examples.targets == i)
        assert row["precision"] == pytest.approx(precision)
        assert row["recall"] == pytest.approx(recall)
        assert row["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
        assert row["support"] == sum(examples.targets == i)
        low, high = row["recall_ci95"]
        assert low <= recall <= high
    silence = {"label": "_silence_", "precision": None, "recall": None, "f1": None}
    empty = {"support": 0, "recall_ci95": None, "precision_ci95": None}
    assert result.per_class[3] == silence | empty
    assert [one.label for one in result.detection] == ["да", "no"]
    assert result.pooled is not None
    assert result.pooled.label == "all keywords"
    assert np.sum(result.confusion) == 80


def test_the_interval_of_a_recall_is_by_speaker() -> None:
    logits, examples = made()
    alone = Examples(examples.features, examples.targets, np.array([""] * 80), examples.names)
    by_speaker = evaluation("m", logits, examples, LABELS).per_class[0]
    by_clip = evaluation("m", logits, alone, LABELS).per_class[0]
    assert by_speaker["recall"] == by_clip["recall"]
    assert by_speaker["recall_ci95"] != by_clip["recall_ci95"]


def test_a_class_that_is_never_right_has_f1_zero() -> None:
    logits = np.array([[1, 0], [0, 1]], np.float32)
    names = np.array(["", ""])
    examples = Examples(np.zeros((2, 1, 1), np.float32), np.array([1, 0]), names, ("a", "b"))
    assert [row["f1"] for row in evaluation("m", logits, examples, LABELS[:2]).per_class] == [0, 0]


def test_models_are_evaluated_side_by_side(loaded: Loaded, linear: Any) -> None:
    clips = EvaluationSet(loaded, "test", quiet)
    front_end, normalization = clips._data.front_end, clips._data.normalization
    paths = [linear(f"{i}.onnx", front_end, normalization, seed=i).path for i in (1, 2)]
    result = evaluate(paths, loaded, "test", quiet)
    assert [one.name for one in result] == [str(path) for path in paths]
    for one, path in zip(result, paths, strict=True):
        logits = clips.logits(path)
        assert one.measurements == accuracy(logits, clips.examples, clips.labels)
