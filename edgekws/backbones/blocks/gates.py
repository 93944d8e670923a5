"""Stochastic gates: noisy in training, a clamp to [0, 1] afterwards.

Source: Yamada et al., "Feature Selection using Stochastic Gates", 2020, sections 3 and 4.
"""

import math

import torch
from torch import Tensor, nn


class Gates(nn.Module):
    """`clamp(x, 0, 1)`; in training of `x` bounded and with noise, and pushed to be shut.

    An `x` of 1/2 is a gate that is as likely open as shut.
    """

    def __init__(self, noise: float, sparsity: float) -> None:
        super().__init__()
        self.noise = noise
        self.sparsity = sparsity
        self.clamp = nn.Hardtanh(0.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return gates of the shape of `x`."""
        if self.training:
            x = bounded(x)
            if self.sparsity and self.noise and x.requires_grad:
                self._push(x)
            x = x + self.noise * torch.randn_like(x)
        out: Tensor = self.clamp(x)
        return out

    def _push(self, x: Tensor) -> None:
        """Add to the gradient that of `sparsity` × the mean probability that a gate is open.

        A gate is open where its noise does not bring it to 0: with the probability Φ(x / noise),
        whose derivative is a Gaussian.
        """
        per_gate = self.sparsity / x.numel() / (self.noise * math.sqrt(2 * math.pi))
        pull = per_gate * torch.exp(-(x.detach() / self.noise).square() / 2)
        x.register_hook(lambda gradient: gradient + pull)  # type: ignore[no-untyped-call]


def bounded(x: Tensor) -> Tensor:
    """Return `x` where it is in [0, 1]; beyond, bounded smoothly by -1/2 and 3/2.

    So that noise can still shut an open gate; clamped to [0, 1], it is `x` clamped.
    """
    inside = x.clamp(0.0, 1.0)
    return inside + 0.5 * torch.tanh(2 * (x - inside))
