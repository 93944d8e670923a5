from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import nn

from edgekws.backbones.mobilenet1d import STACKS, Backbone, Variant
from tests.backbones.conftest import CountMacs

VARIANTS = get_args(Variant)


def separable(taps: int, *pairs: tuple[int, int]) -> list[int]:
    """Weights of depthwise-separable convolutions of `taps` values."""
    return [taps * a + a * b for a, b in pairs]


def test_every_variant_has_a_stack() -> None:
    assert set(VARIANTS) == set(STACKS)
    assert len(VARIANTS) == 2


def test_mobilenet1d_by_hand(
    macs: CountMacs,
    parameters: Callable[[nn.Module], int],
    folded_parameters: Callable[[nn.Module], int],
) -> None:
    # 64 mels, 97 frames, 5 labels; 49 frames after the stem, then 25, 13 and 7
    stem = 3 * 64 * 10
    pairs = (10, 10), (10, 12), (12, 12), (12, 25), (25, 25), (25, 51), (51, 51)
    dense = 51 * 24 + 24 * 5
    network = Backbone().build(64, 5)
    weights = stem + sum(separable(3, *pairs)) + dense
    channels = 10 + sum(a + b for a, b in pairs)
    assert parameters(network) == weights + 2 * channels + 24 + 5 == 9_575
    assert folded_parameters(network) == weights + channels + 24 + 5
    # the stride is in the depthwise convolution
    frames = 49, 25, 25, 13, 13, 7, 7
    by_layer = [n * w for n, w in zip(frames, separable(3, *pairs), strict=True)]
    assert macs(network, (1, 64, 97)) == 49 * stem + sum(by_layer) + dense


def test_simplemobilenet1d_by_hand(macs: CountMacs, parameters: Callable[[nn.Module], int]) -> None:
    stem = 3 * 64 * 8
    pairs = (8, 14), (14, 28), (28, 42), (42, 67)
    dense = 67 * 28 + 28 * 5
    network = Backbone(variant="simplemobilenet1d").build(64, 5)
    weights = stem + sum(separable(3, *pairs)) + dense
    channels = 8 + sum(a + b for a, b in pairs)
    assert parameters(network) == weights + 2 * channels + 28 + 5 == 8_857
    by_layer = [n * w for n, w in zip((49, 25, 13, 7), separable(3, *pairs), strict=True)]
    assert macs(network, (1, 64, 97)) == 49 * stem + sum(by_layer) + dense


def test_simplemobilenet1d_in_3d_by_hand(macs: CountMacs) -> None:
    # 32 x 49 positions after the stem, then 16 x 25, 8 x 13 and 4 x 7
    pairs = (8, 14), (14, 28), (28, 42), (42, 67)
    sizes = 32 * 49, 16 * 25, 8 * 13, 4 * 7
    by_layer = [n * w for n, w in zip(sizes, separable(9, *pairs), strict=True)]
    network = Backbone(variant="simplemobilenet1d", representation="3d").build(64, 5)
    expected = 32 * 49 * 9 * 8 + sum(by_layer) + 67 * 28 + 28 * 5
    assert macs(network, (1, 1, 64, 97)) == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_contest_limits(
    variant: str, macs: CountMacs, parameters: Callable[[nn.Module], int]
) -> None:
    network = Backbone(variant=variant).build(64, 5)
    assert parameters(network) <= 10_000
    assert macs(network, (1, 64, 97)) <= 1_000_000


def test_a_separable_convolution_norms_and_activates_twice() -> None:
    network: Any = Backbone().build(40, 5)
    block = network[1][1]
    assert [type(m) for m in block] == [nn.Conv1d, nn.BatchNorm1d, nn.ReLU] * 2
    assert (block[0].groups, block[0].stride, block[3].stride) == (10, (2,), (1,))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_mels", [1, 40])
def test_3d_takes_any_number_of_mels(variant: str, n_mels: int) -> None:
    network = Backbone(variant=variant, representation="3d").build(n_mels, 7)
    assert network(torch.randn(2, 1, n_mels, 63)).shape == (2, 7)
