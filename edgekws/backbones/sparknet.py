"""SparkNet: separable convolutions that control gates, which are averaged over time."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.backbones.blocks.inverted_bottleneck_fields import Kernel
from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn


class Backbone(Fields):
    """SparkNet[C=16]; the published sizes are C = 4, 8, 16 and 32, on 32 features × 101 frames.

    Separable convolutions (depthwise, then pointwise, no activation in between), all except the
    first with a pointwise shortcut; a pointwise layer to `gates` gates in [0, 1]; the mean of each
    gate over time; a linear classifier.

    A gate is `clamp(m + 1/2 + noise, 0, 1)`, after training without noise. `m` is bounded as by the
    published tanh, but only where the gate is closed or fully open without noise, so that only the
    clamp remains after training: a Clip, which INT8 rounding performs by saturating.

    The published 4,636 parameters (C = 16) and 11,500 (C = 32) on 32 features with 12 labels,
    BatchNorm not folded, include 32 of a bias before a BatchNorm, omitted here: 4,604 and 11,468,
    folded 4,460 and 11,212. C = 8 and 4, with configurations that are not released, have 64 and 88
    more than the published 2,292 and 1,416. At 101 frames C = 16 has 396,304 MACs; the published
    454.5 k include 4 more per output value of a BatchNorm.

    The published loss includes, with a hundredth of the cross-entropy's weight, the mean
    probability that a gate is open; here `sparsity` adds it to the gradients only: the reported
    loss is without it.

    Source: Svirsky, Shaham and Lindenbaum, "Sparse Binarization for Fast Keyword Spotting",
    Interspeech 2024, with the kernels and residuals of the authors' release.
    """

    kind: Literal["sparknet"] = "sparknet"
    channels: int = Field(16, ge=1, le=1024, description="C, the channels of the convolutions")
    kernels: tuple[Kernel, ...] = Field(
        (11, 15, 19, 29),
        min_length=1,
        max_length=32,
        description="frames spanned by each separable convolution, in turn; odd",
    )
    gates: int = Field(32, ge=1, le=4096, description="number of gates; their means are classified")
    noise: float = Field(
        0.5, ge=0, le=2, description="standard deviation of the noise on the gates in training"
    )
    sparsity: float = Field(
        0.01,
        ge=0,
        le=10,
        description="weight in the loss of the mean probability that a gate is open",
    )
    stem_stride: int = Field(1, ge=1, le=4, description="stride over time of the first convolution")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout after every activation")

    @property
    def representation(self) -> Representation:
        """`2d`: the network takes `(B, n_mels, T)`."""
        return "2d"

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`."""
        from torch import nn

        from edgekws.backbones.blocks.gates import Gates
        from edgekws.backbones.blocks.layers import conv_norm

        c, first, later = self.channels, self.kernels[0], self.kernels[1:]
        body = [nn.Sequential(*_separable(n_mels, c, first, self.stem_stride), *self._activated())]
        body += [self._block(kernel) for kernel in later]
        pointwise, norm = conv_norm(c, self.gates, (1,))
        nn.init.constant_(norm.get_parameter("bias"), 0.5)
        return nn.Sequential(
            nn.Sequential(*body),  # (B, C, T / stem_stride)
            nn.Sequential(pointwise, norm, Gates(self.noise, self.sparsity)),  # (B, gates, T)
            nn.AdaptiveAvgPool1d(1),  # (B, gates, 1)
            nn.Flatten(1),  # (B, gates)
            nn.Linear(self.gates, n_labels),
        )

    def _block(self, kernel: int) -> "nn.Sequential":
        """Return a separable convolution with its shortcut; the activation follows the sum."""
        from torch import nn

        from edgekws.backbones.blocks.layers import Residual, conv_norm

        c = self.channels
        body = nn.Sequential(*_separable(c, c, kernel, 1))
        shortcut = nn.Sequential(*conv_norm(c, c, (1,)))
        return nn.Sequential(Residual(body, shortcut), *self._activated())

    def _activated(self) -> "tuple[nn.Module, nn.Module]":
        from torch import nn

        return nn.ReLU(), nn.Dropout(self.dropout)


def _separable(
    in_channels: int, channels: int, kernel: int, stride: int
) -> "tuple[nn.Module, ...]":
    """Return a depthwise and a pointwise convolution and a BatchNorm."""
    from torch import nn

    from edgekws.backbones.blocks.layers import conv_norm

    depthwise = nn.Conv1d(
        in_channels,
        in_channels,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=in_channels,
        bias=False,
    )
    return depthwise, *conv_norm(in_channels, channels, (1,))
