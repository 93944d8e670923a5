from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from edgekws.backbones.blocks.branches import Branches
from edgekws.backbones.blocks.layers import Residual, SqueezeExcitation
from edgekws.backbones.tenet import Backbone
from tests.backbones.conftest import CountMacs


def single(**fields: Any) -> Any:
    return Backbone(kernels=(9,), **fields).build(40, 12)


@pytest.mark.parametrize(
    ("channels", "blocks", "weighed", "macs_98"),
    [
        (16, 2, 15_436, 618_336),
        (32, 2, 50_828, 1_946_304),
        (16, 4, 27_916, 960_768),
        (32, 4, 94_220, 3_165_696),
    ],
)
def test_the_table_of_the_docstring(
    channels: int,
    blocks: int,
    weighed: int,
    macs_98: int,
    folded_parameters: Callable[[nn.Module], int],
    macs: CountMacs,
) -> None:
    network = single(channels=channels, blocks=blocks)
    assert folded_parameters(network) == weighed
    assert macs(network, (1, 40, 98)) == macs_98


@pytest.mark.parametrize(
    ("channels", "blocks", "exact", "published"), [(16, 2, 16_908, 17), (32, 4, 99_852, 100)]
)
def test_published_parameters_count_running_statistics(
    channels: int, blocks: int, exact: int, published: int
) -> None:
    # The release's BatchNorms have a shift and no scale; its file holds mean and variance too.
    network = single(channels=channels, blocks=blocks)
    norms = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm1d))
    weights = sum(p.numel() for p in network.parameters() if p.ndim > 1)
    assert weights + 3 * norms + 12 == exact
    assert round(exact / 1000) == published


def test_published_macs_count_the_expansion_at_the_frames_behind_the_stride(
    macs: CountMacs,
) -> None:
    network = single()
    expansion = 16 * 48
    behind = 98 * expansion - 49 * expansion  # the first blocks: 98 to 49 to 25 to 13 frames
    behind += 49 * expansion - 25 * expansion + 25 * expansion - 13 * expansion
    assert macs(network, (1, 40, 98)) - behind == 553_056


def test_parameters_and_macs_by_hand(
    macs: CountMacs, parameters: Callable[[nn.Module], int]
) -> None:
    stem, block, down = 3 * 40 * 16, 2 * 16 * 48 + 9 * 48, 16 * 16
    norms = 2 * (16 + 6 * (48 + 48 + 16) + 3 * 16)
    weights = stem + 6 * block + 3 * down + 16 * 12
    assert parameters(single()) == weights + norms + 12 == 16_172
    more = 6 * (48 * (3 + 5 + 7) + 3 * 2 * 48)  # three kernels more, with their BatchNorms
    assert parameters(Backbone().build(40, 12)) == 16_172 + more == 22_220
    first = [97 * 16 * 48, 49 * 16 * 48, 25 * 16 * 48]  # expansions of the strided blocks
    rest = (49 + 25 + 13) * (9 * 48 + 48 * 16 + down + block)
    assert macs(single(), (1, 40, 97)) == 97 * stem + sum(first) + rest + 16 * 12 == 615_648


def test_a_strided_block_is_its_equation() -> None:
    torch.manual_seed(0)
    network: Any = Backbone().build(40, 12).eval()
    block = network.blocks[0]
    wide, norm, _, branches, _, narrow, last = block.body
    assert isinstance(block, Residual)
    x = torch.randn(2, 16, 33)
    with torch.no_grad():
        inner = torch.relu(norm(wide(x)))
        summed = sum(norm_k(conv_k(inner)) for conv_k, norm_k in branches.branches)
        body = last(narrow(torch.relu(summed)))
        torch.testing.assert_close(block(x), body + block.shortcut(x))
    assert [conv.kernel_size for conv, _ in branches.branches] == [(3,), (5,), (7,), (9,)]
    assert all(conv.groups == 48 for conv, _ in branches.branches)
    assert body.shape == (2, 16, 17)


def test_it_folds_to_its_longest_kernel() -> None:
    backbone = Backbone(channels=12, kernels=(7, 3, 5))
    assert Backbone.model_validate(backbone.folded()) == Backbone(channels=12, kernels=(7,))
    assert Backbone(kernels=(9,)).folded() is None
    twice = Backbone(kernels=(5, 5))
    assert Backbone.model_validate(twice.folded()).kernels == (5,)


def test_fields_reach_the_network() -> None:
    fields = {"expansion": 1.5, "stages": 2, "blocks": 3, "stem_kernel_size": 5, "stem_stride": 2}
    network: Any = Backbone(squeeze=4, head=24, dropout=0.1, **fields).build(40, 12).eval()
    assert network.stem[0].kernel_size == (5,)
    assert network[:2](torch.zeros(1, 40, 96)).shape == (1, 16, 12)
    assert [isinstance(b.shortcut, nn.Identity) for b in network.blocks] == [False, True, True] * 2
    branches: list[Any] = [m for m in network.modules() if isinstance(m, Branches)]
    assert [m.branches[0][0].groups for m in branches] == [24] * 6
    squeezes = [m for m in network.modules() if isinstance(m, SqueezeExcitation)]
    assert [m.gate[1].out_channels for m in squeezes] == [4] * 6
    assert network.classifier.in_features == 24
    assert network.dropout.p == 0.1


def test_wrong_fields() -> None:
    with pytest.raises(ValidationError, match="4 is even; a kernel must be odd"):
        Backbone(kernels=(3, 4))
    with pytest.raises(ValidationError, match="at least 1 item"):
        Backbone(kernels=())


def test_squeeze_excitation_is_its_equation() -> None:
    torch.manual_seed(0)
    module = SqueezeExcitation(6, 2, axes=1).double()
    wide: Any
    narrow: Any
    _, narrow, _, wide, _ = module.gate
    assert wide.bias.sub(0.5).abs().max() < 0.15 < narrow.bias.abs().max()
    with torch.no_grad():
        wide.weight.copy_(torch.linspace(-9, 9, 12).reshape(6, 2, 1))  # some shut, some open
        narrow.bias.add_(1)
    x = torch.randn(3, 6, 11, dtype=torch.float64) + 1
    gates = []
    for clip in x:
        squeezed = (narrow.weight[:, :, 0] @ clip.mean(1) + narrow.bias).clamp_min(0)
        gates.append((wide.weight[:, :, 0] @ squeezed + wide.bias).clamp(0, 1))
    gate = torch.stack(gates).unsqueeze(2)
    assert gate.min() == 0
    assert gate.max() == 1
    torch.testing.assert_close(module(x), x * gate)
