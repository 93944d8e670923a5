"""TC-ResNet: residual convolutions over time in the 2-D representation."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn

STEM = 16
STAGES = (24, 32, 48)
KERNEL = 9


class Backbone(Fields):
    """TC-ResNet8 and TC-ResNet14, published with the width multipliers 1 and 1.5.

    A convolution of 3 frames, then three stages of one (8) or two (14) blocks of two convolutions
    of 9 frames. The first block of a stage has stride 2 and a pointwise shortcut with BatchNorm
    and ReLU.

    On 40 mels × 98 frames with 12 labels:

    | layers, width | parameters | published | MACs | published FLOPs |
    |---|---|---|---|---|
    | 8, 1.0 | 65,180 | 66 k | 1.52 M | 3.0 M |
    | 8, 1.5 | 144,276 | 145 k | 3.28 M | 6.6 M |
    | 14, 1.0 | 135,868 | 137 k | 3.03 M | 6.1 M |
    | 14, 1.5 | 303,012 | 305 k | 6.68 M | 13.4 M |

    The published counts also include the two running statistics of each BatchNorm channel, but no
    bias of the classifier, which the release does not have; a MAC is two FLOPs. Strided
    convolutions are padded by 4 frames on each side (in the release by 3 and 4 if the number of
    frames is even). A second classifier of the release, with two outputs, is omitted.

    Source: Choi et al., "Temporal Convolution for Real-time Keyword Spotting on Mobile Devices",
    Interspeech 2019, table 2, with the shortcut and dropout of the authors' release.
    """

    kind: Literal["tcresnet"] = "tcresnet"
    layers: Literal[8, 14] = Field(8, description="8: one block per stage; 14: two")
    width: float = Field(
        1.0,
        gt=0,
        le=8,
        description="factor on the channels 16, 24, 32, 48; each is rounded down, at least 1",
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout before the classifier")

    @property
    def representation(self) -> Representation:
        """`2d`: the network takes `(B, n_mels, T)`."""
        return "2d"

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`."""
        from torch import nn

        from edgekws.backbones.blocks.layers import conv_norm

        stem, *stages = (max(1, int(c * self.width)) for c in (STEM, *STAGES))
        blocks, c = [], stem
        for channels in stages:
            blocks.append(_strided_block(c, channels))
            if self.layers == 14:
                blocks.append(_block(channels))
            c = channels
        return nn.Sequential(
            nn.Sequential(*conv_norm(n_mels, stem, (3,)), nn.ReLU()),  # (B, 16w, T)
            nn.Sequential(*blocks),  # (B, 48w, T/8)
            nn.AdaptiveAvgPool1d(1),  # (B, 48w, 1)
            nn.Flatten(1),  # (B, 48w)
            nn.Dropout(self.dropout),
            nn.Linear(c, n_labels),
        )


def _strided_block(in_channels: int, channels: int) -> "nn.Module":
    from torch import nn

    from edgekws.backbones.blocks.layers import Residual, conv_norm

    shortcut = nn.Sequential(*conv_norm(in_channels, channels, (1,), stride=2), nn.ReLU())
    return nn.Sequential(Residual(_body(in_channels, channels, 2), shortcut), nn.ReLU())


def _block(channels: int) -> "nn.Module":
    from torch import nn

    from edgekws.backbones.blocks.layers import Residual

    return nn.Sequential(Residual(_body(channels, channels, 1)), nn.ReLU())


def _body(in_channels: int, channels: int, stride: int) -> "nn.Module":
    from torch import nn

    from edgekws.backbones.blocks.layers import conv_norm

    return nn.Sequential(
        *conv_norm(in_channels, channels, (KERNEL,), stride=stride),
        nn.ReLU(),
        *conv_norm(channels, channels, (KERNEL,)),
    )
