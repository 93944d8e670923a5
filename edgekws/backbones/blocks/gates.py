"""Stochastic gates: noisy in training, a clamp to [0, 1] afterwards.

Source: Yamada et al., "Feature Selection using Stochastic Gates", 2020, sections 3 and 4.
"""

import math

import torch
from torch import Tensor, nn


class Gates(nn.Module):
    """`clamp(x, 0, 1)`; in training with bounded `x`, noise, and a penalty on open gates.

    At `x` = 1/2 a gate is equally likely open or closed.
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
                self._add_penalty(x)
            x = x + self.noise * torch.randn_like(x)
        out: Tensor = self.clamp(x)
        return out

    def _add_penalty(self, x: Tensor) -> None:
        """Add the gradient of `sparsity` × the mean probability that a gate is open.

        A gate is open unless its noise brings it to 0; the probability is Φ(x / noise), and its
        derivative a Gaussian.
        """
        per_gate = self.sparsity / x.numel() / (self.noise * math.sqrt(2 * math.pi))
        penalty = per_gate * torch.exp(-(x.detach() / self.noise).square() / 2)
        x.register_hook(lambda gradient: gradient + penalty)  # type: ignore[no-untyped-call]


def bounded(x: Tensor) -> Tensor:
    """Return `x` within [0, 1]; outside, smoothly bounded by -1/2 and 3/2.

    Noise can then still close an open gate. Clamped to [0, 1], the result is `x` clamped.
    """
    inside = x.clamp(0.0, 1.0)
    return inside + 0.5 * torch.tanh(2 * (x - inside))
