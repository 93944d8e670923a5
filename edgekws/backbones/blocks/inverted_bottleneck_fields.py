"""The fields shared by `inverted_bottleneck` and its 3-D twin; importable without torch."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edgekws.core.fields import Fields
from edgekws.errors import UnsupportedError


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is even; a kernel must be odd, with equal padding on both sides")
    return value


Kernel = Annotated[int, Field(ge=1, le=63), AfterValidator(_odd)]


class Structure(Fields):
    """A stem, inverted bottlenecks of one width, a pointwise head, mean over time, classifier."""

    channels: int = Field(16, ge=1, le=1024, description="channels between the blocks")
    expansion: float = Field(
        3.0,
        ge=0.25,
        le=16,
        description="channels inside a block as a multiple of `channels`, rounded to the nearest "
        "whole number, at least 1",
    )
    blocks: int = Field(3, ge=1, le=64, description="number of inverted bottlenecks")
    kernel_size: Kernel = Field(9, description="frames spanned by a depthwise convolution; odd")
    stem_kernel_size: Kernel = Field(3, description="frames spanned by the first convolution; odd")
    stem_stride: int = Field(2, ge=1, le=4, description="stride over time of the first convolution")
    strided_blocks: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (), description="blocks, counted from 1, with stride 2 over time and no residual"
    )
    head: int = Field(
        32, ge=0, le=4096, description="channels of the pointwise layer before the mean; 0: none"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the classifier")
    padding: Literal["same", "valid"] = Field(
        "same",
        description="valid: no padding over time, so each layer loses frames at both ends and the "
        "network can be streamed exactly",
    )

    @model_validator(mode="after")
    def _strided_blocks_exist(self) -> "Structure":
        wrong = [n for n in self.strided_blocks if not 1 <= n <= self.blocks]
        if wrong:
            raise ValueError(f"strided_blocks has block {wrong[0]}; there are 1 to {self.blocks}")
        return self

    @property
    def min_frames(self) -> int:
        """The fewest frames of a window: the receptive field if nothing pads.

        >>> Structure(padding="valid").min_frames, Structure().min_frames
        (51, 1)
        """
        if self.padding == "same":
            return 1
        frames = 1
        for number in range(self.blocks, 0, -1):
            stride = 2 if number in self.strided_blocks else 1
            frames = (frames - 1) * stride + self.kernel_size
        return self._stem_input_frames(frames)

    def _stem_input_frames(self, frames: int) -> int:
        """Return the input frames from which an unpadded stem computes `frames`."""
        return (frames - 1) * self.stem_stride + self.stem_kernel_size

    @property
    def hidden(self) -> int:
        """Channels inside a block."""
        return max(1, round(self.channels * self.expansion))


class Patches(Fields):
    """Patches of adjacent mel bands, the inputs of the first convolution.

    All patches share its weights: a higher voice only shifts to other patches, so the network
    generalises between voices. Costs MACs, but few parameters.
    """

    bands: int = Field(8, ge=2, le=512, description="mel bands of a patch")
    hop: int = Field(4, ge=1, le=512, description="mel bands from one patch to the next")
    channels: int = Field(16, ge=1, le=1024, description="output channels per patch")

    def count(self, n_mels: int) -> int:
        """Return the number of patches in `n_mels` bands.

        Raises:
            UnsupportedError: there are none, or bands are left over.

        >>> Patches().count(40)
        9
        """
        more, over = divmod(n_mels - self.bands, self.hop)
        if more < 0 or over:
            nearest = self.bands + max(0, round((n_mels - self.bands) / self.hop)) * self.hop
            raise UnsupportedError(
                f"patches of {self.bands} bands, {self.hop} apart, do not fit n_mels = {n_mels}; "
                f"use n_mels = {nearest}"
            )
        return more + 1


class TwinStructure(Structure):
    """The fields shared by the 2-D and the 3-D form of a network."""

    patches: Patches | None = Field(
        None,
        description="the stem as one convolution shared by all patches of mel bands, then a "
        "pointwise one over all patches; default: one convolution that spans all mels",
    )
