"""The metrics of a network on dev after an epoch, by which the best epoch is chosen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edgekws.core.contract import SILENCE
from edgekws.core.corpus import Examples
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


def mean_recall(
    predicted: NDArray[np.int64], targets: NDArray[np.int64], counted: Sequence[int]
) -> float:
    """Return the recall averaged over the labels in `counted` that occur in `targets` `(N,)`.

    >>> mean_recall(np.array([0, 0, 0, 1, 0]), np.array([0, 0, 1, 1, 2]), (0, 1))
    0.75
    """
    recalls = [
        np.mean(predicted[targets == label] == label) for label in counted if label in targets
    ]
    return float(np.mean(recalls)) if recalls else 0.0


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
    predicted = logits.argmax(dim=1).numpy()
    spoken = [i for i, label in enumerate(labels) if label != SILENCE]
    return DevMetrics(
        loss=F.cross_entropy(logits, torch.from_numpy(examples.targets)).item(),
        accuracy=float(np.mean(predicted == examples.targets)),
        balanced_accuracy=mean_recall(predicted, examples.targets, range(len(labels))),
        macro_recall=mean_recall(predicted, examples.targets, spoken),
    )
