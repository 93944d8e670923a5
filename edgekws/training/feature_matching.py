"""Distillation of features: the student's last features are led to the teachers'."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekws.training.model import Model

LEAST_VARIANCE = 1e-6
"""What a teacher's features vary by at least; where they are constant, nothing is divided by 0."""


def classifier(network: nn.Module) -> nn.Linear:
    """Return the last linear layer of `network`; what goes into it are the pooled features.

    Raises:
        ValueError: there is none.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ValueError("the network ends in no nn.Linear; its features cannot be matched")
    return layers[-1]


def logits_and_features(model: Model, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits `(B, n_labels)` of log-mel `(B, n_mels, T)`, and the classifier's input.

    The latter is `(B, classifier.in_features)`. No hook stays in the network.
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
    """A linear map from the student's features to each teacher's, trained beside the student.

    The maps are thrown away after the training. As the hints of Romero et al. 2015, "FitNets:
    Hints for Thin Deep Nets", but at the pooled features, where networks of any form and any
    number of bands and frames can be compared.
    """

    def __init__(self, student: nn.Module, teachers: Sequence[nn.Module], seed: int) -> None:
        """Draw the maps from `seed`; torch's own draws go on as if nothing had been drawn."""
        super().__init__()
        width = classifier(student).in_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.maps = nn.ModuleList(
                nn.Linear(width, classifier(teacher).in_features) for teacher in teachers
            )

    def forward(self, student: Tensor, teachers: Sequence[Tensor]) -> Tensor:
        """Return the share of the teachers' variance that the maps leave unexplained, their mean.

        `student` is `(B, C)`, `teachers` one `(B, C_k)` each. The maps foretell what a teacher's
        features are above their mean over the batch, in their deviation over it: the share is 0
        where that is exact, 1 where all is foretold as the mean, whatever the teacher's scale.
        """
        pairs = zip(self.maps, teachers, strict=True)
        return torch.stack([(to(student) - _standard(t)).square().mean() for to, t in pairs]).mean()


def _standard(features: Tensor) -> Tensor:
    """Return `(B, C)` with a mean of 0 in every channel and a variance of 1 over all."""
    centred = features - features.mean(dim=0)
    return centred / centred.square().mean().clamp_min(LEAST_VARIANCE).sqrt()
