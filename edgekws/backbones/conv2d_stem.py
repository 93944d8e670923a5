"""A small Conv2d stem over bands and frames, then inverted bottlenecks over time."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.backbones.blocks.inverted_bottleneck_fields import Kernel, Structure
from edgekws.core.contract import Representation

if TYPE_CHECKING:
    from torch import nn


class Backbone(Structure):
    """A network for few parameters with MACs to spare.

    The stem's kernels are shared by all mel bands, so they cost MACs but few parameters: a
    convolution of stride 2 over bands and `stem_stride` over frames, a depthwise-separable one of
    stride 2 over bands, and `stem_blocks` depthwise-separable ones with a residual. A kernel that
    spans the remaining bands then gives the channels of `inverted_bottleneck`'s blocks.

    Counted after BatchNorm folding on 40 mels × 97 frames, the defaults have 9.1 k parameters and
    0.77 M MACs with 12 labels, half of the MACs in the stem.

    Source: the stem follows Kim et al., "Broadcasted Residual Learning for Efficient Keyword
    Spotting", 2021, where Conv2d precedes features of height 1; the blocks are those of Sandler et
    al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, over time.
    """

    kind: Literal["conv2d_stem"] = "conv2d_stem"
    stem_kernel_size: Kernel = Field(
        5, description="bands and frames spanned by the first convolution; odd"
    )
    stem_channels: int = Field(8, ge=1, le=256, description="channels of the stem")
    stem_blocks: int = Field(
        2, ge=0, le=16, description="depthwise-separable convolutions with a residual in the stem"
    )

    @property
    def representation(self) -> Representation:
        """`3d`: the network takes `(B, 1, n_mels, T)`."""
        return "3d"

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, 1, n_mels, T)` to `(B, n_labels)` logits, any `n_mels`."""
        from torch import nn

        from edgekws.backbones.blocks.inverted_bottleneck import after_stem, pad
        from edgekws.backbones.blocks.layers import conv_norm

        f, k = self.stem_channels, self.stem_kernel_size
        bands = (n_mels + 3) // 4  # left after two strides of 2
        stem = nn.Sequential(
            *conv_norm(1, f, (k, k), stride=(2, self.stem_stride), padding=(k // 2, pad(self, k))),
            nn.ReLU(),  # (B, F, n_mels / 2, T')
            *self._separable(stride=2),  # (B, F, bands, T')
            *(self._residual() for _ in range(self.stem_blocks)),
            *conv_norm(f, self.channels, (bands, 1), padding=(0, 0)),
            nn.ReLU(),  # (B, C, 1, T')
        )
        return after_stem(self, 2, stem, n_labels)

    def _stem_input_frames(self, frames: int) -> int:
        return super()._stem_input_frames(frames + 2 * (1 + self.stem_blocks))

    def _separable(self, stride: int) -> "list[nn.Module]":
        """Return a depthwise-separable convolution: `(B, F, H, T)` to `(B, F, H / stride, T')`."""
        from torch import nn

        from edgekws.backbones.blocks.inverted_bottleneck import pad
        from edgekws.backbones.blocks.layers import conv_norm

        f = self.stem_channels
        depthwise = conv_norm(f, f, (3, 3), stride=(stride, 1), padding=(1, pad(self, 3)), groups=f)
        return [*depthwise, nn.ReLU(), *conv_norm(f, f, (1, 1)), nn.ReLU()]

    def _residual(self) -> "nn.Module":
        from torch import nn

        from edgekws.backbones.blocks.inverted_bottleneck import residual

        return residual(self, nn.Sequential(*self._separable(stride=1)), 3)
