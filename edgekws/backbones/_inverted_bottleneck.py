"""The inverted-bottleneck network over time, in either representation.

The two forms have the same modules under the same names. Every weight of one is the weight of
the other reshaped: `(C, n_mels, k)` and `(C, 1, n_mels, k)` in the stem, `(O, I, k)` and
`(O, I, 1, k)` after it.
"""

from collections import OrderedDict

from torch import nn

from edgekws.backbones._inverted_bottleneck_fields import Structure
from edgekws.backbones._layers import MEAN, Residual, conv_norm


def over_mels(structure: Structure, n_mels: int, n_labels: int) -> nn.Module:
    """Return the 2-D form, whose channels are the mels: `(B, n_mels, T)` to `(B, n_labels)`."""
    k, s = structure.stem_kernel_size, structure.stem_stride
    stem = conv_norm(n_mels, structure.channels, (k,), stride=(s,))
    return _network(structure, 1, stem, n_labels)


def spanning_mels(structure: Structure, n_mels: int, n_labels: int) -> nn.Module:
    """Return the 3-D form, whose first kernel spans all mels: `(B, 1, n_mels, T)` to logits."""
    k, s = structure.stem_kernel_size, structure.stem_stride
    stem = conv_norm(1, structure.channels, (n_mels, k), stride=(1, s), padding=(0, k // 2))
    return _network(structure, 2, stem, n_labels)


def _network(
    structure: Structure, axes: int, stem: tuple[nn.Module, nn.Module], n_labels: int
) -> nn.Module:
    """Return what follows the stem; shapes are those of `axes` 1, else with a height of 1."""
    c, head = structure.channels, structure.head
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["stem"] = nn.Sequential(*stem, nn.ReLU())  # (B, C, T / stem_stride)
    parts["blocks"] = nn.Sequential(  # (B, C, T'): halved by each strided block
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
    body = nn.Sequential(
        *conv_norm(c, hidden, _along(axes, 1)),  # (B, hidden, T)
        nn.ReLU(),
        *conv_norm(hidden, hidden, _along(axes, k), stride=_along(axes, stride), groups=hidden),
        nn.ReLU(),  # (B, hidden, T / stride)
        *conv_norm(hidden, c, _along(axes, 1)),  # (B, C, T / stride)
    )
    return Residual(body) if stride == 1 else body


def _along(axes: int, size: int) -> tuple[int, ...]:
    """Return a kernel or stride of `size` over time, 1 over any other axis."""
    return (1,) * (axes - 1) + (size,)
