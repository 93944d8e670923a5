"""DS-CNN, the keyword spotter of MLPerf Tiny, in the 3-D representation."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields

if TYPE_CHECKING:
    from torch import nn

STEM_KERNEL = (4, 10)
"""Mels and frames spanned by the first convolution."""

STEM_PADDING = (1, 5)
"""Halves an even number of mels and an odd number of frames (rounded up), as published."""

STEM_DROPOUT = 0.2


class Backbone(Fields):
    """A convolution of 4 mels × 10 frames and stride 2, depthwise-separable 3 × 3, mean, dense.

    With the defaults and 12 labels it has 22,604 parameters after BatchNorm folding. The 24,908
    of the release include, for each of the nine convolutions' 64 channels, a redundant bias before
    the BatchNorm and two running statistics; here 23,180 are trained, and with these 576 and 1,152
    the sum is the same 24,908.

    At 10 mels × 49 frames (`n_mels = 10, hop_length = 320`, with a window of 40 ms) it has the
    published 2.7 M MACs; at 40 mels × 97 frames, eight times as many positions, 20.8 M.

    Source: Banbury et al., "MLPerf Tiny Benchmark", 2021, and its reference model; the structure
    is DS-CNN-S of Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017.
    """

    kind: Literal["dscnn"] = "dscnn"
    channels: int = Field(64, ge=1, le=1024, description="channels of every convolution")
    blocks: int = Field(4, ge=1, le=32, description="number of depthwise-separable convolutions")
    dropout: float = Field(0.4, ge=0, lt=1, description="dropout before the mean")

    @property
    def representation(self) -> Representation:
        """`3d`: the network takes `(B, 1, n_mels, T)`."""
        return "3d"

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, 1, n_mels, T)` to `(B, n_labels)` logits, `n_mels` from 2."""
        from torch import nn

        from edgekws.backbones.blocks.layers import conv_norm
        from edgekws.backbones.blocks.separable import separable

        c = self.channels
        return nn.Sequential(
            nn.Sequential(  # (B, C, n_mels/2, T/2)
                *conv_norm(1, c, STEM_KERNEL, stride=2, padding=STEM_PADDING),
                nn.ReLU(),
                nn.Dropout(STEM_DROPOUT),
            ),
            nn.Sequential(*(separable(c, c, (3, 3)) for _ in range(self.blocks))),
            nn.Dropout(self.dropout),
            nn.AdaptiveAvgPool2d(1),  # (B, C, 1, 1)
            nn.Flatten(1),  # (B, C)
            nn.Linear(c, n_labels),
        )
