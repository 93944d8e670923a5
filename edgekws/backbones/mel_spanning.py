"""Inverted bottlenecks in the 3-D representation, with an exact 2-D form."""

from typing import TYPE_CHECKING, Any, Literal

from edgekws.backbones.blocks.inverted_bottleneck_fields import TwinStructure
from edgekws.core.contract import Representation

if TYPE_CHECKING:
    from torch import nn


class Backbone(TwinStructure):
    """Conv2d with a first kernel that spans all mels and leaves a height of 1.

    The blocks are those of `inverted_bottleneck` with kernels of height 1. The conversion to the
    2-D representation is exact: see `twin`.
    """

    kind: Literal["mel_spanning"] = "mel_spanning"

    @property
    def representation(self) -> Representation:
        """`3d`: the network takes `(B, 1, n_mels, T)`."""
        return "3d"

    def twin(self) -> dict[str, Any]:
        """Return the recipe table of the equivalent 2-D backbone.

        Its parameters have the same names and order, reshaped to the twin's shapes; its buffers
        are equal.
        """
        return {**self.model_dump(), "kind": "inverted_bottleneck"}

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, 1, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`.

        Raises:
            UnsupportedError: `patches` do not fit `n_mels`.
        """
        from edgekws.backbones.blocks.inverted_bottleneck import spanning_mels

        return spanning_mels(self, n_mels, n_labels)
