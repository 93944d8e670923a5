"""The layers of a network in execution order, recorded in a forward pass."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgekws.errors import UnsupportedError

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_BATCH = 64


@dataclass(frozen=True)
class Tap:
    """A tensor of the forward pass: the input or output of a module."""

    module: nn.Module
    part: Literal["input", "output"]


@dataclass(frozen=True)
class Layer:
    """A convolution, a Linear, or a BatchNorm that does not directly follow one.

    `norm` is the BatchNorm directly after it. `skips` are the tensors that residual sums add to
    its (normalised) output, `state` is the output of the last of these sums.
    """

    path: str
    module: Any
    norm: Any
    skips: tuple[Tap, ...]
    state: Tap

    @property
    def is_norm(self) -> bool:
        """Return whether it is a separate BatchNorm."""
        return isinstance(self.module, _NORMS)


@dataclass(frozen=True, eq=False)
class _Call:
    path: str
    module: nn.Module
    input: Tensor
    output: Tensor


def layers(network: nn.Module, example: Tensor) -> list[Layer]:
    """Return the layers in their execution order on the batch `example`.

    Raises:
        UnsupportedError: a layer runs more than once.
    """
    calls = _calls(network, example)
    runs = [call for call in calls if isinstance(call.module, _LAYERS + _NORMS)]
    path, times = Counter(call.path for call in runs).most_common(1)[0]
    if times > 1:
        raise UnsupportedError(f"layer {path} runs {times} times; use a separate layer for each")
    norm_of = {id(call.input): call for call in runs if isinstance(call.module, _NORMS)}
    norms = {
        call.path: norm_of[id(call.output)]
        for call in runs
        if isinstance(call.module, _LAYERS) and id(call.output) in norm_of
    }
    taken = {norm.path for norm in norms.values()}
    return [_layer(call, norms.get(call.path), calls) for call in runs if call.path not in taken]


def outputs(network: nn.Module, taps: Mapping[str, Tap], clips: Tensor) -> dict[str, Tensor]:
    """Return the tapped tensors for all `clips`, by the names of `taps`."""
    parts: dict[str, list[Tensor]] = {name: [] for name in taps}
    for tensors in batches(network, taps, clips):
        for name, tensor in tensors.items():
            parts[name].append(tensor)
    return {name: torch.cat(tensors) for name, tensors in parts.items()}


def batches(
    network: nn.Module, taps: Mapping[str, Tap], clips: Tensor
) -> Iterator[dict[str, Tensor]]:
    """Run the network on `clips` and yield the tapped tensors of each batch."""
    for batch in torch.split(clips, _BATCH):
        seen: dict[str, Tensor] = {}
        with _listening(taps, seen), torch.no_grad():
            network(batch)
        yield seen


@contextmanager
def _listening(taps: Mapping[str, Tap], seen: dict[str, Tensor]) -> Iterator[None]:
    def record(name: str, part: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] = inputs[0] if part == "input" else output

        return hook

    handles = [
        tap.module.register_forward_hook(record(name, tap.part)) for name, tap in taps.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _calls(network: nn.Module, example: Tensor) -> list[_Call]:
    """Return every module's call; a module comes after its submodules."""
    calls: list[_Call] = []

    def record(path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            calls.append(_Call(path, module, inputs[0], output))

        return hook

    handles = [m.register_forward_hook(record(path)) for path, m in network.named_modules()]
    with torch.no_grad():
        network(example)
    for handle in handles:
        handle.remove()
    return calls


def _layer(call: _Call, norm: _Call | None, calls: list[_Call]) -> Layer:
    last = norm or call
    state, result = Tap(last.module, "output"), last.output
    skips = []
    for outer in calls[calls.index(last) + 1 :]:
        if outer.path and not last.path.startswith(f"{outer.path}."):
            if isinstance(outer.module, _LAYERS):
                break  # another layer runs before the next sum
            continue
        skip = _skip(outer, result, calls)
        if skip is not None:
            skips.append(skip)
            state, result = Tap(outer.module, "output"), outer.output
    return Layer(call.path, call.module, norm and norm.module, tuple(skips), state)


def _skip(outer: _Call, result: Tensor, calls: list[_Call]) -> Tap | None:
    """Return the tensor that `outer` adds to `result`; `None` if its output is no such sum."""
    if isinstance(outer.module, nn.Sequential) or result.dim() != outer.output.dim():
        return None
    if any(a not in (1, b) for a, b in zip(result.shape, outer.output.shape, strict=True)):
        return None
    rest = outer.output - result
    children = {id(child) for child in outer.module.children()}
    taps = [(Tap(outer.module, "input"), outer.input)]
    taps += [(Tap(c.module, "output"), c.output) for c in calls if id(c.module) in children]
    for tap, tensor in taps:
        if tensor.shape == rest.shape and torch.allclose(tensor, rest, rtol=1e-4, atol=1e-5):
            return tap
    return None
