from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from edgekws.backbones.blocks.layers import Residual
from edgekws.backbones.mobilenet import Backbone
from tests.backbones.conftest import CountMacs

PUBLISHED = 3_504_872
"""Parameters of torchvision's mobilenet_v2, and the trainable ones of Keras' MobileNetV2."""


def test_all_but_the_first_convolution_is_the_published_network(
    parameters: Callable[[nn.Module], int],
) -> None:
    theirs, ours = 32 * 3 * 3 * 3, 32 * 1 * 3 * 3  # three input channels there, one here
    assert parameters(Backbone().build(40, 1000)) == PUBLISHED - theirs + ours == 3_504_296


@pytest.mark.parametrize(
    ("width", "published"), [(0.35, 1.66), (0.5, 1.95), (1.0, 3.47), (1.4, 6.06)]
)
def test_published_widths(
    width: float, published: float, parameters: Callable[[nn.Module], int]
) -> None:
    # The table of the authors' release (TF-slim) counts 1001 labels, and BatchNorm not at all.
    network: Any = Backbone(width=width).build(40, 1001)
    norms = sum(2 * m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    two_more_channels = 2 * 9 * network[0][0].out_channels
    assert round((parameters(network) - norms + two_more_channels) / 1e6, 2) == published


def test_macs_by_hand(macs: CountMacs) -> None:
    stem, rows = 20 * 49 * 9 * 32, []
    rows.append((1, 32, 16, 20 * 49, 20 * 49))
    rows += [(6, 16, 24, 20 * 49, 10 * 25), (6, 24, 24, 250, 250)]
    rows += [(6, 24, 32, 250, 5 * 13)] + 2 * [(6, 32, 32, 65, 65)]
    rows += [(6, 32, 64, 65, 3 * 7)] + 3 * [(6, 64, 64, 21, 21)]
    rows += [(6, 64, 96, 21, 21)] + 2 * [(6, 96, 96, 21, 21)]
    rows += [(6, 96, 160, 21, 2 * 4)] + 2 * [(6, 160, 160, 8, 8)] + [(6, 160, 320, 8, 8)]
    blocks = 0
    for t, inside, outside, before, after in rows:
        hidden = t * inside
        expand = before * inside * hidden if t > 1 else 0
        blocks += expand + after * (9 * hidden + hidden * outside)
    by_layer = stem + blocks + 8 * 320 * 1280 + 1280 * 12
    assert macs(Backbone().build(40, 12), (1, 1, 40, 97)) == by_layer == 32_759_856


def test_macs_of_an_image_are_the_published_ones(macs: CountMacs) -> None:
    two_more_channels = 112 * 112 * 9 * 2 * 32
    count = macs(Backbone().build(224, 1000), (1, 1, 224, 224)) + two_more_channels
    assert count == 300_774_272
    assert int(count / 1e6) == 300  # published: 300 M at 224 x 224


def test_channels_are_multiples_of_8_and_the_head_does_not_shrink() -> None:
    assert [Backbone(width=0.35).scaled(c) for c in (16, 24, 32, 64, 96)] == [8, 8, 16, 24, 32]
    networks: list[Any] = [Backbone(width=width).build(40, 12) for width in (0.35, 1.4)]
    assert [network[-1].in_features for network in networks] == [1280, 1792]


def test_blocks_that_keep_the_shape_are_residual() -> None:
    network: Any = Backbone().build(40, 12)
    blocks = network[1]
    first_of_a_stage = {0, 1, 3, 6, 10, 13, 16}
    assert [isinstance(block, Residual) for block in blocks] == [
        number not in first_of_a_stage for number in range(17)
    ]
