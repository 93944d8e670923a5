from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from edgekws.backbones.conv2d_stem import Backbone
from tests.backbones.conftest import CountMacs


def test_parameters_and_macs_by_hand(
    macs: CountMacs,
    parameters: Callable[[nn.Module], int],
    folded_parameters: Callable[[nn.Module], int],
) -> None:
    # 40 bands, 97 frames: 20 x 49 after the first convolution, 10 x 49 after the next, 1 x 49
    first, separable, spanning = 8 * 25, (8 * 9, 8 * 8), 16 * 8 * 10
    block, head, classifier = 16 * 48 + 9 * 48 + 48 * 16, 16 * 32, 32 * 12
    weights = first + 3 * sum(separable) + spanning + 3 * block + head + classifier
    biases = 8 + 3 * 16 + 16 + 3 * (48 + 48 + 16) + 32
    network = Backbone().build(40, 12)
    assert parameters(network) == weights + 2 * biases + 12
    assert folded_parameters(network) == weights + biases + 12 == 9_140
    stem = 20 * first + 10 * 3 * sum(separable) + spanning
    by_layer = 49 * (stem + 3 * block + head) + classifier
    assert macs(network, (1, 1, 40, 97)) == by_layer == 773_408


@pytest.mark.parametrize("n_mels", [7, 40, 41, 80])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_height_of_one_is_left_after_the_stem(n_mels: int, padding: str) -> None:
    network: Any = Backbone(padding=padding).build(n_mels, 12).eval()
    out = network.stem(torch.zeros(2, 1, n_mels, 97))
    # without padding: (97 - 4) / 2 frames, and 2 fewer after each of three kernels of 3
    assert out.shape == (2, 16, 1, 49 if padding == "same" else 41)


def test_an_unpadded_network_needs_its_receptive_field() -> None:
    backbone = Backbone(padding="valid")
    network = backbone.build(40, 12).eval()
    assert network(torch.zeros(1, 1, 40, backbone.min_frames)).shape == (1, 12)
    with pytest.raises(RuntimeError, match="Kernel size"):
        network(torch.zeros(1, 1, 40, backbone.min_frames - 1))


def test_fields_reach_the_network() -> None:
    fields = {"stem_channels": 4, "stem_blocks": 0, "stem_kernel_size": 3, "stem_stride": 1}
    network: Any = Backbone(**fields).build(40, 12)
    assert network.stem[0].weight.shape == (4, 1, 3, 3)
    assert network.stem(torch.zeros(1, 1, 40, 97)).shape == (1, 16, 1, 97)
