from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from edgekws.backbones.resnet18 import Backbone
from tests.backbones.conftest import CountMacs


def test_the_body_is_the_published_one(parameters: Callable[[nn.Module], int]) -> None:
    # torchvision's resnet18: 11,689,512 parameters on 3 channels and 1000 classes (He et al.,
    # 2016). Only the first convolution differs: 7 x 7 over 3 channels there, 3 x 3 over 1 here.
    published = 11_689_512
    theirs, ours = 64 * 3 * 7 * 7, 64 * 1 * 3 * 3
    assert parameters(Backbone().build(40, 1000)) == published - theirs + ours


def test_macs_by_hand(macs: CountMacs) -> None:
    c = 16
    stem = 20 * 49 * 9 * c  # 40 x 97 at stride 2
    first = 10 * 25 * 4 * 9 * c * c  # after the max-pool; two blocks of two convolutions
    later = sum(
        positions * wide * (9 * wide // 2 + 9 * wide + wide // 2 + 2 * 9 * wide)
        for positions, wide in ((5 * 13, 2 * c), (3 * 7, 4 * c), (2 * 4, 8 * c))
    )
    network = Backbone(width=0.25).build(40, 12)
    assert macs(network, (1, 1, 40, 97)) == stem + first + later + 8 * c * 12


@pytest.mark.parametrize(("width", "last"), [(1.0, 512), (0.25, 128), (0.1, 48), (0.001, 8)])
def test_width_scales_the_rounded_first_stage(width: float, last: int) -> None:
    network: Any = Backbone(width=width).build(40, 3)
    assert network[-1].in_features == last
