"""Plain stacks of three to five convolutions: baselines of about 10 k parameters and 1 M MACs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from edgekws.core.contract import Representation
from edgekws.core.fields import Fields
from edgekws.errors import UnsupportedError

if TYPE_CHECKING:
    from torch import nn

Variant = Literal["microcnn", "nanocnn", "tinycnn", "conv1dnet", "customnet"]


@dataclass(frozen=True)
class Stack:
    """Channels, stride and pooling of each convolution, and the layers before the classifier.

    `order` are the modules after a convolution; `dense` is the width of the hidden Linear and
    `pointwise` that of a last pointwise convolution (0: none); `length` is the size of each axis
    after the mean.
    """

    channels: tuple[int, ...]
    order: tuple[str, ...] = ("norm", "relu", "max_pool")
    strides: tuple[int, ...] = (1, 1, 1)
    pools: tuple[int, ...] = (2, 2, 2)
    dense: int = 0
    pointwise: int = 0
    length: int = 1


STACKS: dict[Variant, Stack] = {
    "microcnn": Stack((12, 24, 36), dense=24),
    "nanocnn": Stack((12, 24, 48)),
    "tinycnn": Stack((14, 28, 42), dense=32),
    "conv1dnet": Stack(
        (20, 28, 36),
        order=("relu", "norm", "max_pool"),
        strides=(2, 2, 1),
        pools=(2, 2, 1),
        dense=18,
    ),
    "customnet": Stack(
        (32, 16, 16, 16),
        order=("selu", "mean_pool"),
        strides=(1, 1, 1, 1),
        pools=(2, 2, 2, 2),
        pointwise=11,
        length=2,
    ),
}


class Backbone(Fields):
    """A stack of convolutions of kernel 3 with pooling, a mean, a classifier.

    | variant | convolutions | after the mean |
    |---|---|---|
    | microcnn | 12, 24, 36, each with BatchNorm, ReLU and max-pool 2 | dense 24 |
    | nanocnn | 12, 24, 48, each with the same | |
    | tinycnn | 14, 28, 42, each with the same | dense 32 |
    | conv1dnet | 20 and 28 of stride 2 and max-pool 2, 36; ReLU before BatchNorm | dense 18 |
    | customnet | 32, 16, 16, 16 with SELU and average-pool 2, pointwise 11; mean to 2 | |

    In the 3-D representation kernels are 3 × 3, and strides, pooling and mean apply to both
    frequency and time.
    """

    kind: Literal["plain"] = "plain"
    variant: Variant = Field("nanocnn", description="the stack of layers")
    representation: Representation = Field(
        "2d", description="2d: Conv1d on (B, n_mels, T); 3d: Conv2d on (B, 1, n_mels, T)"
    )

    def build(self, n_mels: int, n_labels: int) -> "nn.Module":
        """Return the network: `(B, n_mels, T)` or `(B, 1, n_mels, T)` to `(B, n_labels)` logits.

        Raises:
            UnsupportedError: the pooling of the 3-D representation leaves no band.
        """
        from torch import nn

        from edgekws.backbones.blocks.layers import MEAN

        stack, axes = STACKS[self.variant], 1 if self.representation == "2d" else 2
        if axes == 2:
            _check_bands(self.variant, stack, n_mels)
        features = (stack.pointwise or stack.channels[-1]) * stack.length**axes
        network = nn.Sequential(
            _convolutions(stack, axes, n_mels if axes == 1 else 1),  # (B, C, T') or (B, C, F', T')
            MEAN[axes](stack.length),  # (B, C, length) or (B, C, length, length)
            nn.Flatten(1),  # (B, features)
            *_hidden(features, stack.dense),  # (B, dense)
            nn.Linear(stack.dense or features, n_labels),
        )
        if "selu" in stack.order:
            _initialise_for_selu(network)
        return network


def _check_bands(variant: str, stack: Stack, n_mels: int) -> None:
    bands = n_mels
    for stride, pool in zip(stack.strides, stack.pools, strict=True):
        bands = -(-bands // stride) // pool
    if not bands:
        raise UnsupportedError(
            f"plain: n_mels = {n_mels} leaves no band after the pooling of {variant} in the 3-D "
            f"representation; use n_mels = 16 or more"
        )


def _convolutions(stack: Stack, axes: int, in_channels: int) -> "nn.Module":
    """Return the stack up to the mean."""
    from torch import nn

    from edgekws.backbones.blocks.layers import CONVOLUTION

    layers: list[nn.Module] = []
    widths = zip(stack.channels, stack.strides, stack.pools, strict=True)
    for channels, stride, pool in widths:
        bias = stack.order[0] != "norm"
        layers += [
            CONVOLUTION[axes](in_channels, channels, 3, stride=stride, padding=1, bias=bias),
            *(_after(name, axes, channels, pool) for name in stack.order if _applies(name, pool)),
        ]
        in_channels = channels
    if stack.pointwise:
        layers += [CONVOLUTION[axes](in_channels, stack.pointwise, 1), nn.SELU()]
    return nn.Sequential(*layers)


def _applies(name: str, pool: int) -> bool:
    return pool > 1 or not name.endswith("pool")


def _after(name: str, axes: int, channels: int, pool: int) -> "nn.Module":
    """Return the module called `name` in `Stack.order`."""
    from torch import nn

    from edgekws.backbones.blocks.layers import NORM

    if name == "norm":
        return NORM[axes](channels)
    if name == "max_pool":
        return nn.MaxPool1d(pool) if axes == 1 else nn.MaxPool2d(pool)
    if name == "mean_pool":
        return nn.AvgPool1d(pool) if axes == 1 else nn.AvgPool2d(pool)
    return {"relu": nn.ReLU, "selu": nn.SELU}[name]()


def _hidden(features: int, dense: int) -> "tuple[nn.Module, ...]":
    from torch import nn

    return (nn.Linear(features, dense), nn.ReLU()) if dense else ()


def _initialise_for_selu(network: "nn.Module") -> None:
    """Draw the weights with variance 1 / fan-in, for which SELU preserves the variance.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.
    """
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            nn.init.zeros_(module.bias)
