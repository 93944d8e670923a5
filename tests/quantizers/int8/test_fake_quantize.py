import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgekws.core import family
from edgekws.core.protocols import BACKBONE
from edgekws.errors import UnsupportedError
from edgekws.lowering.parity import logits
from edgekws.quantizers.int8.fake_quantize import FakeQuantized
from edgekws.quantizers.int8.rounded_layers import RoundedLayer, Rounding
from tests.cpu import needs_exact_sums
from tests.quantizers.conftest import Case


def features_of(clips: np.ndarray) -> np.ndarray:
    """Return clips in the shape of `parity.logits`, which adds the axis of a 3-D input itself."""
    return clips[:, 0] if clips.ndim == 4 else clips


def simulate(case: Case) -> FakeQuantized:
    return FakeQuantized(case.network, torch.from_numpy(case.clips))


def roundings(simulated: FakeQuantized) -> dict[str, Rounding]:
    return {n: m for n, m in simulated.graph.named_modules() if isinstance(m, Rounding)}


@needs_exact_sums
@pytest.mark.parametrize("name", ["bottleneck", "plain", "selu", "relu_before_norm", "spectrogram"])
def test_computes_what_the_quantizers_give(
    name: str,
    known_case: Callable[[str], Case],
    in_minmax_of: Callable[[str, str], tuple[Case, onnx.ModelProto]],
) -> None:
    case, model = in_minmax_of("neural_compressor", name)
    simulated = simulate(known_case(name))
    unseen = torch.from_numpy(case.unseen)
    with torch.no_grad():
        got = simulated(unseen).numpy()
    assert np.abs(simulated.unrounded(unseen).numpy() - case.logits).max() < 1e-5
    wanted = logits(model, features_of(case.unseen))
    lost = np.abs(wanted - case.logits).mean()
    assert np.abs(got - wanted).mean() < 0.15 * lost  # one rounding the other way here and there
    assert (got.argmax(1) == wanted.argmax(1)).mean() >= 0.99
    _, other = in_minmax_of("onnxruntime", name)
    assert (got.argmax(1) == logits(other, features_of(case.unseen)).argmax(1)).mean() >= 0.99


class Small(nn.Module):
    """conv, norm, ReLU6; a sum before a ReLU; slice, pooling, classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, padding=1)
        self.norm = nn.BatchNorm1d(6)
        self.clamp = nn.ReLU6()
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.dropout(self.clamp(self.norm(self.conv(x))))
        y = F.relu(y + y[..., 1:2])
        logits: torch.Tensor = self.linear(torch.flatten(F.adaptive_avg_pool1d(y, 1), 1))
        return logits


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    network = Small()
    assert network.norm.running_mean is not None
    assert network.norm.running_var is not None
    with torch.no_grad():
        network.norm.running_mean.normal_()
        network.norm.running_var.uniform_(0.5, 2)
        network.norm.weight.uniform_(0.5, 2)
        network.norm.bias.normal_()
    return network.eval()


CLIPS = torch.randn(130, 4, 9, generator=torch.Generator().manual_seed(1))


def test_what_is_rounded_and_in_which_range(small: Small) -> None:
    simulated = FakeQuantized(small, CLIPS)
    by_name = roundings(simulated)
    assert list(by_name) == [
        "rounding_x", "rounding_clamp", "rounding_relu", "rounding_adaptive_avg_pool1d",
    ]  # fmt: skip
    features = by_name["rounding_x"]
    low, high = CLIPS.min(), CLIPS.max()
    assert features.scale.item() == pytest.approx((high - low).item() / 255)
    assert features.zero_point.item() == round(-low.item() / features.scale.item())
    assert by_name["rounding_clamp"].zero_point.item() == 0
    with torch.no_grad():
        steps = features(CLIPS) / features.scale
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    assert (features(CLIPS) - CLIPS).abs().max() <= features.scale / 2 + 1e-6


@pytest.mark.parametrize("largest", [127, 63])
def test_weights_are_integers_of_each_channel_with_batch_norm_folded_in(
    small: Small, largest: int
) -> None:
    simulated = FakeQuantized(small, CLIPS, largest)
    seen = []
    kept = F.conv1d

    def record(
        x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *rest: Any
    ) -> torch.Tensor:
        seen.append((weight, bias))
        return kept(x, weight, bias, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "conv1d", record)
        simulated(CLIPS[:2])
    weight, bias = seen[0]
    assert small.norm.running_mean is not None
    assert small.norm.running_var is not None
    assert small.conv.bias is not None
    scale = small.norm.weight / torch.sqrt(small.norm.running_var + small.norm.eps)
    folded = small.conv.weight * scale[:, None, None]
    step = folded.abs().amax(dim=(1, 2)) / largest
    integers = weight / step[:, None, None]
    torch.testing.assert_close(integers, integers.round(), rtol=0, atol=1e-3)
    assert integers.abs().amax(dim=(1, 2)).round().tolist() == [largest] * 6
    assert ((weight - folded).abs() <= step[:, None, None] / 2 * 1.001).all()
    shift = small.norm.bias + (small.conv.bias - small.norm.running_mean) * scale
    torch.testing.assert_close(bias, shift)


def test_gradients_reach_every_weight_and_the_statistics_stay(small: Small) -> None:
    simulated = FakeQuantized(small, CLIPS).train()
    before = {name: buffer.clone() for name, buffer in small.named_buffers()}
    torch.autograd.backward(F.cross_entropy(simulated(CLIPS), torch.arange(130) % 3))
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    assert all(torch.equal(before[name], buffer) for name, buffer in small.named_buffers())
    assert simulated.graph.get_submodule("dropout").training


def test_ranges_follow_the_weights_and_are_not_part_of_the_state(small: Small) -> None:
    simulated = FakeQuantized(small, CLIPS)
    width = roundings(simulated)["rounding_clamp"].scale.item()
    assert simulated.state_dict().keys().isdisjoint({"clips", "graph.rounding_clamp.scale"})
    assert len(simulated.state_dict()) == len(small.state_dict())
    mean = copy.deepcopy(simulated)
    with torch.no_grad():
        small.norm.weight.mul_(0.5)
        small.norm.bias.mul_(0.5)
    assert roundings(simulated)["rounding_clamp"].scale.item() == width
    simulated.train()
    narrow = roundings(simulated)["rounding_clamp"].scale.item()
    assert narrow < 0.9 * width
    assert roundings(mean.eval())["rounding_clamp"].scale.item() == width
    mean.load_state_dict(simulated.state_dict())
    assert roundings(mean.eval())["rounding_clamp"].scale.item() == narrow


def test_nothing_that_vanishes_is_divided_by(small: Small) -> None:
    assert small.norm.running_mean is not None
    assert small.conv.bias is not None
    with torch.no_grad():
        small.conv.weight[0] = 0
        small.norm.bias[:] = small.norm.running_mean[:] = -1
        small.conv.bias[:] = -2
        small.norm.weight[:] = 0
    simulated = FakeQuantized(small, CLIPS)
    assert roundings(simulated)["rounding_clamp"].scale.item() == pytest.approx(1 / 255)
    assert simulated(CLIPS).isfinite().all()


def test_every_layer_of_every_backbone_is_rounded() -> None:
    seen = 0
    for kind in family.kinds("Backbone"):
        backbone = BACKBONE.validate_python({"kind": kind})
        torch.manual_seed(0)
        network = backbone.build(40, 5).eval()
        shape = (40, 97) if backbone.representation == "2d" else (1, 40, 97)
        clips = torch.randn(3, *shape)
        simulated = FakeQuantized(network, clips)
        layers = [m for m in network.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)]
        rounded = [m.layer for m in simulated.graph.modules() if isinstance(m, RoundedLayer)]
        assert set(map(id, layers)) == set(map(id, rounded)), kind
        with torch.no_grad():
            torch.testing.assert_close(simulated.unrounded(clips), network(clips))
        seen += 1
    assert seen >= 10


class Deciding(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if operator.gt(x.sum(), 0) else -x


def test_what_cannot_be_traced() -> None:
    with pytest.raises(UnsupportedError, match=r"Deciding: its graph cannot be traced .*without"):
        FakeQuantized(Deciding(), CLIPS)


def test_hooks_on_a_layer_are_called_with_what_it_is_given(small: Small) -> None:
    simulated = FakeQuantized(small, CLIPS)
    seen = []
    small.linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    simulated(CLIPS)
    assert [given.shape for given in seen] == [(130, 6)]
    torch.testing.assert_close(
        seen[0], roundings(simulated)["rounding_adaptive_avg_pool1d"](seen[0])
    )


def test_padding_that_is_not_zero() -> None:
    torch.manual_seed(0)
    conv = nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular")
    network = nn.Sequential(conv, nn.BatchNorm1d(4)).eval()
    torch.testing.assert_close(FakeQuantized(network, CLIPS).unrounded(CLIPS), network(CLIPS))
