from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekws.core import family
from edgekws.core.job import Job
from edgekws.training.feature_matching import FeatureMatching, classifier, logits_and_features
from edgekws.training.fit import fit
from edgekws.training.model import Model
from edgekws.training.options import AdamW, DistillationLoss, Training

MELS, FRAMES, LABELS = 40, 97, 12


@pytest.mark.parametrize("kind", family.kinds("Backbone"))
def test_the_features_of_every_backbone_are_what_its_classifier_takes(kind: str) -> None:
    fields: Any = family.load("Backbone", kind)()
    torch.manual_seed(0)
    network = fields.build(MELS, LABELS).eval()
    model = Model(network, fields.representation)
    with torch.no_grad():
        logits, pooled = logits_and_features(model, torch.randn(3, MELS, FRAMES))
        assert pooled.shape == (3, classifier(network).in_features)
        torch.testing.assert_close(classifier(network)(pooled), logits)
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_no_hook_stays_after_an_error() -> None:
    model = Model(nn.Sequential(nn.Conv1d(8, 4, 3), nn.Linear(5, 2)), "2d")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        logits_and_features(model, torch.zeros(1, 8, 9))
    assert not classifier(model.network)._forward_pre_hooks


def test_a_network_without_classifier_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the network ends in no nn\.Linear; its features"):
        classifier(nn.Sequential(nn.Conv1d(8, 4, 3)))


def _linear(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, LABELS))


def _matching(*widths: int, seed: int = 7) -> FeatureMatching:
    return FeatureMatching(_linear(5), [_linear(width) for width in widths], seed)


def slow_share(predicted: Tensor, teacher: Tensor) -> float:
    """Return the squared error over the teacher's variance, both summed over all channels."""
    means = [sum(float(row[c]) for row in teacher) / len(teacher) for c in range(teacher.shape[1])]
    gaps = [[float(row[c]) - means[c] for c in range(len(means))] for row in teacher]
    variance = sum(gap**2 for row in gaps for gap in row) / teacher.numel()
    error = sum(
        (float(predicted[b, c]) * variance**0.5 - gaps[b][c]) ** 2
        for b in range(len(teacher))
        for c in range(len(means))
    )
    return float(error / teacher.numel() / variance)


def test_it_is_the_mean_share_of_unexplained_variance() -> None:
    matching = _matching(3, 8)
    student, teachers = torch.randn(6, 5), [torch.randn(6, 3) + 2, 10 * torch.randn(6, 8)]
    expected = [
        slow_share(to(student).detach(), teacher)
        for to, teacher in zip(matching.maps, teachers, strict=True)
    ]
    assert matching(student, teachers).item() == pytest.approx(np.mean(expected), rel=1e-4)
    louder = [100 * teacher + 5 for teacher in teachers]
    assert matching(student, louder).item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_perfect_map_leaves_nothing_and_the_mean_leaves_all() -> None:
    matching, student = _matching(4), torch.randn(6, 5)
    predicted = matching.maps[0](student).detach()
    centred = predicted - predicted.mean(dim=0)
    with torch.no_grad():
        matching.maps[0].bias -= predicted.mean(dim=0)
        scale = centred.square().mean().sqrt()
        matching.maps[0].weight /= scale
        matching.maps[0].bias /= scale
    assert matching(student, [predicted]).item() == pytest.approx(0, abs=1e-9)
    for parameter in matching.parameters():
        nn.init.zeros_(parameter)
    assert matching(student, [predicted]).item() == pytest.approx(1, rel=1e-5)
    assert torch.isfinite(matching(student, [torch.ones(6, 4)]))  # a constant teacher


def test_maps_are_drawn_from_the_seed_alone() -> None:
    student, teachers = _linear(5), [_linear(4)]
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = FeatureMatching(student, teachers, 7)
    assert torch.equal(torch.rand(1), expected)  # torch's random state is unchanged
    second, other = _matching(4), _matching(4, seed=8)
    drawn, again, other_draws = (
        matching.get_parameter("maps.0.weight") for matching in (first, second, other)
    )
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other_draws)


def test_the_student_and_the_maps_learn_to_predict_the_teachers(
    tmp_path: Path,
    job_in: Callable[..., Job],
    network_2d: Callable[[], nn.Module],
    network_3d: Callable[[], nn.Module],
) -> None:
    """With the other losses near zero, the reported loss is the unexplained share."""
    training = Training(epochs=4, batch_size=60, optimizer=AdamW(lr=0.01))
    loss = DistillationLoss(ce_weight=1e-9, kl_weight=0, feature_weight=2)
    student, teachers = Model(network_2d(), "2d"), [Model(network_3d(), "3d")] * 2
    before = student.network.get_parameter("0.weight").clone()
    history = fit(student, training, loss, job_in(tmp_path), teachers)
    losses = [row["train_loss"] / 2 for row in history["epochs"]]
    assert losses[0] > 1
    assert losses[-1] < 0.8
    assert not torch.allclose(student.network.get_parameter("0.weight"), before, atol=1e-3)
    names = student.network.state_dict().keys()
    assert names == network_2d().state_dict().keys()  # the maps are discarded
