from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn

from edgekws.backbones.plain import STACKS, Backbone, Variant
from edgekws.errors import UnsupportedError
from tests.backbones.conftest import CountMacs

VARIANTS = get_args(Variant)


def test_every_variant_has_a_stack() -> None:
    assert set(VARIANTS) == set(STACKS)
    assert len(VARIANTS) == 5


def test_parameters_and_macs_of_microcnn_by_hand(
    macs: CountMacs,
    parameters: Callable[[nn.Module], int],
    folded_parameters: Callable[[nn.Module], int],
) -> None:
    # 64 mels, 97 frames, 5 labels; pooling leaves 48, 24, then 12 frames
    convolutions = 3 * (64 * 12 + 12 * 24 + 24 * 36)
    dense = 36 * 24 + 24 * 5
    network = Backbone(variant="microcnn").build(64, 5)
    assert parameters(network) == convolutions + 2 * (12 + 24 + 36) + dense + 24 + 5
    assert folded_parameters(network) == convolutions + (12 + 24 + 36) + dense + 24 + 5
    by_layer = 3 * (64 * 12 * 97 + 12 * 24 * 48 + 24 * 36 * 24) + dense
    assert macs(network, (1, 64, 97)) == by_layer == 328_152


def test_macs_of_microcnn_in_3d_by_hand(macs: CountMacs) -> None:
    # 9 taps; pooling leaves 32 x 48, then 16 x 24 positions
    by_layer = 9 * (12 * 64 * 97 + 12 * 24 * 32 * 48 + 24 * 36 * 16 * 24) + 36 * 24 + 24 * 5
    network = Backbone(variant="microcnn", representation="3d").build(64, 5)
    assert macs(network, (1, 1, 64, 97)) == by_layer


@pytest.mark.parametrize(
    ("variant", "reported"),
    [
        ("microcnn", 0.20),
        ("nanocnn", 0.25),
        ("tinycnn", 0.25),
        ("conv1dnet", 0.15),
        ("customnet", 0.45),
    ],
)
def test_the_contest_limits_and_the_reported_macs(
    variant: str, reported: float, macs: CountMacs, parameters: Callable[[nn.Module], int]
) -> None:
    # The report gives MACs in steps of 0.05 M for 64 mels and five classes, but no frame count.
    # 64 is fitted to the figures, not known: of 40 to 120 frames only 64 and 65 meet all five. So
    # one number was free, and what is tested is that the five agree on it.
    network = Backbone(variant=variant).build(64, 5)
    assert macs(network, (1, 64, 64)) / 1e6 == pytest.approx(reported, abs=0.025)
    assert parameters(network) <= 10_000


def test_order_of_the_layers() -> None:
    def names(variant: Variant) -> list[str]:
        modules = Backbone(variant=variant).build(40, 5).modules()
        return [type(m).__name__ for m in modules if not list(m.children())]

    assert names("nanocnn") == ["Conv1d", "BatchNorm1d", "ReLU", "MaxPool1d"] * 3 + [
        "AdaptiveAvgPool1d",
        "Flatten",
        "Linear",
    ]
    pooled = ["Conv1d", "ReLU", "BatchNorm1d", "MaxPool1d"]
    assert names("conv1dnet")[:11] == pooled * 2 + pooled[:3]
    assert names("customnet")[:14] == ["Conv1d", "SELU", "AvgPool1d"] * 4 + ["Conv1d", "SELU"]


def test_selu_keeps_the_variance_of_its_input() -> None:
    torch.manual_seed(0)
    network: Any = Backbone(variant="customnet").build(64, 5)
    stack = network[0]
    convolutions = nn.Sequential(*(m for m in stack if not isinstance(m, nn.AvgPool1d)))
    with torch.no_grad():
        variance = convolutions(torch.randn(64, 64, 96)).var().item()
    assert 0.5 < variance < 1.5


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_mels", [16, 40, 64])
def test_3d_takes_any_number_of_mels(variant: str, n_mels: int) -> None:
    network = Backbone(variant=variant, representation="3d").build(n_mels, 7)
    assert network(torch.randn(2, 1, n_mels, 63)).shape == (2, 7)


def test_3d_without_bands_left() -> None:
    with pytest.raises(UnsupportedError, match=r"n_mels = 7 leaves no band .* microcnn .* 16"):
        Backbone(variant="microcnn", representation="3d").build(7, 5)
    assert Backbone(variant="microcnn").build(7, 5)(torch.randn(2, 7, 63)).shape == (2, 5)
