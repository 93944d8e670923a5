from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgekws.core.corpus import Examples
from edgekws.metrics.accuracy import accuracy
from edgekws.training.model import Model
from edgekws.training.scores import score

LABELS = ("yes", "_silence_", "no", "_unknown_", "stop")


def reference(predicted: np.ndarray, targets: np.ndarray, labels: Iterable[int]) -> float:
    """Return the mean of the recalls of those `labels` that occur, label by label."""
    recalls = [np.mean(predicted[targets == i] == i) for i in labels if i in targets]
    return float(np.mean(recalls)) if recalls else 0.0


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=60))
def test_recalls_are_the_slow_ones_to_the_last_bit(pairs: list[tuple[int, int]]) -> None:
    """The best epoch is the one of the highest: not even a tie may fall another way."""
    predicted, targets = np.array(pairs).T
    labels = ("_silence_", "_unknown_", *"abcdefghij")
    logits = np.eye(12, dtype=np.float32)[predicted]
    clips = Examples(logits, targets, np.array(["x"] * len(pairs)), ("",) * len(pairs))
    got = score(Model(nn.Flatten(), "2d"), clips, labels, "cpu")
    assert got.balanced_accuracy == reference(predicted, targets, range(12))
    assert got.macro_recall == reference(predicted, targets, range(1, 12))
    assert got.accuracy == float(np.mean(predicted == targets))


def test_macro_recall_is_that_of_every_other_table() -> None:
    """An epoch is scored as its model is measured later, both without `_silence_`."""
    draws = np.random.default_rng(0)
    targets = draws.integers(0, 5, 60)
    logits = draws.normal(size=(60, 5)).astype(np.float32) + np.eye(5, dtype=np.float32)[targets]
    names = np.array([f"{i}.wav" for i in range(60)])
    clips = Examples(logits, targets, names, tuple(names.tolist()))
    network = nn.Flatten()
    got = score(Model(network, "2d"), clips, LABELS, "cpu")
    measured = {m.metric: m.value for m in accuracy(logits, clips, LABELS)}
    assert got.macro_recall == pytest.approx(measured["macro_recall"])
    assert got.accuracy == pytest.approx(measured["accuracy"])
    assert got.balanced_accuracy != pytest.approx(got.macro_recall)


def test_without_a_spoken_clip_there_is_no_macro_recall() -> None:
    logits = np.eye(2, dtype=np.float32)[[1, 0]]
    clips = Examples(logits, np.array([1, 1]), np.array(["a", "b"]), ("", ""))
    got = score(Model(nn.Flatten(), "2d"), clips, ("yes", "_silence_"), "cpu")
    assert (got.balanced_accuracy, got.macro_recall) == (0.5, 0.0)


@pytest.mark.parametrize("representation", ["2d", "3d"])
def test_scores_do_not_depend_on_the_batches(
    patterns: Any, request: pytest.FixtureRequest, representation: Any
) -> None:
    build: Callable[[], nn.Module] = request.getfixturevalue(f"network_{representation}")
    network = build()
    dev = patterns.examples("dev")
    got = score(Model(network, representation), dev, patterns.labels, "cpu", batch_size=33)
    features = torch.from_numpy(dev.features)
    logits = network.eval()(features if representation == "2d" else features[:, None])
    log_p = torch.log_softmax(logits, dim=1).detach().numpy()
    assert got.loss == pytest.approx(-log_p[np.arange(80), dev.targets].mean(), rel=1e-5)
    assert got.accuracy == (log_p.argmax(axis=1) == dev.targets).mean()
    labels = range(len(patterns.labels))
    assert got.balanced_accuracy == reference(log_p.argmax(axis=1), dev.targets, labels)
    assert not network.training
