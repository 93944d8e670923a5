"""A MAC counter that is slow and obvious: what each Conv and Linear multiplies, seen by a hook."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

CountMacs = Callable[[nn.Module, tuple[int, ...]], int]


def _count(network: nn.Module, shape: tuple[int, ...]) -> int:
    seen: list[int] = []

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Each output value is a dot product with one filter (Conv) or row (Linear) of the weight.
        assert isinstance(module.weight, Tensor)
        seen.append(output.numel() * module.weight[0].numel())

    layers = [m for m in network.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    with torch.no_grad():
        network.eval()(torch.zeros(shape))
    for handle in handles:
        handle.remove()
    assert len(seen) == len(layers) > 0
    return sum(seen)


@pytest.fixture(scope="session")
def macs() -> CountMacs:
    """Count the multiply-accumulates of one forward pass over an input of a shape."""
    return _count


@pytest.fixture(scope="session")
def parameters() -> Callable[[nn.Module], int]:
    """Count parameters, BatchNorm not folded."""
    return lambda network: sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="session")
def folded_parameters() -> Callable[[nn.Module], int]:
    """Count weights and one bias a channel: what is left when BatchNorm became the bias."""

    def count(network: nn.Module) -> int:
        layers = [m for m in network.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)]
        return sum(layer.weight.numel() + layer.weight.shape[0] for layer in layers)

    return count
