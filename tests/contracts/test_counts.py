"""Parameters and MACs of every backbone, against a counter that knows nothing of ONNX."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from edgekws.core import family
from edgekws.core.contract import Contract, Normalization
from edgekws.lowering import checkpoint, export, folding
from edgekws.metrics import graph
from edgekws.runtime.front_end import FrontEnd

KINDS = family.kinds("Backbone")
LABELS = tuple("abcdef")
MULTIPLIES = nn.Conv1d | nn.Conv2d | nn.Linear
NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def contract(kind: str) -> Contract:
    """Return the contract of a backbone as a recipe without further fields gives it."""
    member: Any = family.load("Backbone", kind)()
    front_end = FrontEnd()
    mels, frames = front_end.n_mels, front_end.n_frames
    shape = (mels, frames) if member.representation == "2d" else (1, mels, frames)
    normalization = Normalization((0.0,) * mels, (1.0,) * mels)
    return Contract(front_end, normalization, LABELS, shape, member.model_dump(mode="json"))


class Counter:
    """Counts in forward hooks: what each layer multiplies, and which BatchNorm follows which.

    A BatchNorm right behind a layer becomes its bias; any other has to stay, with scale and shift.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        self.macs = 0
        self.seen: set[nn.Module] = set()
        self._made: list[tuple[Tensor, nn.Module]] = []  # kept alive, so that `is` can be trusted
        self._behind: dict[nn.Module, nn.Module | None] = {}
        for module in network.modules():
            if isinstance(module, MULTIPLIES | NORMS):
                module.register_forward_hook(self._hook)
        with torch.no_grad():
            network(torch.zeros(1, *shape))
        self.parameters = self._parameters(network)

    def _hook(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, MULTIPLIES):
            self.seen.add(module)
            self.macs += output.numel() * module.weight[0].numel()
            self._made.append((output, module))
        else:
            makers = [maker for made, maker in self._made if made is inputs[0]]
            self._behind[module] = makers[0] if makers else None

    def _parameters(self, network: nn.Module) -> int:
        normed = {maker for maker in self._behind.values() if maker is not None}
        total = 0
        for module in network.modules():
            if isinstance(module, MULTIPLIES):
                total += module.weight.numel()
                biased = module.bias is not None or module in normed
                total += module.weight.shape[0] if biased else 0
            elif isinstance(module, NORMS):
                total += 0 if self._behind[module] else 2 * module.num_features
            else:
                total += sum(p.numel() for p in module.parameters(recurse=False))
        return total


def trained(network: nn.Module) -> nn.Module:
    """Return the network with norms as training leaves them: none of them one or zero."""
    for module in network.modules():
        if isinstance(module, NORMS):
            assert module.running_mean is not None
            for values in (module.running_mean, module.weight.data, module.bias.data):
                values.normal_()
    return network.eval()


def macs_of_torch(network: nn.Module, shape: tuple[int, ...]) -> float:
    """Return what torch's own counter finds, which takes a MAC for two operations."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *shape))
    return float(counter.get_total_flops()) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_those_of_hooks_and_of_torch(kind: str) -> None:
    torch.manual_seed(0)
    made = contract(kind)
    network, told = folding.folded(trained(checkpoint.build(made)), made)
    model = export.export_lowered(network, told)
    counter = Counter(network, told.input_shape)
    layers = [m for m in network.modules() if isinstance(m, MULTIPLIES)]
    assert counter.seen == set(layers)
    assert len(layers) > 1
    assert graph.macs(model) == counter.macs == macs_of_torch(network, told.input_shape)
    assert graph.parameters(model) == counter.parameters
