"""The losses of training."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekws.training.options import CrossEntropyLoss, DistillationLoss, FocalLoss


def clip_weights(targets: Tensor, without_keyword: Sequence[int], weight: float) -> Tensor:
    """Return what each clip counts, `(B,)`, 1 in the mean: clips without a keyword `weight` times.

    `targets` are `(B, n_labels)`; `without_keyword` are the labels of clips that have none. A clip
    that mixup made of both kinds counts in between. Weighting clips by what an error on them costs
    is Zadrozny, Langford and Abe 2003, "Cost-Sensitive Learning by Cost-Proportionate Example
    Weighting".
    """
    share = targets[:, list(without_keyword)].sum(dim=1)
    weights = 1 + (weight - 1) * share
    return weights / weights.mean()


def cross_entropy(
    logits: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy of `logits` `(B, n_labels)` to `targets`.

    `targets` are probabilities `(B, n_labels)`: one-hot, or a mixture under mixup; `weights` `(B,)`
    are what the clips count.
    """
    losses = F.cross_entropy(logits, targets, label_smoothing=label_smoothing, reduction="none")
    return _mean(losses, weights)


def focal(
    logits: Tensor,
    targets: Tensor,
    gamma: float,
    label_smoothing: float,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the mean focal loss of `logits` `(B, n_labels)` to `targets` `(B, n_labels)`.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", with a softmax. Soft targets (mixup,
    smoothing) weight each label's term, as in cross-entropy, which it equals at `gamma` 0.
    """
    targets = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    log_p = torch.log_softmax(logits, dim=1)
    # With gamma < 1 the slope at a probability of 1 is infinite.
    missing = (1 - log_p.exp()).clamp_min(torch.finfo(log_p.dtype).eps)
    return _mean(-(targets * missing**gamma * log_p).sum(dim=1), weights)


def label_loss(
    logits: Tensor,
    targets: Tensor,
    fields: CrossEntropyLoss | FocalLoss,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the loss configured by `fields`, of `logits` and `targets` `(B, n_labels)`."""
    if isinstance(fields, FocalLoss):
        return focal(logits, targets, fields.gamma, fields.label_smoothing, weights)
    return cross_entropy(logits, targets, fields.label_smoothing, weights)


def distillation(
    logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    fields: DistillationLoss,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the weighted sum of the loss on the labels and the KL divergence from the teachers.

    `logits` and `targets` are `(B, n_labels)`, `teacher_logits` `(K, B, n_labels)` of K teachers;
    their probabilities at the temperature are averaged. The divergence is multiplied by T², so
    that its gradient does not depend on the temperature (Hinton et al. 2015, "Distilling the
    Knowledge in a Neural Network").
    """
    teacher = mean_probabilities(teacher_logits, fields.temperature)
    return from_probabilities(logits, teacher, targets, fields, weights)


def mean_probabilities(teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return the probabilities `(B, n_labels)` of logits `(K, B, n_labels)`, averaged over K."""
    return torch.softmax(teacher_logits / temperature, dim=-1).mean(dim=0)


def from_probabilities(
    logits: Tensor,
    teacher: Tensor,
    targets: Tensor,
    fields: DistillationLoss,
    weights: Tensor | None = None,
) -> Tensor:
    """Return `distillation` from the teachers' mean probabilities at the temperature."""
    smoothing, gamma = fields.label_smoothing, fields.focal_gamma
    if gamma:
        hard = focal(logits, targets, gamma, smoothing, weights)
    else:
        hard = cross_entropy(logits, targets, smoothing, weights)
    soft = divergence(logits, teacher, fields.temperature, weights)
    return fields.ce_weight * hard + fields.kl_weight * soft


def divergence(
    logits: Tensor, teacher: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Return the mean KL divergence of `logits` from probabilities, both `(B, n_labels)`, by T²."""
    student = torch.log_softmax(logits / temperature, dim=-1)
    losses = F.kl_div(student, teacher, reduction="none").sum(dim=1)
    return _mean(losses, weights) * temperature**2


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of the losses `(B,)` of the clips, times what each counts."""
    return (losses if weights is None else losses * weights).mean()
