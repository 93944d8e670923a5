"""MatchboxNet: time-channel-separable convolutions with residuals, in the 2-D representation."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn

STEM_KERNEL = 11
FIRST_KERNEL = 13
"""Frames of the first block's convolutions; each further block has two more."""

TAIL_KERNEL = 29
TAIL_DILATION = 2


class Backbone(Fields):
    """MatchboxNet-B×R×C: `blocks` × `sub_blocks` × `channels`.

    A separable convolution is depthwise, then pointwise, with no BatchNorm or activation in
    between. A block is `sub_blocks` of them, with a pointwise shortcut around.

    The parameters match the published ones, on 64 features with the 30 labels of Speech Commands
    V1: 77,214 for 3×1×64 (published 77 k) and 92,766 for 3×2×64 (93 k), BatchNorm not folded; with
    35 labels (V2) 3×1×64 has 77,859 and 6×2×64 139,491 (published 140 k). At 128 frames, to which
    the release pads a clip, 3×1×64 has 9.2 M MACs. Unlike in the release, padded frames are not
    masked: all clips have the same length.

    Source: Majumdar and Ginsburg, "MatchboxNet: 1D Time-Channel Separable Convolutional Neural
    Network Architecture for Speech Commands Recognition", Interspeech 2020, with the stride and
    dropout of the authors' release (NeMo, `matchboxnet_3x1x64_v1.yaml`).
    """

    kind: Literal["matchboxnet"] = "matchboxnet"
    blocks: int = Field(3, ge=1, le=16, description="B, the residual blocks")
    sub_blocks: int = Field(1, ge=1, le=16, description="R, the convolutions of a block")
    channels: int = Field(64, ge=1, le=1024, description="C, the channels of the blocks")
    outer_channels: int = Field(
        128, ge=1, le=2048, description="channels of the first and of the last two convolutions"
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

        from edgekws.backbones.blocks.layers import conv_norm

        c, outer = self.channels, self.outer_channels
        stem = _separable(n_mels, outer, STEM_KERNEL, stride=self.stem_stride)
        tail = _separable(c, outer, TAIL_KERNEL, dilation=TAIL_DILATION)
        return nn.Sequential(
            nn.Sequential(*stem, *self._activated()),  # (B, outer, T)
            nn.Sequential(*(self._block(number) for number in range(self.blocks))),  # (B, C, T)
            nn.Sequential(*tail, *self._activated()),  # (B, outer, T)
            nn.Sequential(*conv_norm(outer, outer, (1,)), *self._activated()),
            nn.AdaptiveAvgPool1d(1),  # (B, outer, 1)
            nn.Flatten(1),  # (B, outer)
            nn.Linear(outer, n_labels),
        )

    def _block(self, number: int) -> "nn.Module":
        """Return a block, counted from 0; its last activation follows the sum."""
        from torch import nn

        from edgekws.backbones.blocks.layers import Residual, conv_norm

        c, kernel = self.channels, FIRST_KERNEL + 2 * number
        in_channels = c if number else self.outer_channels
        body = list(_separable(in_channels, c, kernel))
        for _ in range(self.sub_blocks - 1):
            body += [*self._activated(), *_separable(c, c, kernel)]
        shortcut = nn.Sequential(*conv_norm(in_channels, c, (1,)))
        return nn.Sequential(Residual(nn.Sequential(*body), shortcut), *self._activated())

    def _activated(self) -> "tuple[nn.Module, nn.Module]":
        from torch import nn

        return nn.ReLU(), nn.Dropout(self.dropout)


def _separable(
    in_channels: int, channels: int, kernel: int, *, stride: int = 1, dilation: int = 1
) -> "tuple[nn.Module, ...]":
    """Return a depthwise and a pointwise convolution and a BatchNorm; keeps the length."""
    from torch import nn

    from edgekws.backbones.blocks.layers import conv_norm

    depthwise = nn.Conv1d(
        in_channels,
        in_channels,
        kernel,
        stride=stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=in_channels,
        bias=False,
    )
    return depthwise, *conv_norm(in_channels, channels, (1,))
