from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from edgekws.backbones.blocks.layers import Residual
from edgekws.backbones.tcresnet import Backbone
from tests.backbones.conftest import CountMacs


@pytest.mark.parametrize(
    ("layers", "width", "exact", "published", "flops"),
    [
        (8, 1.0, 65_180, 66, 3.0),
        (8, 1.5, 144_276, 145, 6.6),
        (14, 1.0, 135_868, 137, 6.1),
        (14, 1.5, 303_012, 305, 13.4),
    ],
)
def test_the_published_table(
    layers: int,
    width: float,
    exact: int,
    published: int,
    flops: float,
    parameters: Callable[[nn.Module], int],
    macs: CountMacs,
) -> None:
    network = Backbone(layers=layers, width=width).build(40, 12)
    assert parameters(network) == exact
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d)]
    statistics = sum(2 * m.num_features for m in norms)
    assert round((exact + statistics - 12) / 1000) == published
    assert round(2 * macs(network, (1, 40, 98)) / 1e6, 1) == flops


def test_parameters_and_macs_by_hand(
    macs: CountMacs, parameters: Callable[[nn.Module], int]
) -> None:
    stem, classifier = 3 * 40 * 16, 48 * 12
    first = [9 * (a * b + b * b) + a * b for a, b in ((16, 24), (24, 32), (32, 48))]
    second = [2 * 9 * b * b for b in (24, 32, 48)]
    norms = 2 * (16 + 3 * (24 + 32 + 48))
    small, large = Backbone().build(40, 12), Backbone(layers=14).build(40, 12)
    assert parameters(small) == stem + sum(first) + norms + classifier + 12
    more = sum(second) + 2 * 2 * (24 + 32 + 48)
    assert parameters(large) == parameters(small) + more
    by_layer = 101 * stem + 51 * first[0] + 26 * first[1] + 13 * first[2] + classifier
    assert macs(small, (1, 40, 101)) == by_layer == 1_563_264
    deeper = 51 * second[0] + 26 * second[1] + 13 * second[2]
    assert macs(large, (1, 40, 101)) == by_layer + deeper == 3_110_400


def test_a_strided_block_is_its_equation() -> None:
    torch.manual_seed(0)
    network: Any = Backbone().build(40, 12).eval()
    block = network[1][0]
    x = torch.randn(2, 16, 33)
    first, norm, _, second, other = block[0].body
    down, down_norm, _ = block[0].shortcut
    assert isinstance(block[0], Residual)
    with torch.no_grad():
        body = other(second(torch.relu(norm(first(x)))))
        torch.testing.assert_close(block(x), torch.relu(body + torch.relu(down_norm(down(x)))))
    assert body.shape == (2, 24, 17)


def test_width_rounds_down_to_1_at_least() -> None:
    network: Any = Backbone(width=0.7).build(40, 12)
    assert network[-1].in_features == 33
    assert Backbone(width=0.01).build(40, 12)(torch.randn(2, 40, 97)).shape == (2, 12)


def test_dropout_reaches_the_network() -> None:
    networks: list[Any] = [Backbone(**f).build(40, 12) for f in ({}, {"dropout": 0.1})]
    assert [network[4].p for network in networks] == [0.5, 0.1]
