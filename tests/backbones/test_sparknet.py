from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from edgekws.backbones.blocks.gates import Gates, bounded
from edgekws.backbones.blocks.layers import Residual
from edgekws.backbones.sparknet import Backbone
from tests.backbones.conftest import CountMacs

SUPERFLUOUS = 32
"""The published layer in front of the gates has a bias, which its BatchNorm takes off again."""


@pytest.mark.parametrize(
    ("channels", "published", "off"),
    [(4, 1_416, 88), (8, 2_292, 64), (16, 4_636, 0), (32, 11_500, 0)],
)
def test_the_published_parameters(
    channels: int, published: int, off: int, parameters: Callable[[nn.Module], int]
) -> None:
    network = Backbone(channels=channels).build(32, 12)
    assert parameters(network) + SUPERFLUOUS == published + off


@pytest.mark.parametrize(
    ("channels", "weighed", "published"), [(16, 396_304, 454.5), (32, 1_066_944, 1_170.4)]
)
def test_published_macs_charge_norms_four_times(
    channels: int, weighed: int, published: float, macs: CountMacs
) -> None:
    # The release counts with thop; 1,170.4 k are reported as 1.2 M.
    network = Backbone(channels=channels).build(32, 12)
    assert macs(network, (1, 32, 101)) == weighed
    norms = sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm1d))
    assert round((weighed + 4 * 101 * norms) / 1000, 1) == published


def test_parameters_and_macs_by_hand(
    macs: CountMacs,
    parameters: Callable[[nn.Module], int],
    folded_parameters: Callable[[nn.Module], int],
) -> None:
    first = 11 * 40 + 40 * 16
    blocks = sum(k * 16 + 2 * 16 * 16 for k in (15, 19, 29))
    gates, classifier = 16 * 32, 32 * 12
    channels = 16 + 3 * 2 * 16 + 32  # normalised
    network = Backbone().build(40, 12)
    weights = first + blocks + gates + classifier
    assert parameters(network) == weights + 2 * channels + 12
    depthwise_biases = 40 + 3 * 16  # have no BatchNorm, hence no bias in fact
    assert folded_parameters(network) - depthwise_biases == weights + channels + 12
    assert macs(network, (1, 40, 97)) == 97 * (first + blocks + gates) + classifier == 401_576


def test_eval_is_its_equation() -> None:
    torch.manual_seed(0)
    network: Any = Backbone().build(40, 12)
    network(torch.randn(8, 40, 97))  # moves the running statistics
    torch.nn.init.normal_(network[1][1].bias, 0.3)  # some gates are never open, some always
    network.eval()
    body, gates, _, _, classifier = network
    depthwise, pointwise, norm, _, _ = body[0]
    residual = body[1][0]
    deep, point, inner = residual.body
    assert isinstance(residual, Residual)
    x = torch.randn(2, 40, 97)
    with torch.no_grad():
        first = torch.relu(norm(pointwise(depthwise(x))))
        torch.testing.assert_close(body[0](x), first)
        summed = inner(point(deep(first))) + residual.shortcut(first)
        torch.testing.assert_close(body[1](first), torch.relu(summed))
        # The published gate: the mean is the layer's output without the 1/2 that its shift holds.
        m = gates[1](gates[0](body(x))) - 0.5
        opened = (m + 0.5).clamp(0, 1).mean(2)
        torch.testing.assert_close(network(x), classifier(opened))
    assert 0.01 < float((opened == 0).double().mean()) < 0.99


def test_a_gate_is_as_likely_open_as_shut_at_first() -> None:
    torch.manual_seed(0)
    network: Any = Backbone().build(40, 12).train()
    with torch.no_grad():
        gates = network[:2](torch.randn(32, 40, 97))
    assert gates.min() == 0
    assert gates.max() == 1
    assert float(gates.mean()) == pytest.approx(0.5, abs=0.02)


def test_the_bound_is_not_seen_once_clamped() -> None:
    x = torch.linspace(-4, 5, 901, dtype=torch.float64, requires_grad=True)
    y = bounded(x)
    torch.testing.assert_close(y.clamp(0, 1), x.clamp(0, 1), rtol=0, atol=0)
    assert y.min() > -0.5
    assert y.max() < 1.5
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert (slope > 0).all()
    assert slope.diff().abs().max() < 0.02  # smooth


def test_sparsity_is_the_gradient_of_the_published_penalty() -> None:
    x = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 4, 5, dtype=torch.float64)

    def gradient(sparsity: float, penalty: float) -> torch.Tensor:
        torch.manual_seed(1)
        loss = (Gates(0.5, sparsity)(x) * weights).sum()
        (result,) = torch.autograd.grad(loss + penalty * _probability_open(x), x)
        return result

    torch.testing.assert_close(gradient(0.3, 0.0), gradient(0.0, 0.3))
    assert not torch.allclose(gradient(0.3, 0.0), gradient(0.0, 0.0))


def _probability_open(x: torch.Tensor) -> torch.Tensor:
    # As in the release, whose mean is without the 1/2: P(m + 1/2 + noise > 0), noise of 0.5.
    m = bounded(x) - 0.5
    return torch.mean(0.5 - 0.5 * torch.erf((-1 / 2 - m) / (2**0.5 * 0.5)))


def test_noise_is_in_training_only_and_may_be_none() -> None:
    x = torch.full((1, 2, 1000), 0.5)
    torch.manual_seed(0)
    noisy = Gates(0.5, 0.0).train()(x)
    assert float(((noisy > 0) & (noisy < 1)).double().mean()) == pytest.approx(0.683, abs=0.04)
    assert torch.equal(Gates(0.5, 0.0).eval()(x), x)
    assert torch.equal(Gates(0.0, 0.1).train()(x.requires_grad_()), x)


def test_fields_reach_the_network() -> None:
    fields = {"kernels": (5, 7), "gates": 20, "noise": 0.2, "sparsity": 0.5, "dropout": 0.1}
    network: Any = Backbone(channels=24, stem_stride=2, **fields).build(40, 12).eval()
    assert network[0](torch.zeros(1, 40, 97)).shape == (1, 24, 49)
    depthwise = [m for m in network.modules() if isinstance(m, nn.Conv1d) and m.groups > 1]
    assert [m.kernel_size for m in depthwise] == [(5,), (7,)]
    assert network[-1].in_features == 20
    assert (network[1][2].noise, network[1][2].sparsity) == (0.2, 0.5)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.1, 0.1]


def test_wrong_fields() -> None:
    with pytest.raises(ValidationError, match="10 is even; a kernel must be odd"):
        Backbone(kernels=(10,))
