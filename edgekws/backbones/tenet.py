"""TENet: inverted bottlenecks over time, trained with kernels of several sizes."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from edgekws.backbones.blocks.inverted_bottleneck_fields import Kernel
from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn


class Backbone(Fields):
    """TENet6-narrow; TENet6 has 32 channels, the TENet12 have 4 blocks per stage.

    A block expands pointwise, filters each channel over time, projects, and adds its input, through
    a pointwise convolution if it has stride 2, without an activation after the sum. Each kernel of
    `kernels` is a depthwise convolution with a separate BatchNorm; after training they are folded
    into one of the largest kernel, `folded()`, which is measured and written. `kernels = [9]` is
    TENet, `[3, 5, 7, 9]` is published as MTENet.

    On 40 features × 98 frames with 12 labels, folded:

    | | channels | blocks | parameters | MACs |
    |---|---|---|---|---|
    | TENet6-narrow | 16 | 2 | 15,436 | 0.618 M |
    | TENet6 | 32 | 2 | 50,828 | 1.946 M |
    | TENet12-narrow | 16 | 4 | 27,916 | 0.961 M |
    | TENet12 | 32 | 4 | 94,220 | 3.166 M |

    TENet6-narrow is published with 17 k and 0.55 M, TENet12 with 100 k parameters. These match
    (16,908 and 99,852) with two running statistics and a shift for each channel of a BatchNorm, as
    in the release, and the MACs (553,056) if the expansion before a strided convolution is counted
    at half the frames; the release, as here, runs it on all of them. Unfolded, TENet6-narrow with
    the four kernels trains 22,220 parameters. `head`, `squeeze` and a strided stem are not
    published.

    Source: Li et al., "Small-Footprint Keyword Spotting with Multi-Scale Temporal Convolution",
    Interspeech 2020, with the shortcut and dropout of the authors' release.
    """

    kind: Literal["tenet"] = "tenet"
    channels: int = Field(16, ge=1, le=1024, description="channels between the blocks")
    expansion: float = Field(
        3.0,
        ge=0.25,
        le=16,
        description="channels inside a block as a multiple of `channels`, rounded to the nearest "
        "whole number, at least 1",
    )
    stages: int = Field(3, ge=1, le=8, description="stages; the first block of each has stride 2")
    blocks: int = Field(2, ge=1, le=32, description="blocks of a stage")
    kernels: tuple[Kernel, ...] = Field(
        (3, 5, 7, 9),
        min_length=1,
        max_length=16,
        description="frames spanned by the parallel depthwise convolutions, all odd; after "
        "training they are folded into one of the largest",
    )
    stem_kernel_size: Kernel = Field(3, description="frames spanned by the first convolution; odd")
    stem_stride: int = Field(1, ge=1, le=4, description="stride over time of the first convolution")
    squeeze: int = Field(
        0, ge=0, le=1024, description="channels of the squeeze-excitation in each block; 0: none"
    )
    head: int = Field(
        0, ge=0, le=4096, description="channels of a pointwise layer before the mean; 0: none"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before the classifier")

    @property
    def representation(self) -> Representation:
        """`2d`: the network takes `(B, n_mels, T)`."""
        return "2d"

    @property
    def hidden(self) -> int:
        """Channels inside a block."""
        return max(1, round(self.channels * self.expansion))

    def folded(self) -> dict[str, Any] | None:
        """Return the recipe table of the single-branch backbone; `None` if it is one already.

        All modules have the same names, except those of the branches.
        """
        if len(self.kernels) == 1:
            return None
        return {**self.model_dump(), "kernels": (max(self.kernels),)}

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`."""
        from torch import nn

        from edgekws.backbones.blocks.layers import conv_norm

        c, k, s = self.channels, self.stem_kernel_size, self.stem_stride
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["stem"] = nn.Sequential(*conv_norm(n_mels, c, (k,), stride=s), nn.ReLU())
        strides = (2, *[1] * (self.blocks - 1)) * self.stages
        parts["blocks"] = nn.Sequential(  # (B, C, T / stem_stride / 2 ** stages)
            *(self._block(stride) for stride in strides)
        )
        if self.head:
            parts["head"] = nn.Sequential(*conv_norm(c, self.head, (1,)), nn.ReLU())
        parts["mean"] = nn.AdaptiveAvgPool1d(1)  # (B, head or C, 1)
        parts["flatten"] = nn.Flatten(1)  # (B, head or C)
        parts["dropout"] = nn.Dropout(self.dropout)
        parts["classifier"] = nn.Linear(self.head or c, n_labels)
        return nn.Sequential(parts)

    def _block(self, stride: int) -> "nn.Module":
        """Return an inverted bottleneck: `(B, C, T)` to `(B, C, T / stride)`."""
        from torch import nn

        from edgekws.backbones.blocks.branches import Branches
        from edgekws.backbones.blocks.layers import Residual, SqueezeExcitation, conv_norm

        c, hidden = self.channels, self.hidden
        kernels = [(k,) for k in self.kernels]
        body = [
            *conv_norm(c, hidden, (1,)),  # (B, hidden, T)
            nn.ReLU(),
            Branches(hidden, hidden, kernels, stride=stride, groups=hidden),
            nn.ReLU(),  # (B, hidden, T / stride)
        ]
        if self.squeeze:
            body.append(SqueezeExcitation(hidden, self.squeeze, axes=1))
        body += conv_norm(hidden, c, (1,))  # (B, C, T / stride)
        shortcut = nn.Sequential(*conv_norm(c, c, (1,), stride=stride)) if stride > 1 else None
        return Residual(nn.Sequential(*body), shortcut)
