from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgekws.training.model import Model
from edgekws.training.scores import macro_recall, score


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_macro_recall_is_the_slow_one(pairs: list[tuple[int, int]]) -> None:
    predicted, targets = np.array(pairs).T
    recalls = []
    for label in set(targets.tolist()):
        of_label = [p for p, t in pairs if t == label]
        recalls.append(of_label.count(label) / len(of_label))
    assert macro_recall(predicted, targets) == pytest.approx(sum(recalls) / len(recalls))


@pytest.mark.parametrize("representation", ["2d", "3d"])
def test_scores_do_not_depend_on_the_batches(
    patterns: Any, request: pytest.FixtureRequest, representation: Any
) -> None:
    build: Callable[[], nn.Module] = request.getfixturevalue(f"network_{representation}")
    network = build()
    dev = patterns.examples("dev")
    got = score(Model(network, representation), dev, "cpu", batch_size=33)
    features = torch.from_numpy(dev.features)
    logits = network.eval()(features if representation == "2d" else features[:, None])
    log_p = torch.log_softmax(logits, dim=1).detach().numpy()
    assert got.loss == pytest.approx(-log_p[np.arange(80), dev.targets].mean(), rel=1e-5)
    assert got.accuracy == (log_p.argmax(axis=1) == dev.targets).mean()
    assert got.macro_recall == macro_recall(log_p.argmax(axis=1), dev.targets)
    assert not network.training
