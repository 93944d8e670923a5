"""MobileNets of a tenth of the width: depthwise-separable baselines."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn

Variant = Literal["mobilenet1d", "simplemobilenet1d"]


@dataclass(frozen=True)
class Stack:
    """Channels of the stem; channels and stride of each separable convolution; the hidden Linear.

    The stem has stride 2.
    """

    stem: int
    separable: tuple[tuple[int, int], ...]
    dense: int


STACKS: dict[Variant, Stack] = {
    "mobilenet1d": Stack(
        stem=10,
        separable=((10, 1), (12, 2), (12, 1), (25, 2), (25, 1), (51, 2), (51, 1)),
        dense=24,
    ),
    "simplemobilenet1d": Stack(
        stem=8,
        separable=((14, 1), (28, 2), (42, 2), (67, 2)),
        dense=28,
    ),
}


class Backbone(Fields):
    """A convolution, depthwise-separable convolutions, a mean, a linear layer, a classifier.

    | variant | stem | depthwise-separable | dense |
    |---|---|---|---|
    | mobilenet1d | 10, stride 2 | 10, 12 / 2, 12, 25 / 2, 25, 51 / 2, 51 | 24 |
    | simplemobilenet1d | 8, stride 2 | 14, 28 / 2, 42 / 2, 67 / 2 | 28 |

    `/ 2` is a stride of 2, in the depthwise convolution. All kernels have size 3; in the 3-D
    representation they are 3 × 3, and strides and mean apply to both frequency and time.

    Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
    Applications", 2017, over time.
    """

    kind: Literal["mobilenet1d"] = "mobilenet1d"
    variant: Variant = Field("mobilenet1d", description="the stack of layers")
    representation: Representation = Field(
        "2d", description="2d: Conv1d on (B, n_mels, T); 3d: Conv2d on (B, 1, n_mels, T)"
    )

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, n_mels, T)` or `(B, 1, n_mels, T)` to `(B, n_labels)` logits.

        Supports any `n_mels`.
        """
        from torch import nn

        from edgekws.backbones.blocks.layers import MEAN, conv_norm
        from edgekws.backbones.blocks.separable import separable

        stack, axes = STACKS[self.variant], 1 if self.representation == "2d" else 2
        kernel, c, blocks = (3,) * axes, stack.stem, []
        stem = conv_norm(n_mels if axes == 1 else 1, c, kernel, stride=2)
        for channels, stride in stack.separable:
            blocks.append(separable(c, channels, kernel, stride))
            c = channels
        return nn.Sequential(
            nn.Sequential(*stem, nn.ReLU()),  # (B, C, T/2) or (B, C, n_mels/2, T/2)
            nn.Sequential(*blocks),  # (B, C, T/16) or (B, C, n_mels/16, T/16)
            MEAN[axes](1),
            nn.Flatten(1),  # (B, C)
            nn.Linear(c, stack.dense),
            nn.ReLU(),
            nn.Linear(stack.dense, n_labels),
        )
