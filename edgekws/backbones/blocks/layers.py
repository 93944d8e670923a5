"""Torch building blocks shared by several backbones.

Backbones import them inside `build`, so that reading a recipe does not import torch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

CONVOLUTION: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d}
NORM: dict[int, Callable[..., nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
MEAN: dict[int, Callable[..., nn.Module]] = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}
"""Torch's layers by the number of axes they run over: time, or frequency and time."""


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, ...],
    *,
    stride: tuple[int, ...] | int = 1,
    padding: tuple[int, ...] | None = None,
    dilation: tuple[int, ...] | int = 1,
    groups: int = 1,
) -> tuple[nn.Module, nn.Module]:
    """Return a convolution without bias and its BatchNorm.

    The length of `kernel` selects Conv1d or Conv2d. `padding` defaults to `k // 2` on each axis,
    which keeps the size at stride 1, dilation 1 and odd `k`.
    """
    axes = len(kernel)
    convolution = CONVOLUTION[axes](
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=tuple(k // 2 for k in kernel) if padding is None else padding,
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    return convolution, NORM[axes](out_channels)


class Residual(nn.Module):
    """`body(x) + shortcut(x)`; the shortcut is the identity unless given."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum; both branches give the same shape."""
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


class CroppedResidual(Residual):
    """`body(x) + x` for a body without padding, which loses `frames` at each end."""

    def __init__(self, body: nn.Module, frames: int) -> None:
        super().__init__(body)
        self.frames = frames

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, as long as the output of the body; `frames` is at least 1."""
        out: Tensor = self.body(x) + self.shortcut(x[..., self.frames : -self.frames])
        return out


class OverPatches(nn.Module):
    """The same `body` over patches of adjacent bands, processed as part of the batch."""

    index: Tensor

    def __init__(self, body: nn.Module, bands: int, hop: int, count: int) -> None:
        super().__init__()
        self.body = body
        self.bands, self.count = bands, count
        starts = hop * torch.arange(count)
        index = (starts[:, None] + torch.arange(bands)).flatten()
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, count * C, T')`, patch by patch, of `(B, n_mels, T)`.

        The bands may also be `(1, n_mels)` or `(n_mels, 1)`; `body` then gets those of a patch in
        the same form, and the result is `(B, count * C, 1, T')`.
        """
        axis = 1 if x.shape[1] > 1 else 2
        patches = x.index_select(axis, self.index)  # (B, ..., count * bands, ..., T)
        form = [self.bands if size > 1 else 1 for size in x.shape[1:-1]]
        y: Tensor = self.body(patches.reshape(-1, *form, x.shape[-1]))  # (B * count, C, ..., T')
        return y.reshape(-1, self.count * y.shape[1], *y.shape[2:])


class SubSpectralNorm(nn.Module):
    """BatchNorm with separate statistics and affine for each of `sub_bands` frequency bands.

    Source: Chang et al., "Subspectral Normalization for Neural Audio Data Processing", 2021.
    """

    def __init__(self, channels: int, sub_bands: int) -> None:
        super().__init__()
        self.channels = channels
        self.sub_bands = sub_bands
        self.norm = nn.BatchNorm2d(channels * sub_bands)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `(B, C, F, T)`; `sub_bands` divides `F`."""
        bands, frames = x.shape[2], x.shape[3]
        # (B, C, F, T) -> (B, C * sub_bands, F / sub_bands, T): a sub-band becomes a channel
        split = x.reshape(-1, self.channels * self.sub_bands, bands // self.sub_bands, frames)
        normed: Tensor = self.norm(split)
        return normed.reshape(-1, self.channels, bands, frames)


class BroadcastedResidual(nn.Module):
    """`f2(x) + f1(mean over frequency of f2(x))`, the second term broadcast over frequency.

    Source: Kim et al., "Broadcasted Residual Learning for Efficient Keyword Spotting", 2021,
    equation 2 without its identity term, which `Residual` adds if the shapes allow.
    """

    def __init__(self, f2: nn.Module, bands: int, f1: nn.Module) -> None:
        super().__init__()
        self.f2 = f2
        self.mean = nn.AvgPool2d((bands, 1))
        self.f1 = f1

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C, F, T)`; the output of `f2` has `F = bands`."""
        two_d: Tensor = self.f2(x)  # (B, C, F, T)
        temporal: Tensor = self.f1(self.mean(two_d))  # (B, C, 1, T)
        return two_d + temporal


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate in [0, 1] computed from the means of all channels.

    The gate of the source is a sigmoid; here it is the hard one of Howard et al., "Searching for
    MobileNetV3", 2019, with slope and offset (initially 1/6 and 1/2) in the preceding convolution:
    what remains is a clamp, which INT8 rounding performs by saturating.

    Source: Hu et al., "Squeeze-and-Excitation Networks", 2018.
    """

    def __init__(self, channels: int, squeezed: int, axes: int) -> None:
        super().__init__()
        expand = CONVOLUTION[axes](squeezed, channels, 1)
        with torch.no_grad():
            for parameter, offset in zip(expand.parameters(), (0.0, 0.5), strict=True):
                parameter.div_(6).add_(offset)  # weight, bias
        self.gate = nn.Sequential(
            MEAN[axes](1),  # (B, C, 1)
            CONVOLUTION[axes](channels, squeezed, 1),  # (B, squeezed, 1)
            nn.ReLU(),
            expand,  # (B, C, 1)
            nn.Hardtanh(0.0, 1.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C, T)` or `(B, C, F, T)`, the shape of `x`."""
        scaled: Tensor = x * self.gate(x)
        return scaled
