from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from edgekws.backbones.blocks.layers import Residual
from edgekws.backbones.inverted_bottleneck import Backbone
from edgekws.errors import UnsupportedError
from tests.backbones.conftest import CountMacs


def test_parameters_and_macs_by_hand(
    macs: CountMacs,
    parameters: Callable[[nn.Module], int],
    folded_parameters: Callable[[nn.Module], int],
) -> None:
    # 40 mels, 97 frames, 49 after the stem; 16 channels, 48 inside a block, kernel 9, head 32
    stem, block = 40 * 16 * 3, 16 * 48 + 9 * 48 + 48 * 16
    head, classifier = 16 * 32, 32 * 12
    weights = stem + 3 * block + head + classifier
    biases = 16 + 3 * (48 + 48 + 16) + 32
    network = Backbone().build(40, 12)
    assert parameters(network) == weights + 2 * biases + 12
    assert folded_parameters(network) == weights + biases + 12 == 9_116
    by_layer = 49 * (stem + 3 * block + head) + classifier
    assert macs(network, (1, 40, 97)) == by_layer == 408_848


def test_the_teacher_of_the_docstring(
    macs: CountMacs, folded_parameters: Callable[[nn.Module], int]
) -> None:
    teacher = Backbone(
        channels=48, expansion=4, blocks=4, strided_blocks=(2,), head=192, dropout=0.1
    ).build(40, 40)
    assert round(folded_parameters(teacher) / 1000) == 105
    assert round(macs(teacher, (1, 40, 97)) / 1e6, 1) == 3.2


def test_strided_blocks_halve_time_and_have_no_residual() -> None:
    network: Any = Backbone(blocks=4, strided_blocks=(2, 4), stem_stride=1).build(40, 12).eval()
    x = torch.zeros(1, 40, 96)
    assert network.stem(x).shape == (1, 16, 96)
    assert network.blocks(network.stem(x)).shape == (1, 16, 24)
    assert [isinstance(block, Residual) for block in network.blocks] == [True, False, True, False]


def test_fields_reach_the_network() -> None:
    fields = {"kernel_size": 5, "stem_kernel_size": 7, "expansion": 1.5, "dropout": 0.3}
    network: Any = Backbone(head=0, **fields).build(40, 12)
    assert network.stem[0].kernel_size == (7,)
    depthwise = [m for m in network.modules() if isinstance(m, nn.Conv1d) and m.groups > 1]
    assert [(m.kernel_size, m.groups) for m in depthwise] == [((5,), 24)] * 3
    assert network.dropout.p == 0.3
    assert network.classifier.in_features == 16
    assert Backbone(channels=5, expansion=0.5).hidden == 2


def test_wrong_fields() -> None:
    with pytest.raises(ValidationError, match="4 is even; a kernel must be odd"):
        Backbone(kernel_size=4)
    with pytest.raises(ValidationError, match="has block 4; there are 1 to 3"):
        Backbone(strided_blocks=(1, 4))


VALID: tuple[dict[str, Any], ...] = (
    {},
    {"strided_blocks": (2,), "kernel_size": 5, "stem_stride": 3},
    {"strided_blocks": (1, 3), "kernel_size": 3, "stem_kernel_size": 5, "stem_stride": 1},
    {"kernel_size": 1, "blocks": 2, "head": 0},
)


@pytest.mark.parametrize("fields", VALID)
def test_valid_pads_nothing_and_reaches_as_far_as_min_frames_says(fields: dict[str, Any]) -> None:
    backbone = Backbone(padding="valid", **fields)
    network: Any = backbone.build(40, 12).eval()
    assert {m.padding for m in network.modules() if isinstance(m, nn.Conv1d)} == {(0,)}
    shortest = torch.zeros(1, 40, backbone.min_frames)
    assert network[:2](shortest).shape == (1, 16, 1)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        network(shortest[..., 1:])


@pytest.mark.parametrize("fields", [{}, {"kernel_size": 5, "stem_kernel_size": 7, "blocks": 2}])
def test_valid_gives_the_middle_of_what_same_gives(fields: dict[str, int]) -> None:
    valid: Any
    same: Any
    valid, same = (
        Backbone(stem_stride=1, padding=padding, **fields).build(40, 12).eval()
        for padding in ("valid", "same")
    )
    valid.load_state_dict(same.state_dict())
    x = torch.randn(2, 40, 97)
    with torch.no_grad():
        middle, whole = valid[:2](x), same[:2](x)
    cut = (97 - middle.shape[2]) // 2
    assert middle.shape[2] == 98 - Backbone(stem_stride=1, padding="valid", **fields).min_frames
    assert torch.allclose(middle, whole[..., cut:-cut], atol=1e-5)
    assert not torch.allclose(middle, whole[..., cut - 1 : -cut - 1], atol=1e-2)


@pytest.mark.parametrize(("bands", "hop", "n_mels"), [(8, 4, 40), (10, 10, 40), (12, 5, 32)])
def test_patches_are_one_convolution_that_slides_over_the_bands(
    bands: int, hop: int, n_mels: int
) -> None:
    torch.manual_seed(0)
    table = {"bands": bands, "hop": hop, "channels": 6}
    network: Any = Backbone(patches=table, stem_kernel_size=5).build(n_mels, 12).eval()
    x = torch.randn(3, n_mels, 97)
    over, shared = network.stem[0], network.stem[0].body[0]
    with torch.no_grad():
        slid = torch.nn.functional.conv2d(
            x.unsqueeze(1), shared.weight.unsqueeze(1), stride=(hop, 2), padding=(0, 2)
        )  # (B, C, patches, T')
        expected = over.body[2](over.body[1](slid.flatten(2)).reshape(slid.shape))
        assert torch.allclose(over(x), expected.transpose(1, 2).flatten(1, 2), atol=1e-6)
    assert network(x).shape == (3, 12)


@pytest.mark.parametrize(("n_mels", "nearest"), [(43, 44), (4, 8)])
def test_patches_have_to_fit_the_bands(n_mels: int, nearest: int) -> None:
    with pytest.raises(UnsupportedError, match=rf"n_mels = {n_mels}; use n_mels = {nearest}"):
        Backbone(patches={}).build(n_mels, 12)
    Backbone(patches={}).build(nearest, 12)
