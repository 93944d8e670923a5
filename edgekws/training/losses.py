"""What training minimises."""

import torch
from torch import Tensor
from torch.nn import functional as F

from edgekws.training.options import CrossEntropyLoss, DistillationLoss


def cross_entropy(logits: Tensor, targets: Tensor, fields: CrossEntropyLoss) -> Tensor:
    """Return the mean cross-entropy of `logits` `(B, n_labels)` to `targets`.

    `targets` are probabilities `(B, n_labels)`: one-hot, or a mixture under mixup.
    """
    return F.cross_entropy(logits, targets, label_smoothing=fields.label_smoothing)


def distillation(
    logits: Tensor, teacher_logits: Tensor, targets: Tensor, fields: DistillationLoss
) -> Tensor:
    """Return the weighted sum of cross-entropy to the labels and KL divergence to the teachers.

    `logits` and `targets` are `(B, n_labels)`, `teacher_logits` `(K, B, n_labels)` of K teachers,
    whose probabilities at the temperature are averaged. The divergence is taken times T², so that
    its gradient keeps its size whatever the temperature (Hinton et al. 2015,
    "Distilling the Knowledge in a Neural Network").
    """
    hard = F.cross_entropy(logits, targets, label_smoothing=fields.label_smoothing)
    t = fields.temperature
    teacher = torch.softmax(teacher_logits / t, dim=-1).mean(dim=0)  # (B, n_labels)
    student = torch.log_softmax(logits / t, dim=-1)
    soft = F.kl_div(student, teacher, reduction="batchmean") * t**2
    return fields.ce_weight * hard + fields.kl_weight * soft
