"""Simulate INT8 arithmetic in floating point, so that a network can be trained with it.

Rounds what the quantizers round: each weight per output channel with BatchNorm folded in
(symmetric), and each activation per tensor (asymmetric), except the direct input of a clamp and
the logits of a linear layer. Gradients pass through the roundings (the straight-through estimator)
and are zero where a value is clipped.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018.
"""

import operator
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError
from torch.nn import functional as F

from edgekws.errors import UnsupportedError
from edgekws.quantizers.int8.rounded_layers import Norm, RoundedLayer, Rounding

_BATCH = 64

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)

_CLAMPS: tuple[Any, ...] = (
    *(nn.ReLU, nn.ReLU6, nn.Hardtanh),
    *(F.relu, torch.relu, F.relu6, F.hardtanh, torch.clamp, "relu", "relu_", "clamp"),
)
"""Activations that the next QuantizeLinear performs too: the layer before them is not rounded."""

_MOVES: tuple[Any, ...] = (
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.MaxPool1d, nn.MaxPool2d),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, F.dropout, F.dropout1d, F.dropout2d),
    *(F.max_pool1d, F.max_pool2d, F.pad),
    *(torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze, torch.permute),
    *(torch.transpose, "flatten", "reshape", "view", "squeeze", "unsqueeze", "permute"),
    *("transpose", "contiguous", operator.getitem),
)
"""Operations that create no new values: rounded inputs give rounded outputs."""


class FakeQuantized(nn.Module):
    """A network in simulated INT8, differentiable; shares the network's weights.

    BatchNorm statistics are frozen, also in training. The activation ranges are those of `clips` in
    the network without roundings, as in the quantizers' calibration `minmax`, and are recomputed
    whenever the network is put into training or eval mode; they are not part of its state.
    """

    clips: Tensor

    def __init__(self, network: nn.Module, clips: Tensor, largest_weight: int = 127) -> None:
        """Wrap a network and calibrate it on clips `(N, *input_shape)`; ends in eval mode.

        Args:
            network: traceable, of convolutions and linear layers; not copied.
            clips: the features on which the ranges are calibrated.
            largest_weight: the integer of a channel's largest weight: 127, or 63 for 7 bits.

        Raises:
            UnsupportedError: the network cannot be traced.
        """
        super().__init__()
        self.graph = _with_roundings(network, clips[:1], largest_weight)
        self.register_buffer("clips", clips, persistent=False)
        self.eval()

    def forward(self, features: Tensor) -> Tensor:
        """Return logits `(B, n_labels)` of features `(B, *input_shape)`."""
        logits: Tensor = self.graph(features)
        return logits

    def train(self, mode: bool = True) -> Self:
        """Put the network into training or eval mode, and calibrate it."""
        self.graph.eval()
        self.calibrate()
        return super().train(mode)

    @torch.no_grad()
    def calibrate(self) -> None:
        """Set the activation ranges to those of `clips` without any rounding."""
        spans: dict[Rounding, tuple[Tensor, Tensor]] = {}
        for clips in torch.split(self.clips, _BATCH):
            for rounding, (low, high) in _Unrounded(self.graph).spans(clips):
                before = spans.get(rounding, (low, high))
                spans[rounding] = torch.minimum(before[0], low), torch.maximum(before[1], high)
        for rounding, (low, high) in spans.items():
            rounding.span(low, high)

    @torch.no_grad()
    def unrounded(self, features: Tensor) -> Tensor:
        """Return the logits of the network without roundings."""
        logits: Tensor = _Unrounded(self.graph).run(features)
        return logits


class _Unrounded(fx.Interpreter):
    """Runs the graph without roundings, and records the range of each one's input."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self._spans: list[tuple[Rounding, tuple[Tensor, Tensor]]] = []

    def spans(self, clips: Tensor) -> Iterator[tuple[Rounding, tuple[Tensor, Tensor]]]:
        """Yield each rounding with the smallest and the largest value of its input."""
        self.run(clips)
        yield from self._spans

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module = self.fetch_attr(target)
        if isinstance(module, Rounding):
            self._spans.append((module, args[0].aminmax()))
            return args[0]
        if isinstance(module, RoundedLayer):
            return module.unrounded(*args)
        return super().call_module(target, args, kwargs)


def _with_roundings(network: nn.Module, clip: Tensor, largest: int) -> fx.GraphModule:
    """Return the network's graph, on the same modules, with rounded layers and activations."""
    traced = _traced(network)
    floats = _float_nodes(traced, clip)
    for node in list(traced.graph.nodes):
        module = _module(traced, node)
        if isinstance(module, _LAYERS):
            _replace(traced, node, RoundedLayer(module, _remove_norm(traced, node), largest))
        elif isinstance(module, _NORMS) and node.users:
            _replace(traced, node, Norm(module))
    for node in [node for node in traced.graph.nodes if node in floats]:
        if _is_rounded(traced, node):
            _round(traced, node)
    traced.graph.lint()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _traced(network: nn.Module) -> fx.GraphModule:
    try:
        return fx.symbolic_trace(network.eval())
    except TraceError as error:
        raise UnsupportedError(
            f"{type(network).__name__}: its graph cannot be traced ({error}), which fine-tuning "
            "for INT8 needs; write the backbone without control flow that depends on the features"
        ) from error


class _Kinds(fx.Interpreter):
    """Records which nodes give floating-point tensors."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.floats: set[fx.Node] = set()

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.is_floating_point() and n.op != "get_attr":
            self.floats.add(n)
        return value


@torch.no_grad()
def _float_nodes(traced: fx.GraphModule, clip: Tensor) -> set[fx.Node]:
    kinds = _Kinds(traced)
    kinds.run(clip)
    return kinds.floats


def _remove_norm(traced: fx.GraphModule, layer: fx.Node) -> nn.Module | None:
    """Remove and return the BatchNorm that is the only user of `layer`, if there is one."""
    users = list(layer.users)
    norm = _module(traced, users[0]) if len(users) == 1 else None
    if not isinstance(norm, _NORMS):
        return None
    users[0].replace_all_uses_with(layer)
    traced.graph.erase_node(users[0])
    return norm


def _replace(traced: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    name = f"layer_{node.name}"
    traced.add_submodule(name, module)
    node.target = name


def _round(traced: fx.GraphModule, node: fx.Node) -> None:
    name = f"rounding_{node.name}"
    traced.add_submodule(name, Rounding())
    with traced.graph.inserting_after(node):
        rounded = traced.graph.call_module(name, (node,))
    node.replace_all_uses_with(rounded, delete_user_cb=lambda user: user is not rounded)


def _is_rounded(traced: fx.GraphModule, node: fx.Node) -> bool:
    users = list(node.users)
    if node.op == "output" or _is(traced, node, _MOVES):
        return False
    if len(users) == 1 and _is(traced, users[0], _CLAMPS):
        return False
    layer = _module(traced, node)
    linear = isinstance(layer, RoundedLayer) and isinstance(layer.layer, nn.Linear)
    return not (linear and _reaches_output(traced, node))


def _reaches_output(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Return whether `node` is the logits, up to its shape."""
    return any(
        user.op == "output" or (_is(traced, user, _MOVES) and _reaches_output(traced, user))
        for user in node.users
    )


def _is(traced: fx.GraphModule, node: fx.Node, kinds: tuple[Any, ...]) -> bool:
    module = _module(traced, node)
    return node.target in kinds if module is None else type(module) in kinds


def _module(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None
