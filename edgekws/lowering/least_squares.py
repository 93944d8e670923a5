"""Initialise a 2-D network from a trained 3-D one, layer by layer by least squares.

The layers of the 2-D network are solved in execution order. The weights of each dense convolution
or Linear are fitted so that its output, before the activation, approximates the 3-D network at the
same relative depth: ridge regression on calibration clips, with the previous layers as already
solved, so that each layer also corrects errors of the earlier ones.

- The target is the output of the 3-D network's layer (after its BatchNorm and its residual sum),
  averaged over frequency and resampled in time. If it has as many channels as the 2-D layer, it is
  used channel by channel; if more, its leading principal components (whitened and rotated); if
  fewer, shifted copies of it in time are appended first.
- In a residual block the skip is subtracted from the target of the block's last layer.
- Grouped convolutions, those over patches of bands, and the expanding convolution of an inverted
  bottleneck (before the depthwise one) keep their random weights: they are random features (Rahimi,
  Recht, "Random Features for Large-Scale Kernel Machines", 2007), for which the next projection is
  solved.
- A BatchNorm gets the statistics of the calibration clips. After a solved layer, its scale and
  shift restore the solved output; otherwise they are unchanged.
- The last layer is solved for the 3-D network's logits.

Layer-wise regression on a trained network's responses follows He, Zhang, Sun, "Channel Pruning for
Accelerating Very Deep Neural Networks", 2017, section 3.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from edgekws.backbones.blocks.layers import OverPatches
from edgekws.errors import UnsupportedError
from edgekws.lowering.layer_trace import Layer, Tap, batches, layers, outputs

RIDGE = 1e-4
"""Weight of the penalty, as a share of the mean variance of the inputs."""


@dataclass(frozen=True)
class Solved:
    """A layer of the 2-D network with fitted weights.

    `like` is the layer of the 3-D network to which it was fitted; `explained` the share of the
    target's variance that it explains on the calibration clips.
    """

    layer: str
    like: str
    explained: float


def initialise(
    network: nn.Module, like: nn.Module, features: NDArray[np.float32]
) -> tuple[Solved, ...]:
    """Fit the weights of the 2-D `network`, in place, to approximate the 3-D network `like`.

    `features` are calibration clips `(N, n_mels, T)`; `like` takes them as `(N, 1, n_mels, T)`.
    Both networks are on the CPU, and in eval mode afterwards. Layers that are not solved keep
    their weights, which should therefore be drawn from a seed.

    Raises:
        UnsupportedError: a layer runs twice, or the last one does not give the logits.
    """
    network.eval()
    like.eval()
    clips = torch.from_numpy(np.ascontiguousarray(features))
    all_layers = layers(network, clips[:4])
    hidden = [layer for layer in all_layers if not layer.is_norm]
    shared = _over_patches(network) | _over_patches(like)
    models = [
        layer
        for layer in layers(like, clips[:4].unsqueeze(1))
        if not layer.is_norm and layer.module not in shared
    ]
    _check_last(hidden[-1], models[-1])
    targets = {h.path: _at_same_depth(i, len(hidden), models) for i, h in enumerate(hidden)}
    for layer in _random_features(hidden, shared):
        del targets[layer.path]
    states = _states(like, list(targets.values()), clips.unsqueeze(1))
    solved = []
    for layer in all_layers:
        if layer.path in targets:
            model = targets[layer.path]
            share = _solve(network, layer, states[model.path], clips)
            solved.append(Solved(layer.path, model.path, share))
        else:
            _calibrate(network, layer.module if layer.is_norm else layer.norm, clips)
    return tuple(solved)


def _check_last(last: Layer, model: Layer) -> None:
    widths = [_width(layer) for layer in (last, model)]
    if widths[0] != widths[1]:
        raise UnsupportedError(
            f"layer {last.path} is the last one and has {widths[0]} channels, the 3-D network "
            f"{widths[1]} logits; the backbone must end in the layer that gives the logits"
        )


def _width(layer: Layer) -> int:
    weight: Tensor = layer.module.weight
    return weight.shape[0]


def _at_same_depth(index: int, n: int, models: Sequence[Layer]) -> Layer:
    """Return the layer of the 3-D network at the relative depth of layer `index` of `n`.

    The last layers correspond to each other; the others are spread evenly.
    """
    if index == n - 1 or len(models) == 1:
        return models[-1]
    return models[max(1, round((index + 1) / (n - 1) * (len(models) - 1))) - 1]


def _over_patches(network: nn.Module) -> set[nn.Module]:
    """Return the modules that run over patches of bands (as part of the batch)."""
    over_patches = (m for m in network.modules() if isinstance(m, OverPatches))
    return {module for patches in over_patches for module in patches.modules()}


def _random_features(hidden: Sequence[Layer], shared: Set[nn.Module]) -> list[Layer]:
    """Return the layers that keep their random weights (see the module's docstring)."""
    kept = [h for h in hidden if getattr(h.module, "groups", 1) > 1 or h.module in shared]
    for wide, depthwise, narrow in zip(hidden, hidden[1:], hidden[2:], strict=False):
        groups = getattr(depthwise.module, "groups", 1)
        in_channels = wide.module.weight.shape[1]
        if 1 < groups == _width(wide) > max(in_channels, _width(narrow)) and wide not in kept:
            kept.append(wide)
    return kept


def _states(like: nn.Module, models: Sequence[Layer], clips: Tensor) -> dict[str, Tensor]:
    """Return the state after each layer, averaged over frequency: `(N, C, T')` by path."""
    taps = {model.path: model.state for model in models}
    parts: dict[str, list[Tensor]] = {path: [] for path in taps}
    for tensors in batches(like, taps, clips):
        for path, tensor in tensors.items():
            flat = tensor.mean(dim=2) if tensor.dim() == 4 else tensor
            parts[path].append(flat if flat.dim() == 3 else flat.unsqueeze(2))
    return {path: torch.cat(tensors) for path, tensors in parts.items()}


def _solve(network: nn.Module, layer: Layer, state: Tensor, clips: Tensor) -> float:
    """Solve one layer and set its BatchNorm; return the share of variance explained."""
    taps = {"input": Tap(layer.module, "input"), "output": Tap(layer.module, "output")}
    taps |= {f"skip {i}": tap for i, tap in enumerate(layer.skips)}
    seen = outputs(network, taps, clips)
    target = _target(state, seen["output"])
    for name in taps.keys() - {"input", "output"}:
        target = target - seen[name]
    x = _patches(layer.module, seen["input"])
    y = target.transpose(1, 2).reshape(-1, target.shape[1]) if target.dim() == 3 else target
    shift = layer.module.bias is not None or layer.norm is not None
    weight, means = _ridge(x.double(), y.double(), shift)
    scale = _set_weights(layer, weight, means)
    _calibrate(network, layer.norm, clips)
    _restore_output(layer.norm, scale, means[1])
    predicted = x.double() @ weight.T
    error = y - predicted - ((means[1] - means[0] @ weight.T) if shift else 0)
    return 1 - float(error.square().sum() / (y - y.mean(0)).square().sum().clamp_min(1e-12))


def _target(state: Tensor, output: Tensor) -> Tensor:
    """Return the state `(N, C, T')` in the shape of the layer's output."""
    frames = output.shape[2] if output.dim() == 3 else 1
    if frames == 1:
        state = state.mean(dim=2, keepdim=True)
    elif frames != state.shape[2]:
        state = F.interpolate(state, frames, mode="linear")
    if state.shape[1] != output.shape[1]:
        state = _principal(_with_shifted_copies(state, output.shape[1]), output.shape[1])
    return state if output.dim() == 3 else state.squeeze(2)


def _with_shifted_copies(state: Tensor, channels: int) -> Tensor:
    """Append copies of the state shifted in time until it has at least `channels` channels."""
    parts = [state]
    while len(parts) * state.shape[1] < channels:
        shift = (len(parts) + 1) // 2 * (1 if len(parts) % 2 else -1)
        parts.append(state.roll(shift, dims=2))
    return torch.cat(parts, dim=1)


def _principal(state: Tensor, channels: int) -> Tensor:
    """Return the leading `channels` principal components `(N, channels, T)`, of variance 1.

    They are mixed by a fixed random rotation, the same for each number of channels: an activation
    clips half of every channel, which would otherwise be half of the first component.
    """
    rows = state.transpose(1, 2).reshape(-1, state.shape[1]).double()
    rows = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    values, vectors = values.flip(0)[:channels], vectors.flip(1)[:, :channels]
    vectors = torch.where(vectors.sum(0) < 0, -vectors, vectors)  # the sign is free; fix it
    random = torch.randn(channels, channels, generator=torch.Generator().manual_seed(0))
    rotation = torch.linalg.qr(random.double()).Q
    scale = values.clamp_min(1e-6 * float(values[0]) + 1e-12).sqrt()
    parts: Tensor = rows @ (vectors / scale) @ rotation
    return parts.reshape(len(state), -1, channels).transpose(1, 2).float()


def _patches(layer: Any, inputs: Tensor) -> Tensor:
    """Return the inputs of each output value of the layer: `(rows, in * kernel)`."""
    if isinstance(layer, nn.Linear):
        return inputs
    k, dilation = layer.kernel_size[0], layer.dilation[0]
    sides = (layer.padding[0],) * 2
    if isinstance(layer.padding, str):
        total = dilation * (k - 1) if layer.padding == "same" else 0
        sides = (total // 2, total - total // 2)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(inputs, sides, mode=mode).unsqueeze(2)  # (N, in, 1, T)
    stride = (1, layer.stride[0])
    patches = F.unfold(padded, (1, k), dilation=(1, dilation), stride=stride)
    rows: Tensor = patches.transpose(1, 2).reshape(-1, patches.shape[1])
    return rows


def _ridge(x: Tensor, y: Tensor, shift: bool) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the weights `(out, in)`, and the means of `x` and `y` (subtracted if `shift`)."""
    means = (x.mean(0), y.mean(0))
    if shift:
        x, y = x - means[0], y - means[1]
    gram = x.T @ x
    penalty = RIDGE * gram.diagonal().mean().clamp_min(1e-12)
    gram.diagonal().add_(penalty)
    weight: Tensor = torch.linalg.solve(gram, x.T @ y)
    return weight.T, means


@torch.no_grad()
def _set_weights(layer: Layer, weight: Tensor, means: tuple[Tensor, Tensor]) -> Tensor:
    """Set weights `(out, in * kernel)`, and the bias to the offset between the means.

    Before a BatchNorm, each output channel keeps the norm of its random weights, for which the
    optimizer's step size is suited; returns the scales `(out,)` that the BatchNorm must apply.
    """
    module = layer.module
    scale = torch.ones(len(weight), dtype=weight.dtype)
    if layer.norm is not None and layer.norm.weight is not None:
        scale = weight.norm(dim=1).clamp_min(1e-12) / module.weight.flatten(1).norm(dim=1)
    module.weight.copy_((weight / scale[:, None]).reshape(module.weight.shape))
    if module.bias is not None:
        module.bias.copy_((means[1] - weight @ means[0]) / scale)
    return scale


@torch.no_grad()
def _calibrate(network: nn.Module, norm: Any, clips: Tensor) -> None:
    """Set the running statistics of a BatchNorm to those of the calibration clips."""
    if norm is None or norm.running_mean is None:
        return
    inputs = outputs(network, {"": Tap(norm, "input")}, clips)[""]
    rows = inputs.transpose(0, 1).flatten(1).double()  # (C, values)
    norm.running_mean.copy_(rows.mean(1))
    norm.running_var.copy_(rows.var(1, correction=0))


@torch.no_grad()
def _restore_output(norm: Any, scale: Tensor, mean: Tensor) -> None:
    """Set a calibrated BatchNorm to multiply its input by `scale` and shift it to `mean`."""
    if norm is None or norm.weight is None:
        return
    norm.weight.copy_((norm.running_var + norm.eps).sqrt() * scale)
    norm.bias.copy_(mean)
