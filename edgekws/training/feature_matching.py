"""Feature distillation: the student's pooled features learn to predict the teachers'."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekws.training.model import Model

LEAST_VARIANCE = 1e-6
"""Lower bound of the variance of a teacher's features: constant ones must not divide by 0."""


def classifier(network: nn.Module) -> nn.Linear:
    """Return the last linear layer of `network`; its input is the pooled features.

    Raises:
        ValueError: there is none.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError("the network ends in no nn.Linear; its features cannot be matched")
    return layers[-1]


def logits_and_features(model: Model, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits `(B, n_labels)` of log-mel `(B, n_mels, T)`, and the pooled features.

    The latter are `(B, classifier.in_features)`. No hook is left in the network.
    """
    pooled: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        pooled.append(inputs[0])

    hook = classifier(model.network).register_forward_pre_hook(keep)
    try:
        logits = model.logits(features)
    finally:
        hook.remove()
    return logits, pooled[-1]


class FeatureMatching(nn.Module):
    """A linear map from the student's features to each teacher's, trained with the student.

    The maps are discarded after training. Like the hints of Romero et al. 2015, "FitNets: Hints
    for Thin Deep Nets", but at the pooled features, where networks of any architecture and any
    number of bands and frames can be compared.
    """

    def __init__(self, student: nn.Module, teachers: Sequence[nn.Module], seed: int) -> None:
        """Initialise the maps from `seed`, without changing torch's random state."""
        super().__init__()
        width = classifier(student).in_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.maps = nn.ModuleList(
                nn.Linear(width, classifier(teacher).in_features) for teacher in teachers
            )

    def forward(self, student: Tensor, teachers: Sequence[Tensor]) -> Tensor:
        """Return the unexplained share of the teachers' variance, averaged over the teachers.

        `student` is `(B, C)`, `teachers` one `(B, C_k)` each. The maps predict a teacher's features
        standardized over the batch: the share is 0 for an exact prediction and 1 for the mean,
        at any scale of the teacher.
        """
        pairs = zip(self.maps, teachers, strict=True)
        return torch.stack([(to(student) - _standard(t)).square().mean() for to, t in pairs]).mean()


def _standard(features: Tensor) -> Tensor:
    """Return `(B, C)` with a mean of 0 in every channel and a variance of 1 over all."""
    centred = features - features.mean(dim=0)
    return centred / centred.square().mean().clamp_min(LEAST_VARIANCE).sqrt()
