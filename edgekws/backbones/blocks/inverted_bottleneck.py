"""The inverted-bottleneck network over time, in either representation.

The two forms have the same modules under the same names. Every weight of one is the weight of
the other reshaped: `(C, n_mels, k)` and `(C, 1, n_mels, k)` in the stem, `(O, I, k)` and
`(O, I, 1, k)` after it.
"""

from collections import OrderedDict

from torch import nn

from edgekws.backbones.blocks.inverted_bottleneck_fields import Structure, TwinStructure
from edgekws.backbones.blocks.layers import MEAN, CroppedResidual, OverPatches, Residual, conv_norm


def over_mels(structure: TwinStructure, n_mels: int, n_labels: int) -> nn.Module:
    """Return the 2-D form, with the mels as channels: `(B, n_mels, T)` to `(B, n_labels)`."""
    return after_stem(structure, 1, nn.Sequential(*_stem(structure, 1, n_mels)), n_labels)


def spanning_mels(structure: TwinStructure, n_mels: int, n_labels: int) -> nn.Module:
    """Return the 3-D form; its first kernel spans all mels: `(B, 1, n_mels, T)` to logits."""
    return after_stem(structure, 2, nn.Sequential(*_stem(structure, 2, n_mels)), n_labels)


def _stem(structure: TwinStructure, axes: int, n_mels: int) -> list[nn.Module]:
    """Return the stem: output `(B, C, T / stem_stride)`, with a height of 1 if `axes` is 2."""
    c, patches = structure.channels, structure.patches
    if patches is None:
        return [*_over_bands(structure, axes, n_mels, c), nn.ReLU()]
    body = nn.Sequential(*_over_bands(structure, axes, patches.bands, patches.channels), nn.ReLU())
    count = patches.count(n_mels)
    pointwise = conv_norm(count * patches.channels, c, _along(axes, 1))
    return [OverPatches(body, patches.bands, patches.hop, count), *pointwise, nn.ReLU()]


def _over_bands(
    structure: Structure, axes: int, bands: int, channels: int
) -> tuple[nn.Module, nn.Module]:
    """Return a convolution over time that spans all `bands`, and its BatchNorm."""
    k, s = structure.stem_kernel_size, structure.stem_stride
    if axes == 1:
        return conv_norm(bands, channels, (k,), stride=(s,), padding=(pad(structure, k),))
    padding = (0, pad(structure, k))
    return conv_norm(1, channels, (bands, k), stride=(1, s), padding=padding)


def after_stem(structure: Structure, axes: int, stem: nn.Module, n_labels: int) -> nn.Module:
    """Return the network after `stem`; shapes are for `axes` 1, otherwise with a height of 1."""
    c, head = structure.channels, structure.head
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["stem"] = stem  # (B, C, T / stem_stride)
    parts["blocks"] = nn.Sequential(  # (B, C, T'): halved by each strided block; shorter if valid
        *(_block(structure, axes, number) for number in range(1, structure.blocks + 1))
    )
    if head:
        parts["head"] = nn.Sequential(*conv_norm(c, head, _along(axes, 1)), nn.ReLU())
    parts["mean"] = MEAN[axes](1)  # (B, head or C, 1)
    parts["flatten"] = nn.Flatten(1)  # (B, head or C)
    parts["dropout"] = nn.Dropout(structure.dropout)
    parts["classifier"] = nn.Linear(head or c, n_labels)
    return nn.Sequential(parts)


def _block(structure: Structure, axes: int, number: int) -> nn.Module:
    c, hidden, k = structure.channels, structure.hidden, structure.kernel_size
    stride = 2 if number in structure.strided_blocks else 1
    padding = (0,) * (axes - 1) + (pad(structure, k),)
    over_time = conv_norm(
        hidden,
        hidden,
        _along(axes, k),
        stride=_along(axes, stride),
        padding=padding,
        groups=hidden,
    )
    body = nn.Sequential(
        *conv_norm(c, hidden, _along(axes, 1)),  # (B, hidden, T)
        nn.ReLU(),
        *over_time,
        nn.ReLU(),  # (B, hidden, T'), T' = T / stride if it pads
        *conv_norm(hidden, c, _along(axes, 1)),  # (B, C, T')
    )
    if stride > 1:
        return body
    return residual(structure, body, k)


def residual(structure: Structure, body: nn.Module, kernel_size: int) -> nn.Module:
    """Return `body(x) + x`, cropped over time if the kernel of `body` does not pad."""
    lost = kernel_size // 2 - pad(structure, kernel_size)
    return CroppedResidual(body, lost) if lost else Residual(body)


def pad(structure: Structure, kernel_size: int) -> int:
    """Return the zeros before and after the frames, for a kernel over time."""
    return kernel_size // 2 if structure.padding == "same" else 0


def _along(axes: int, size: int) -> tuple[int, ...]:
    """Return a kernel or stride of `size` over time, 1 over any other axis."""
    return (1,) * (axes - 1) + (size,)
