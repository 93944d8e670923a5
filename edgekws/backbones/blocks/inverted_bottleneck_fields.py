"""The fields that `inverted_bottleneck` and its 3-D twin share; importable without torch."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from edgekws.core.fields import Fields
from edgekws.errors import UnsupportedError


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is even; a kernel has to be odd, padded alike on each side")
    return value


Kernel = Annotated[int, Field(ge=1, le=63), AfterValidator(_odd)]


class Structure(Fields):
    """A stem, inverted bottlenecks of one width, a pointwise head, mean over time, classifier."""

    channels: int = Field(16, ge=1, le=1024, description="channels between the blocks")
    expansion: float = Field(
        3.0,
        ge=0.25,
        le=16,
        description="channels inside a block over `channels`; the product is rounded to the "
        "nearest whole number, at least 1",
    )
    blocks: int = Field(3, ge=1, le=64, description="number of inverted bottlenecks")
    kernel_size: Kernel = Field(9, description="frames that a depthwise convolution spans; odd")
    stem_kernel_size: Kernel = Field(3, description="frames that the first convolution spans; odd")
    stem_stride: int = Field(2, ge=1, le=4, description="stride over time of the first convolution")
    strided_blocks: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(
        (), description="blocks, counted from 1, of stride 2 over time; they have no residual"
    )
    head: int = Field(
        32, ge=0, le=4096, description="channels of the pointwise layer before the mean; 0: none"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="before the classifier")
    padding: Literal["same", "valid"] = Field(
        "same",
        description="valid pads no convolution over time, so that each layer loses frames at both "
        "ends and the network can be streamed exactly",
    )

    @model_validator(mode="after")
    def _strided_blocks_exist(self) -> "Structure":
        wrong = [n for n in self.strided_blocks if not 1 <= n <= self.blocks]
        if wrong:
            raise ValueError(f"strided_blocks names block {wrong[0]}; there are 1 to {self.blocks}")
        return self

    @property
    def min_frames(self) -> int:
        """Frames that the window must have at least: the receptive field where nothing pads.

        >>> Structure(padding="valid").min_frames, Structure().min_frames
        (51, 1)
        """
        if self.padding == "same":
            return 1
        frames = 1
        for number in range(self.blocks, 0, -1):
            stride = 2 if number in self.strided_blocks else 1
            frames = (frames - 1) * stride + self.kernel_size
        return self._heard_by_stem(frames)

    def _heard_by_stem(self, frames: int) -> int:
        """Return the frames of the window from which an unpadded stem makes `frames`."""
        return (frames - 1) * self.stem_stride + self.stem_kernel_size

    @property
    def hidden(self) -> int:
        """Channels inside a block."""
        return max(1, round(self.channels * self.expansion))


class Patches(Fields):
    """Neighbouring mel bands that the first convolution is given, one patch after the other.

    Its weights are the same for every patch: a voice that lies higher moves from patch to patch,
    and what was learnt of one voice is known of others. Costs MACs, hardly parameters.
    """

    bands: int = Field(8, ge=2, le=512, description="mel bands of a patch")
    hop: int = Field(4, ge=1, le=512, description="mel bands from a patch to the next")
    channels: int = Field(16, ge=1, le=1024, description="channels that each patch gives")

    def count(self, n_mels: int) -> int:
        """Return the patches that `n_mels` bands hold.

        Raises:
            UnsupportedError: they hold none, or bands are left over.

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
    """What the 2-D and the 3-D form of one network share."""

    patches: Patches | None = Field(
        None,
        description="the stem as a convolution over patches of mel bands, the same for each, and "
        "a pointwise one over what all patches gave; where omitted, one that spans all mels",
    )
