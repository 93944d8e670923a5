"""The losses of training."""

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekws.training.options import CrossEntropyLoss, DistillationLoss, FocalLoss


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Return the mean cross-entropy of `logits` `(B, n_labels)` to `targets`.

    `targets` are probabilities `(B, n_labels)`: one-hot, or a mixture under mixup.
    """
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def focal(logits: Tensor, targets: Tensor, gamma: float, label_smoothing: float) -> Tensor:
    """Return the mean focal loss of `logits` `(B, n_labels)` to `targets` `(B, n_labels)`.

    Lin et al. 2017, "Focal Loss for Dense Object Detection", with a softmax. Soft targets (mixup,
    smoothing) weight each label's term, as in cross-entropy, which it equals at `gamma` 0.
    """
    targets = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    log_p = torch.log_softmax(logits, dim=1)
    # With gamma < 1 the slope at a probability of 1 is infinite.
    missing = (1 - log_p.exp()).clamp_min(torch.finfo(log_p.dtype).eps)
    return -(targets * missing**gamma * log_p).sum(dim=1).mean()


def label_loss(logits: Tensor, targets: Tensor, fields: CrossEntropyLoss | FocalLoss) -> Tensor:
    """Return the loss configured by `fields`, of `logits` and `targets` `(B, n_labels)`."""
    if isinstance(fields, FocalLoss):
        return focal(logits, targets, fields.gamma, fields.label_smoothing)
    return cross_entropy(logits, targets, fields.label_smoothing)


def distillation(
    logits: Tensor, teacher_logits: Tensor, targets: Tensor, fields: DistillationLoss
) -> Tensor:
    """Return the weighted sum of the loss on the labels and the KL divergence from the teachers.

    `logits` and `targets` are `(B, n_labels)`, `teacher_logits` `(K, B, n_labels)` of K teachers;
    their probabilities at the temperature are averaged. The divergence is multiplied by T², so
    that its gradient does not depend on the temperature (Hinton et al. 2015, "Distilling the
    Knowledge in a Neural Network").
    """
    smoothing, gamma = fields.label_smoothing, fields.focal_gamma
    if gamma:
        hard = focal(logits, targets, gamma, smoothing)
    else:
        hard = cross_entropy(logits, targets, smoothing)
    t = fields.temperature
    teacher = torch.softmax(teacher_logits / t, dim=-1).mean(dim=0)  # (B, n_labels)
    student = torch.log_softmax(logits / t, dim=-1)
    soft = F.kl_div(student, teacher, reduction="batchmean") * t**2
    return fields.ce_weight * hard + fields.kl_weight * soft
