"""Layers and activations in simulated INT8: floating point, differentiable."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgekws.quantizers.int8.scales import TINY, UNIT_STEP, UNMOVED, VANISHING


class Rounding(nn.Module):
    """An activation in 8 bits, its range from the smallest to the largest value and zero."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(UNIT_STEP)), persistent=False)
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int32), persistent=False)

    def span(self, low: Tensor, high: Tensor) -> None:
        """Set the range to the smallest that includes `low`, `high` and zero."""
        low, high = low.clamp(max=0), high.clamp(min=0)
        scale = (high - low) / 255
        self.scale = torch.where(scale < UNMOVED, float(UNIT_STEP), scale)
        self.zero_point = torch.round(-low / self.scale).clamp(0, 255).to(torch.int32)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to the 256 values of the range."""
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, 0, 255)


class RoundedLayer(nn.Module):
    """A convolution or linear layer with its BatchNorm folded in, the weights in 8 bits.

    Its bias is not rounded: it has 32 bits.
    """

    def __init__(self, layer: nn.Module, norm: nn.Module | None, largest: int) -> None:
        super().__init__()
        self.layer, self.norm, self.largest = layer, norm, largest

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the layer with rounded weights."""
        weight, bias = self._folded()
        return self._apply_to(x, _in_8_bits(weight, self.largest), bias)

    def unrounded(self, x: Tensor) -> Tensor:
        """Return the output of the layer with its FP32 weights."""
        return self._apply_to(x, *self._folded())

    def _folded(self) -> tuple[Tensor, Tensor | None]:
        weight: Any = self.layer.weight
        bias: Any = self.layer.bias
        if self.norm is None:
            return weight, bias
        scale, shift = _scale_and_shift(self.norm)
        weight = weight * _along(scale, 0, weight.ndim)
        return weight, shift if bias is None else shift + bias * scale

    def _apply_to(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Call the layer itself, so that its hooks run, with other weights."""
        parameters = {"weight": weight}
        if bias is None or self.layer.bias is None:
            out: Tensor = functional_call(self.layer, parameters, (x,))
            return out if bias is None else out + _along(bias, 1, out.ndim)
        with_bias: Tensor = functional_call(self.layer, parameters | {"bias": bias}, (x,))
        return with_bias


class Norm(nn.Module):
    """A BatchNorm that is folded into no layer: depthwise, with one exact weight per channel."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` scaled and shifted by the running statistics, per channel."""
        scale, shift = _scale_and_shift(self.norm)
        return x * _along(scale, 1, x.ndim) + _along(shift, 1, x.ndim)


def _in_8_bits(weight: Tensor, largest: int) -> Tensor:
    """Round each output channel of `weight` to the integers -largest … largest."""
    scale = weight.detach().abs().flatten(1).amax(dim=1) / largest
    scale = scale.clamp(min=max(VANISHING * float(scale.max()), TINY))
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -largest, largest)


def _scale_and_shift(norm: Any) -> tuple[Tensor, Tensor]:
    """Return the factor and offset `(C,)` of a BatchNorm with its running statistics."""
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is None:
        return scale, -norm.running_mean * scale
    scale = scale * norm.weight
    return scale, norm.bias - norm.running_mean * scale


def _along(values: Tensor, axis: int, rank: int) -> Tensor:
    return values.reshape([-1 if index == axis else 1 for index in range(rank)])
