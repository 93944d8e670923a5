"""BC-ResNet: convolutions over time, broadcast over frequency, in the 3-D representation."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields
from edgekws.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import nn

BLOCKS = (2, 2, 4, 4)
"""Blocks of the four stages."""

FREQUENCY_STRIDES = (1, 2, 2, 1)
DILATIONS = (1, 2, 4, 8)
"""For each stage: strides over frequency, and dilations of the temporal convolutions."""

TAIL_KERNEL = 5
"""Bands and frames spanned by the depthwise convolution before the classifier."""


class Backbone(Fields):
    """BC-ResNet-τ; the published sizes are τ = 1, 1.5, 2, 3, 6 and 8, on 40 mels.

    `8τ` channels (rounded down) in the first stage, then 1.5, 2 and 2.5 times that, 2 times in the
    stem and 4 times in the tail (each rounded down).

    Source: Kim et al., "Broadcasted Residual Learning for Efficient Keyword Spotting",
    Interspeech 2021, table 1, with the stages, dilations and dropout of the authors' release.
    """

    kind: Literal["bcresnet"] = "bcresnet"
    tau: float = Field(1.0, ge=0.25, le=16, description="width; 1 is 9.2 k, 8 is 321 k parameters")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of channels in every block")
    sub_bands: int = Field(
        5,
        ge=1,
        le=512,
        description="bands of SubSpectralNorm; must divide the bands of every stage",
    )

    @property
    def representation(self) -> Representation:
        """`3d`: the network takes `(B, 1, n_mels, T)`."""
        return "3d"

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the stem, the four stages and the tail."""
        base = int(8 * self.tau)
        return tuple(int(base * factor) for factor in (2, 1, 1.5, 2, 2.5, 4))

    def bands(self, n_mels: int) -> tuple[int, ...]:
        """Return the frequency bands after each stage.

        Raises:
            UnsupportedError: `sub_bands` does not divide them, or the tail's kernel does not fit.
        """
        count, bands = -(-n_mels // 2), []
        for stride in FREQUENCY_STRIDES:
            count = -(-count // stride)
            bands.append(count)
        if any(b % self.sub_bands for b in bands) or count < TAIL_KERNEL:
            raise UnsupportedError(
                f"bcresnet: n_mels = {n_mels} leaves {', '.join(map(str, bands))} bands after its "
                f"stages; each must be a multiple of sub_bands = {self.sub_bands}, and the last "
                f"at least {TAIL_KERNEL}: set n_mels = 40 with sub_bands = 5, or 64 with 4"
            )
        return tuple(bands)

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, 1, n_mels, T)` to `(B, n_labels)` logits.

        Raises:
            UnsupportedError: `n_mels` does not fit `sub_bands`.
        """
        from torch import nn

        from edgekws.backbones.blocks.layers import conv_norm

        bands = self.bands(n_mels)
        stem, *stages, tail = self.channels
        body = zip([stem, *stages], stages, bands, range(len(stages)), strict=False)
        return nn.Sequential(
            nn.Sequential(  # (B, 2C, n_mels/2, T)
                *conv_norm(1, stem, (5, 5), stride=(2, 1)), nn.ReLU()
            ),
            *(self._stage(*stage) for stage in body),  # (B, 2.5C, n_mels/8, T)
            nn.Sequential(
                nn.Conv2d(  # (B, 2.5C, n_mels/8 - 4, T)
                    stages[-1],
                    stages[-1],
                    TAIL_KERNEL,
                    padding=(0, TAIL_KERNEL // 2),
                    groups=stages[-1],
                    bias=False,
                ),
                *conv_norm(stages[-1], tail, (1, 1)),  # (B, 4C, n_mels/8 - 4, T)
                nn.ReLU(),
            ),
            nn.AdaptiveAvgPool2d(1),  # (B, 4C, 1, 1)
            nn.Flatten(1),  # (B, 4C)
            nn.Linear(tail, n_labels),
        )

    def _stage(self, in_channels: int, channels: int, bands: int, index: int) -> "nn.Module":
        """Return a stage: a transition block, then blocks that keep the shape."""
        from torch import nn

        from edgekws.backbones.blocks.layers import Residual, conv_norm

        transition = nn.Sequential(
            *conv_norm(in_channels, channels, (1, 1)),  # (B, C, F, T)
            nn.ReLU(),
            self._broadcasted(channels, bands, FREQUENCY_STRIDES[index], DILATIONS[index]),
            nn.ReLU(),
        )
        normal = [
            nn.Sequential(
                Residual(self._broadcasted(channels, bands, 1, DILATIONS[index])), nn.ReLU()
            )
            for _ in range(BLOCKS[index] - 1)
        ]
        return nn.Sequential(transition, *normal)  # (B, C, F/stride, T)

    def _broadcasted(self, channels: int, bands: int, stride: int, dilation: int) -> "nn.Module":
        """Return f2 over frequency, and f1 over time broadcast onto it."""
        from torch import nn

        from edgekws.backbones.blocks.layers import BroadcastedResidual, SubSpectralNorm, conv_norm

        f2 = nn.Sequential(
            nn.Conv2d(
                channels,
                channels,
                (3, 1),
                stride=(stride, 1),
                padding=(1, 0),
                groups=channels,
                bias=False,
            ),
            SubSpectralNorm(channels, self.sub_bands),
        )  # (B, C, bands, T)
        temporal = conv_norm(
            channels,
            channels,
            (1, 3),
            padding=(0, dilation),
            dilation=(1, dilation),
            groups=channels,
        )
        f1 = nn.Sequential(
            *temporal,
            nn.SiLU(),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.Dropout2d(self.dropout),
        )  # (B, C, 1, T)
        return BroadcastedResidual(f2, bands, f1)
