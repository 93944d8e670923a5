from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekws.backbones.bcresnet import Backbone
from edgekws.backbones.blocks.layers import SubSpectralNorm
from edgekws.errors import UnsupportedError
from tests.backbones.conftest import CountMacs


@pytest.mark.parametrize(
    ("tau", "exact", "published"),
    [
        (0.625, 4_585, "4.6"),
        (1, 9_232, "9.2"),
        (2, 27_284, "27.3"),
        (3, 54_168, "54.2"),
        (6, 187_812, "188"),
        (8, 321_068, "321"),
    ],
)
def test_parameters_are_the_published_ones(
    tau: float, exact: int, published: str, parameters: Callable[[nn.Module], int]
) -> None:
    # Published in thousands with 12 labels: Kim et al. 2021, table 1 and the authors' release;
    # SparkNet's comparison table has τ = 1 and 0.625 exactly, 9,232 and 4,585.
    count = parameters(Backbone(tau=tau).build(40, 12))
    assert count == exact
    assert f"{count / 1000:.{len(published.partition('.')[2])}f}" == published


def test_macs_of_tau_1_by_hand(macs: CountMacs) -> None:
    frames = 101
    stem = 20 * frames * 25 * 16

    def stage(inside: int, outside: int, blocks: int, in_bands: int, bands: int) -> int:
        transition = inside * outside * in_bands * frames
        # f2 over (3, 1) on every band; f1 over (1, 3) and pointwise on one band
        block = (3 * outside * bands + 3 * outside + outside * outside) * frames
        return transition + blocks * block

    stages = (
        stage(16, 8, 2, 20, 20)
        + stage(8, 12, 2, 20, 10)
        + stage(12, 16, 4, 10, 5)
        + stage(16, 20, 4, 5, 5)
    )
    tail = (25 * 20 + 20 * 32) * frames
    network = Backbone().build(40, 12)
    assert macs(network, (1, 1, 40, frames)) == stem + stages + tail + 32 * 12 == 2_482_156


def test_published_macs_charge_norms_and_pooling_too(macs: CountMacs) -> None:
    # The 3.1 M in the literature is met by two operations for every normalised value and one for
    # every pooled one on top of the convolutions.
    network = Backbone().build(40, 12)
    extra: list[int] = []

    def norm(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        extra.append(2 * output.numel())

    def pool(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        extra.append(inputs[0].numel())

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(norm)
        elif isinstance(module, nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            module.register_forward_hook(pool)
    assert round((macs(network, (1, 1, 40, 101)) + sum(extra)) / 1e6, 1) == 3.1


def test_sub_spectral_norm_normalises_each_band_alone() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 10, 7) * torch.arange(1.0, 11.0)[:, None] + 5
    norm = SubSpectralNorm(3, 5).train()
    expected = torch.empty_like(x)
    for channel in range(3):
        for band in range(5):
            part = x[:, channel, 2 * band : 2 * band + 2]
            expected[:, channel, 2 * band : 2 * band + 2] = (part - part.mean()) / (
                part.var(unbiased=False) + 1e-5
            ).sqrt()
    torch.testing.assert_close(norm(x), expected, rtol=1e-4, atol=1e-4)


def test_a_block_is_its_equation() -> None:
    torch.manual_seed(0)
    network: Any = Backbone().build(40, 12).eval()
    block = network[1][1]  # second block of the first stage
    branch = block[0].body
    x = torch.randn(2, 8, 20, 9)
    f2 = branch.f2(x)
    temporal = branch.f1(f2.mean(dim=2, keepdim=True)).expand_as(f2)
    torch.testing.assert_close(block(x), torch.relu(x + f2 + temporal))


def test_dilation_doubles_and_keeps_the_length() -> None:
    network: Any = Backbone(dropout=0.0).build(40, 12)
    temporal = [
        m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 3)
    ]
    assert [m.dilation[1] for m in temporal] == [1] * 2 + [2] * 2 + [4] * 4 + [8] * 4
    assert network.eval()[:5](torch.zeros(1, 1, 40, 33)).shape == (1, 20, 5, 33)


def test_dropout_is_of_whole_channels() -> None:
    drops = [m for m in Backbone(dropout=0.2).build(40, 12).modules() if "Drop" in str(type(m))]
    assert len(drops) == 12
    assert all(isinstance(m, nn.Dropout2d) and m.p == 0.2 for m in drops)


def test_bands_have_to_fit() -> None:
    message = r"n_mels = 64 leaves 32, 16, 8, 8 bands .* sub_bands = 5.*64 with 4"
    with pytest.raises(UnsupportedError, match=message):
        Backbone().build(64, 12)
    with pytest.raises(UnsupportedError, match=r"n_mels = 32 .* at least 5"):
        Backbone(sub_bands=4).build(32, 12)
    assert Backbone(sub_bands=4).build(64, 12).eval()(torch.zeros(1, 1, 64, 50)).shape == (1, 12)
    assert Backbone().build(80, 12).eval()(torch.zeros(1, 1, 80, 50)).shape == (1, 12)
