"""The metrics of a network on dev after an epoch, by which the best epoch is chosen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from edgekws.core.corpus import Examples
from edgekws.metrics.recall import in_macro_recall, mean_recall
from edgekws.training.model import Model


class DevMetrics(NamedTuple):
    """Cross-entropy without smoothing, accuracy, and recall averaged over labels that have clips.

    `balanced_accuracy` averages over all labels, `macro_recall`, as everywhere, over all except
    `_silence_`; 0 if there are none.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float
    macro_recall: float


@torch.no_grad()
def score(
    model: Model, examples: Examples, labels: Sequence[str], device: str, batch_size: int = 512
) -> DevMetrics:
    """Return the metrics of `model` on `examples`; puts the network in eval mode.

    `labels` are the names of the classes, in the order of the logits.
    """
    model.network.eval()
    logits = torch.cat(
        [
            model.logits(torch.tensor(examples.features[i : i + batch_size], device=device)).cpu()
            for i in range(0, len(examples), batch_size)
        ]
    )
    targets = examples.targets
    right = logits.argmax(dim=1).numpy() == targets
    clips = np.bincount(targets, minlength=len(labels))
    hits = np.bincount(targets[right], minlength=len(labels))
    present, spoken = clips > 0, in_macro_recall(clips, labels)
    return DevMetrics(
        loss=F.cross_entropy(logits, torch.from_numpy(targets)).item(),
        accuracy=float(np.mean(right)),
        balanced_accuracy=mean_recall(clips[present], hits[present]),
        macro_recall=mean_recall(clips[spoken], hits[spoken]),
    )
