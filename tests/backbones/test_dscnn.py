from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from edgekws.backbones.dscnn import Backbone
from tests.backbones.conftest import CountMacs

CONVOLUTIONS = 9


def test_parameters_are_the_published_ones(
    parameters: Callable[[nn.Module], int], folded_parameters: Callable[[nn.Module], int]
) -> None:
    network = Backbone().build(10, 12)
    weights = 10 * 4 * 64 + 4 * (9 * 64 + 64 * 64) + 64 * 12
    assert parameters(network) == weights + CONVOLUTIONS * 2 * 64 + 12 == 23_180
    assert folded_parameters(network) == weights + CONVOLUTIONS * 64 + 12 == 22_604
    # The reference model's summary: a bias and two running statistics a channel more.
    assert parameters(network) + CONVOLUTIONS * (64 + 2 * 64) == 24_908


def test_macs_at_the_published_input_by_hand(macs: CountMacs) -> None:
    by_layer = 5 * 25 * (10 * 4 * 64 + 4 * (9 * 64 + 64 * 64)) + 64 * 12
    count = macs(Backbone().build(10, 12), (1, 1, 10, 49))
    assert count == by_layer == 2_656_768
    assert round(count / 1e6, 1) == 2.7


def test_macs_at_the_default_input(macs: CountMacs) -> None:
    by_layer = 20 * 49 * (10 * 4 * 64 + 4 * (9 * 64 + 64 * 64)) + 64 * 12
    assert macs(Backbone().build(40, 12), (1, 1, 40, 97)) == by_layer == 20_823_808


def test_the_first_kernel_is_long_in_time() -> None:
    network: Any = Backbone().build(40, 12).eval()
    stem = network[0]
    assert stem[0].kernel_size == (4, 10)
    shapes = [stem(torch.zeros(1, 1, mels, 97)).shape for mels in (2, 10, 40)]
    assert shapes == [(1, 64, mels // 2, 49) for mels in (2, 10, 40)]


@pytest.mark.parametrize("name", ["channels", "blocks", "dropout"])
def test_fields_reach_the_network(name: str, parameters: Callable[[nn.Module], int]) -> None:
    fields: dict[str, Any] = {name: {"channels": 16, "blocks": 2, "dropout": 0.1}[name]}
    network: Any = Backbone(**fields).build(40, 12)
    assert network[0][0].out_channels == (16 if name == "channels" else 64)
    assert len(network[1]) == (2 if name == "blocks" else 4)
    rates = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.2, 0.1 if name == "dropout" else 0.4]
