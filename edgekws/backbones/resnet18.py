"""ResNet-18 on log-mel in the 3-D representation: the usual teacher."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn

PUBLISHED_CHANNELS = 64


class Backbone(Fields):
    """ResNet-18: four stages of two basic blocks, `C`, `2C`, `4C` and `8C` channels.

    The stem is a 3 × 3 convolution and a max-pool, each of stride 2 over frequency and time (the
    published 7 × 7 suits images of 224 pixels); the rest of the network is the published one.
    `width = 0.25` is a size for training on a CPU: 0.7 M parameters.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016.
    """

    kind: Literal["resnet18"] = "resnet18"
    width: float = Field(
        1.0,
        gt=0,
        le=4,
        description="factor on all channels; 1.0 is the published 64, 128, 256, 512. The first "
        "stage has round(64 * width) channels, at least 1",
    )

    @property
    def representation(self) -> Representation:
        """`3d`: the network takes `(B, 1, n_mels, T)`."""
        return "3d"

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, 1, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`."""
        from torch import nn

        from edgekws.backbones.blocks.layers import conv_norm

        c = max(1, round(PUBLISHED_CHANNELS * self.width))
        stem = nn.Sequential(
            *conv_norm(1, c, (3, 3), stride=2),  # (B, C, n_mels/2, T/2)
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),  # (B, C, n_mels/4, T/4)
        )
        return nn.Sequential(
            stem,
            nn.Sequential(_block(c, c, 1), _block(c, c, 1)),  # (B, C, n_mels/4, T/4)
            nn.Sequential(_block(c, 2 * c, 2), _block(2 * c, 2 * c, 1)),  # (B, 2C, /8, /8)
            nn.Sequential(_block(2 * c, 4 * c, 2), _block(4 * c, 4 * c, 1)),  # (B, 4C, /16, /16)
            nn.Sequential(_block(4 * c, 8 * c, 2), _block(8 * c, 8 * c, 1)),  # (B, 8C, /32, /32)
            nn.AdaptiveAvgPool2d(1),  # (B, 8C, 1, 1)
            nn.Flatten(1),  # (B, 8C)
            nn.Linear(8 * c, n_labels),
        )


def _block(in_channels: int, channels: int, stride: int) -> "nn.Module":
    """Return a basic block; its shortcut is a 1 × 1 convolution if the shape changes."""
    from torch import nn

    from edgekws.backbones.blocks.layers import Residual, conv_norm

    body = nn.Sequential(
        *conv_norm(in_channels, channels, (3, 3), stride=stride),
        nn.ReLU(),
        *conv_norm(channels, channels, (3, 3)),
    )
    if stride == 1 and in_channels == channels:
        return nn.Sequential(Residual(body), nn.ReLU())
    shortcut = nn.Sequential(*conv_norm(in_channels, channels, (1, 1), stride=stride))
    return nn.Sequential(Residual(body, shortcut), nn.ReLU())
