"""How a network does on dev after an epoch: what the choice of the best epoch is made by."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edgekws.core.contract import SILENCE
from edgekws.core.corpus import Examples
from edgekws.training.model import Model


class Scores(NamedTuple):
    """Cross-entropy without smoothing, accuracy, and recall averaged over labels that have clips.

    `balanced_accuracy` is over all of them, `macro_recall`, as everywhere, over all but
    `_silence_`; 0 where there is none.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float
    macro_recall: float


def mean_recall(
    predicted: NDArray[np.int64], targets: NDArray[np.int64], counted: Sequence[int]
) -> float:
    """Return the recall averaged over those of the labels `counted` that occur in `targets` `(N,)`.

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
) -> Scores:
    """Return the scores of `model` on `examples`; puts the network in eval mode.

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
    return Scores(
        loss=F.cross_entropy(logits, torch.from_numpy(examples.targets)).item(),
        accuracy=float(np.mean(predicted == examples.targets)),
        balanced_accuracy=mean_recall(predicted, examples.targets, range(len(labels))),
        macro_recall=mean_recall(predicted, examples.targets, spoken),
    )
