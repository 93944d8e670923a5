"""The depthwise-separable convolution of MobileNet, over time or over frequency and time.

Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", 2017, figure 3.
"""

from torch import nn

from edgekws.backbones.blocks.layers import conv_norm


def separable(
    in_channels: int, out_channels: int, kernel: tuple[int, ...], stride: int = 1
) -> nn.Sequential:
    """Return a depthwise and a pointwise convolution, each with BatchNorm and ReLU.

    `(B, in_channels, *sizes)` to `(B, out_channels, *sizes)`, the sizes over `stride` rounded up.
    """
    pointwise = (1,) * len(kernel)
    return nn.Sequential(
        *conv_norm(in_channels, in_channels, kernel, stride=stride, groups=in_channels),
        nn.ReLU(),
        *conv_norm(in_channels, out_channels, pointwise),
        nn.ReLU(),
    )
