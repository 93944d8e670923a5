"""Inverted bottlenecks over time in the 2-D representation: the small student."""

from typing import TYPE_CHECKING, Literal

from edgekws.backbones.blocks.inverted_bottleneck_fields import TwinStructure
from edgekws.core.contract import Representation

if TYPE_CHECKING:
    from torch import nn


class Backbone(TwinStructure):
    """Conv1d with the mels as channels; each block expands, filters each channel, projects.

    Counted after BatchNorm folding on 40 mels × 97 frames, the defaults have 9.1 k parameters and
    0.41 M MACs with 12 labels. A teacher of the same family, 105 k and 3.2 M with 40 labels, is
    `channels = 48, expansion = 4, blocks = 4, strided_blocks = [2], head = 192, dropout = 0.1`.

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018; over
    time only, as in Choi et al., "Temporal Convolution for Real-time Keyword Spotting", 2019.
    """

    kind: Literal["inverted_bottleneck"] = "inverted_bottleneck"

    @property
    def representation(self) -> Representation:
        """`2d`: the network takes `(B, n_mels, T)`."""
        return "2d"

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`.

        Raises:
            UnsupportedError: `patches` do not fit `n_mels`.
        """
        from edgekws.backbones.blocks.inverted_bottleneck import over_mels

        return over_mels(self, n_mels, n_labels)
