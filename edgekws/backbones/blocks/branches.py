"""Parallel convolutions that fold into one after training (structural re-parameterization).

Source: Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", 2021, section 3.3; over time,
for keyword spotting, Li et al., "Small-Footprint Keyword Spotting with Multi-Scale Temporal
Convolution", Interspeech 2020.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekws.backbones.blocks.layers import conv_norm


class Branches(nn.Module):
    """The sum of bias-free convolutions of different kernels, each with its BatchNorm.

    All kernels are odd, so every branch is centred on the same frame at any stride. A network with
    branches is folded (`lowering.folding`) after training, before it is measured or written.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernels: Sequence[tuple[int, ...]],
        *,
        stride: tuple[int, ...] | int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                *conv_norm(in_channels, out_channels, kernel, stride=stride, groups=groups)
            )
            for kernel in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the branches."""
        first, *others = self.branches
        out: Tensor = first(x)
        for branch in others:
            out = out + branch(x)
        return out

    @torch.no_grad()
    def folded(self) -> "Branches":
        """Return the single branch that is equivalent in eval mode.

        Its kernel has the largest size on each axis and is the sum of all kernels, each scaled by
        its BatchNorm. Its BatchNorm has the mean and shift of the sum, and the variance of
        uncorrelated branches, which its scale undoes: further training starts from approximately
        correct statistics.
        """
        pairs = [_layers(branch) for branch in self.branches]
        first = pairs[0][0]
        span = tuple(map(max, zip(*(conv.kernel_size for conv, _ in pairs), strict=True)))
        result = Branches(
            first.in_channels, first.out_channels, [span], stride=first.stride, groups=first.groups
        )
        conv, norm = _layers(result.branches[0])
        scales = [_scale(n) for _, n in pairs]
        scaled = list(zip(pairs, scales, strict=True))
        conv.weight.copy_(_sum(_centred(c.weight, span, s) for (c, _), s in scaled))
        norm.running_mean.copy_(_sum(s * n.running_mean for (_, n), s in scaled))
        norm.running_var.copy_(_sum(n.weight.double().square() for _, n in pairs))
        norm.bias.copy_(_sum(n.bias.double() for _, n in pairs))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.num_batches_tracked.copy_(pairs[0][1].num_batches_tracked)
        return result.train(self.training)


def _layers(branch: nn.Module) -> tuple[Any, Any]:
    """Return the convolution and the BatchNorm of a branch."""
    conv, norm = branch.children()
    return conv, norm


def _scale(norm: Any) -> Tensor:
    """Return the factor of each channel of a BatchNorm in eval mode, `(C,)` in float64."""
    scale: Tensor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale


def _centred(kernel: Tensor, span: tuple[int, ...], scale: Tensor) -> Tensor:
    """Return the scaled kernel `(out, in, *k)`, padded with zeros to `(out, in, *span)`."""
    sides = [(s - k) // 2 for s, k in zip(span, kernel.shape[2:], strict=True)]
    pads = [side for side in reversed(sides) for _ in range(2)]  # F.pad: the last axis first
    return F.pad(kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1)), pads)


def _sum(tensors: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).sum(0)
