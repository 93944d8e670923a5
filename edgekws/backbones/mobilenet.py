"""MobileNetV2 on log-mel in the 3-D representation: a teacher lighter than ResNet-18."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn

STEM = 32
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""For each stage: expansion, channels, blocks, and stride of the first block."""

HEAD = 1280


class Backbone(Fields):
    """MobileNetV2: seven stages of inverted bottlenecks with ReLU6, a pointwise head of 1280.

    The network is the published one, except for one input channel instead of three. At width 1
    with 1000 labels it has 3,504,296 parameters; the published one has 3,504,872, 576 more in the
    first convolution. `width = 0.35` is 0.4 M parameters with 12 labels.

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018,
    table 2, with the rounding of channels and the dropout of the authors' release.
    """

    kind: Literal["mobilenet"] = "mobilenet"
    width: float = Field(
        1.0,
        gt=0,
        le=4,
        description="factor on all channels, rounded to multiples of 8; the head has at least "
        "1280. Published: 0.35, 0.5, 0.75, 1.0 and 1.4",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before the classifier")

    @property
    def representation(self) -> Representation:
        """`3d`: the network takes `(B, 1, n_mels, T)`."""
        return "3d"

    def scaled(self, channels: int) -> int:
        """Return `channels * width` as a multiple of 8, at least 8 and 90 % of the product."""
        exact = channels * self.width
        rounded = max(8, int(exact + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * exact else rounded + 8

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, 1, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`."""
        from torch import nn

        from edgekws.backbones.blocks.layers import conv_norm

        c, blocks = self.scaled(STEM), []
        stem = nn.Sequential(*conv_norm(1, c, (3, 3), stride=2), nn.ReLU6())
        for expansion, channels, count, stride in STAGES:
            out = self.scaled(channels)
            for number in range(count):
                blocks.append(_block(c, out, expansion, stride if number == 0 else 1))
                c = out
        head = max(HEAD, self.scaled(HEAD))
        return nn.Sequential(
            stem,  # (B, 32w, n_mels/2, T/2)
            nn.Sequential(*blocks),  # (B, 320w, n_mels/32, T/32)
            nn.Sequential(*conv_norm(c, head, (1, 1)), nn.ReLU6()),
            nn.AdaptiveAvgPool2d(1),  # (B, head, 1, 1)
            nn.Flatten(1),  # (B, head)
            nn.Dropout(self.dropout),
            nn.Linear(head, n_labels),
        )


def _block(in_channels: int, channels: int, expansion: int, stride: int) -> "nn.Module":
    """Return an inverted bottleneck; its last convolution is linear."""
    from torch import nn

    from edgekws.backbones.blocks.layers import Residual, conv_norm

    hidden = expansion * in_channels
    expand = (*conv_norm(in_channels, hidden, (1, 1)), nn.ReLU6()) if expansion > 1 else ()
    body = nn.Sequential(
        *expand,
        *conv_norm(hidden, hidden, (3, 3), stride=stride, groups=hidden),
        nn.ReLU6(),
        *conv_norm(hidden, channels, (1, 1)),
    )
    return Residual(body) if stride == 1 and in_channels == channels else body
