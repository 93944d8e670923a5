import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgekws.training.losses import cross_entropy, distillation, focal, label_loss
from edgekws.training.options import CrossEntropyLoss, DistillationLoss, FocalLoss

B, C, K = 5, 7, 3
Array = NDArray[np.float64]


def drawn(seed: int) -> tuple[Array, Array, Array]:
    """Logits `(B, C)`, teacher logits `(K, B, C)` and soft targets `(B, C)`."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(B, C)) * 3,
        rng.normal(size=(K, B, C)) * 3,
        rng.dirichlet(np.ones(C), size=B),
    )


def slow_softmax(row: Array) -> Array:
    return np.array([np.exp(v) / sum(np.exp(w) for w in row) for v in row])


def slow_cross_entropy(logits: Array, targets: Array, smoothing: float) -> float:
    total = 0.0
    for row, target in zip(logits, targets, strict=True):
        p = slow_softmax(row)
        total -= sum(((1 - smoothing) * target[c] + smoothing / C) * np.log(p[c]) for c in range(C))
    return total / B


def slow_kl(logits: Array, teachers: Array, t: float) -> float:
    total = 0.0
    for b in range(B):
        teacher = np.zeros(C)
        for k in range(len(teachers)):
            teacher += slow_softmax(teachers[k, b] / t) / len(teachers)
        student = slow_softmax(logits[b] / t)
        total += sum(teacher[c] * np.log(teacher[c] / student[c]) for c in range(C))
    return total / B * t * t


def slow_focal(logits: Array, targets: Array, gamma: float, smoothing: float) -> float:
    total = 0.0
    for row, target in zip(logits, targets, strict=True):
        p = slow_softmax(row)
        for c in range(C):
            share = (1 - smoothing) * target[c] + smoothing / C
            total -= share * (1 - p[c]) ** gamma * np.log(p[c])
    return total / B


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_is_the_slow_one(smoothing: float) -> None:
    logits, _, targets = drawn(0)
    a, b = torch.from_numpy(logits), torch.from_numpy(targets)
    expected = slow_cross_entropy(logits, targets, smoothing)
    assert cross_entropy(a, b, smoothing).item() == pytest.approx(expected, rel=1e-9)
    named = label_loss(a, b, CrossEntropyLoss(label_smoothing=smoothing))
    assert named.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_the_slow_one(gamma: float, smoothing: float) -> None:
    logits, _, targets = drawn(0)
    a, b = torch.from_numpy(logits), torch.from_numpy(targets)
    expected = slow_focal(logits, targets, gamma, smoothing)
    assert focal(a, b, gamma, smoothing).item() == pytest.approx(expected, rel=1e-9)
    named = label_loss(a, b, FocalLoss(gamma=gamma, label_smoothing=smoothing))
    assert named.item() == pytest.approx(expected, rel=1e-9)
    if gamma == 0:
        plain = slow_cross_entropy(logits, targets, smoothing)
        assert expected == pytest.approx(plain, rel=1e-9)


def test_focal_gives_confident_predictions_less_weight() -> None:
    """The example of Lin et al. 2017, section 3.2: at gamma 2 and p 0.9, 100 times less."""
    p = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    one_hot = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    ratio = cross_entropy(p.log(), one_hot, 0.0) / focal(p.log(), one_hot, 2.0, 0.0)
    assert ratio.item() == pytest.approx(100)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_a_slope_where_all_is_right(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    torch.autograd.backward(focal(logits, torch.eye(2), gamma, 0.1))
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_distillation_is_the_slow_one(temperature: float) -> None:
    logits, teachers, targets = drawn(1)
    fields = DistillationLoss(
        ce_weight=0.3, kl_weight=0.9, temperature=temperature, label_smoothing=0.2
    )
    a, b, c = map(torch.from_numpy, (logits, teachers, targets))
    got = distillation(a, b, c, fields)
    expected = 0.3 * slow_cross_entropy(logits, targets, 0.2)
    expected += 0.9 * slow_kl(logits, teachers, temperature)
    assert got.item() == pytest.approx(expected, rel=1e-9)


def test_without_the_teachers_weight_it_is_cross_entropy() -> None:
    logits, teachers, targets = map(torch.from_numpy, drawn(2))
    fields = DistillationLoss(ce_weight=1, kl_weight=0)
    plain = cross_entropy(logits, targets, fields.label_smoothing)
    assert torch.equal(distillation(logits, teachers, targets, fields), plain)


def test_the_label_part_may_be_focal() -> None:
    logits, teachers, targets = drawn(2)
    fields = DistillationLoss(ce_weight=0.3, kl_weight=0.9, focal_gamma=1.5)
    a, b, c = map(torch.from_numpy, (logits, teachers, targets))
    got = distillation(a, b, c, fields)
    expected = 0.3 * slow_focal(logits, targets, 1.5, 0.1) + 0.9 * slow_kl(logits, teachers, 3)
    assert got.item() == pytest.approx(expected, rel=1e-9)


def test_a_student_that_equals_its_teacher_has_no_divergence() -> None:
    logits, _, targets = map(torch.from_numpy, drawn(3))
    fields = DistillationLoss(ce_weight=0, kl_weight=1)
    assert abs(distillation(logits, logits[None], targets, fields).item()) < 1e-12


def test_at_high_temperature_it_is_the_distance_of_centred_logits() -> None:
    """The limit in Hinton et al. 2015, section 2.1; without T² it would vanish."""
    logits, teachers, targets = drawn(4)
    fields = DistillationLoss(ce_weight=0, kl_weight=1).model_copy(update={"temperature": 1e4})
    a, b, c = map(torch.from_numpy, (logits, teachers[:1], targets))
    got = distillation(a, b, c, fields)
    gap = logits - teachers[0]
    gap -= gap.mean(axis=1, keepdims=True)
    assert got.item() == pytest.approx((gap**2).sum() / (2 * C * B), rel=1e-3)
