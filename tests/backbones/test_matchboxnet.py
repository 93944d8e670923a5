from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from edgekws.backbones.matchboxnet import Backbone
from tests.backbones.conftest import CountMacs


@pytest.mark.parametrize(
    ("blocks", "sub_blocks", "labels", "exact", "published"),
    [(3, 1, 30, 77_214, 77), (3, 2, 30, 92_766, 93), (3, 2, 35, 93_411, 93)],
)
def test_parameters_are_the_published_ones(
    blocks: int,
    sub_blocks: int,
    labels: int,
    exact: int,
    published: int,
    parameters: Callable[[nn.Module], int],
) -> None:
    count = parameters(Backbone(blocks=blocks, sub_blocks=sub_blocks).build(64, labels))
    assert count == exact
    assert round(count / 1000) == published


def test_6x2x64_is_a_little_below_the_published_140_k(
    parameters: Callable[[nn.Module], int],
) -> None:
    assert parameters(Backbone(blocks=6, sub_blocks=2).build(64, 35)) == 139_491


@pytest.mark.parametrize(
    ("blocks", "sub_blocks", "published"), [(3, 1, 9.3), (3, 2, 11.3), (6, 2, 17.1)]
)
def test_published_multiplies_charge_norms_too(
    blocks: int, sub_blocks: int, published: float, macs: CountMacs
) -> None:
    # Kim et al. 2021 ("Broadcasted Residual Learning"), table 3. Met at the 128 frames that the
    # release pads to, which settles the stride of 1, with one multiply per normalised value.
    network = Backbone(blocks=blocks, sub_blocks=sub_blocks).build(64, 35)
    norms = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm1d))
    assert round((macs(network, (1, 64, 128)) + 128 * norms) / 1e6, 1) == published


def test_parameters_and_macs_by_hand(
    macs: CountMacs,
    parameters: Callable[[nn.Module], int],
    folded_parameters: Callable[[nn.Module], int],
) -> None:
    stem = 11 * 40 + 40 * 128
    first = 13 * 128 + 128 * 64 + 128 * 64  # the shortcut is as large as the pointwise
    second = 13 * 64 + 64 * 64
    tail, last = 29 * 64 + 64 * 128, 128 * 128
    channels = 128 + 2 * 64 + 64 + 128 + 128  # normalised
    network = Backbone(blocks=1, sub_blocks=2).build(40, 12)
    weights = stem + first + second + tail + last
    assert parameters(network) == weights + 2 * channels + 128 * 12 + 12
    depthwise_biases = 40 + 128 + 64 + 64  # have no BatchNorm, hence no bias in fact
    assert folded_parameters(network) - depthwise_biases == weights + channels + 128 * 12 + 12
    assert macs(network, (1, 40, 97)) == 97 * weights + 128 * 12 == 5_333_432


def test_a_block_is_its_equation() -> None:
    torch.manual_seed(0)
    network: Any = Backbone(sub_blocks=2).build(40, 12).eval()
    block = network[1][1]
    residual, x = block[0], torch.randn(2, 64, 31)
    deep, point, norm, _, _, deep2, point2, norm2 = residual.body
    with torch.no_grad():
        body = norm2(point2(deep2(torch.relu(norm(point(deep(x)))))))
        torch.testing.assert_close(block(x), torch.relu(body + residual.shortcut(x)))


def test_kernels_stride_and_dilation() -> None:
    network: Any = Backbone(blocks=4, stem_stride=2).build(40, 12).eval()
    depthwise = [m for m in network.modules() if isinstance(m, nn.Conv1d) and m.groups > 1]
    assert [m.kernel_size[0] for m in depthwise] == [11, 13, 15, 17, 19, 29]
    assert [m.dilation[0] for m in depthwise] == [1, 1, 1, 1, 1, 2]
    assert [m.stride[0] for m in depthwise] == [2, 1, 1, 1, 1, 1]
    assert network[:3](torch.zeros(1, 40, 97)).shape == (1, 128, 49)


def test_fields_reach_the_network() -> None:
    network: Any = Backbone(channels=24, outer_channels=48, dropout=0.1).build(40, 12)
    assert network[-1].in_features == 48
    assert network[1][2](torch.zeros(1, 24, 9)).shape == (1, 24, 9)
    rates = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.1] * 6
