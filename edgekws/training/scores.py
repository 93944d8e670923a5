"""How a network does on dev after an epoch: what the choice of the best epoch is made by."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from edgekws.core.corpus import Examples
from edgekws.training.model import Model


class Scores(NamedTuple):
    """Cross-entropy without smoothing, accuracy, and recall averaged over the labels present."""

    loss: float
    accuracy: float
    macro_recall: float


def macro_recall(predicted: NDArray[np.int64], targets: NDArray[np.int64]) -> float:
    """Return the recall averaged over the labels that occur in `targets` `(N,)`.

    >>> macro_recall(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    0.75
    """
    hits = np.bincount(targets[predicted == targets], minlength=targets.max() + 1)
    counts = np.bincount(targets)
    return float(np.mean(hits[counts > 0] / counts[counts > 0]))


@torch.no_grad()
def score(model: Model, examples: Examples, device: str, batch_size: int = 512) -> Scores:
    """Return the scores of `model` on `examples`; puts the network in eval mode."""
    model.network.eval()
    logits = torch.cat(
        [
            model.logits(torch.tensor(examples.features[i : i + batch_size], device=device)).cpu()
            for i in range(0, len(examples), batch_size)
        ]
    )
    predicted = logits.argmax(dim=1).numpy()
    return Scores(
        loss=F.cross_entropy(logits, torch.from_numpy(examples.targets)).item(),
        accuracy=float(np.mean(predicted == examples.targets)),
        macro_recall=macro_recall(predicted, examples.targets),
    )
