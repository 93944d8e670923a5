"""Small networks of every structure that the quantizers must support, and their quantization."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import Quantizer
from edgekws.lowering.export import export_lowered
from edgekws.quantizers import neural_compressor, onnxruntime
from edgekws.quantizers.int8.mixed import QuantizedNetwork
from edgekws.runtime.front_end import FrontEnd

Features = NDArray[np.float32]
N_MELS, FRAMES, N_LABELS = 20, 48, 5
BACKENDS: dict[str, Quantizer] = {
    "neural_compressor": neural_compressor.Quantizer(kind="neural_compressor"),
    "onnxruntime": onnxruntime.Quantizer(kind="onnxruntime"),
}


class Bottleneck(nn.Module):
    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        wide = channels * 3
        self.body = nn.Sequential(
            nn.Conv1d(channels, wide, 1, bias=False),
            nn.BatchNorm1d(wide),
            nn.ReLU(),
            nn.Conv1d(wide, wide, 9, stride, padding=4, groups=wide, bias=False),
            nn.BatchNorm1d(wide),
            nn.ReLU(),
            nn.Conv1d(wide, channels, 1, bias=False),
            nn.BatchNorm1d(channels),
        )
        self.residual = stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(x)
        return torch.relu(x + y) if self.residual else y


def _head(n_in: int, length: int = 1) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool1d(length), nn.Flatten(), nn.Linear(n_in * length, N_LABELS)]


def bottleneck() -> nn.Module:
    stem = [nn.Conv1d(N_MELS, 12, 3, 2, padding=1, bias=False), nn.BatchNorm1d(12), nn.ReLU()]
    return nn.Sequential(*stem, Bottleneck(12, 2), Bottleneck(12), *_head(12))


def plain() -> nn.Module:
    return nn.Sequential(
        *[nn.Conv1d(N_MELS, 12, 3, padding=1), nn.BatchNorm1d(12), nn.ReLU(), nn.MaxPool1d(2)],
        *[nn.Conv1d(12, 16, 3, padding=1), nn.BatchNorm1d(16), nn.ReLU6(), nn.MaxPool1d(2)],
        *[*_head(16)[:2], nn.Linear(16, 12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, N_LABELS)],
    )


def selu() -> nn.Module:
    return nn.Sequential(
        *[nn.Conv1d(N_MELS, 16, 3, padding=1), nn.SELU(), nn.AvgPool1d(2)],
        *[nn.Conv1d(16, 12, 3, padding=1), nn.SELU(), nn.AvgPool1d(2)],
        *[nn.Conv1d(12, 9, 1), nn.SELU(), *_head(9, 2)],
    )


def relu_before_norm() -> nn.Module:
    return nn.Sequential(
        *[nn.Conv1d(N_MELS, 12, 3, 2, padding=1), nn.ReLU(), nn.BatchNorm1d(12), nn.MaxPool1d(2)],
        *[nn.Conv1d(12, 16, 3, padding=1), nn.ReLU(), nn.BatchNorm1d(16), *_head(16)],
    )


def spectrogram() -> nn.Module:
    """A 3-D network that ends in a convolution."""
    return nn.Sequential(
        *[nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.SiLU()],
        *[nn.Conv2d(8, N_LABELS, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    network.__name__: network
    for network in (bottleneck, plain, selu, relu_before_norm, spectrogram)
}


def input_shape(name: str) -> tuple[int, ...]:
    return (1, N_MELS, FRAMES) if name == "spectrogram" else (N_MELS, FRAMES)


def log_mel_like(shape: tuple[int, ...], n: int, seed: int) -> Features:
    """Return features with loudness that varies over time, a spectral tilt per clip, and noise."""
    generator = np.random.default_rng(seed)
    loudness = generator.normal(size=(n, *[1] * (len(shape) - 1), shape[-1])).cumsum(-1) * 0.15
    tilt = generator.normal(size=(n, *shape[:-1], 1))
    return (loudness + tilt + generator.normal(size=(n, *shape)) * 0.5).astype(np.float32)


def settle(network: nn.Module, features: Features) -> nn.Module:
    """Give the BatchNorms random scales and shifts and the statistics of `features`."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.from_numpy(features))
    return network.eval()


@dataclass(frozen=True)
class Case:
    """A network with its calibration clips, unseen clips and the FP32 logits of those."""

    name: str
    network: nn.Module
    clips: Features
    unseen: Features
    logits: Features

    def source(self, backend: str) -> nn.Module | onnx.ModelProto:
        """Return the backend's input."""
        return self.network if BACKENDS[backend].takes == "checkpoint" else self.lowered

    @cached_property
    def lowered(self) -> onnx.ModelProto:
        normalization = Normalization((0.0,) * N_MELS, (1.0,) * N_MELS)
        labels = tuple(f"word {i}" for i in range(N_LABELS))
        shape = input_shape(self.name)
        contract = Contract(FrontEnd(n_mels=N_MELS), normalization, labels, shape, {})
        return export_lowered(self.network, contract)


def case(name: str, network: nn.Module | None = None) -> Case:
    torch.manual_seed(5)
    shape = input_shape(name)
    network = settle(network or NETWORKS[name](), log_mel_like(shape, 64, seed=0))
    unseen = log_mel_like(shape, 100, seed=2)
    with torch.no_grad():
        logits = network(torch.from_numpy(unseen)).numpy()
    return Case(name, network, log_mel_like(shape, 48, seed=1), unseen, logits)


@cache
def settled_case(name: str) -> Case:
    return case(name)


@cache
def network_in_minmax(backend: str, name: str) -> tuple[Case, QuantizedNetwork]:
    """Return case and network with the default calibration; cached, because it takes seconds."""
    settled = settled_case(name)
    return settled, BACKENDS[backend].quantized(settled.source(backend), settled.clips, "minmax")


def in_minmax(backend: str, name: str) -> tuple[Case, onnx.ModelProto]:
    settled, network = network_in_minmax(backend, name)
    return settled, network.model()


@pytest.fixture(params=[(b, n) for b in BACKENDS for n in NETWORKS], ids="-".join)
def quantized(request: pytest.FixtureRequest) -> tuple[str, Case, onnx.ModelProto]:
    """Backend, network and quantized model."""
    backend, name = request.param
    return backend, *in_minmax(backend, name)


@pytest.fixture(params=[(b, n) for b in BACKENDS for n in NETWORKS], ids="-".join)
def quantized_network(request: pytest.FixtureRequest) -> tuple[Case, QuantizedNetwork]:
    """A network with layers that can be returned to FP32."""
    return network_in_minmax(*request.param)


@pytest.fixture
def network_of() -> Callable[[str, str], tuple[Case, QuantizedNetwork]]:
    return network_in_minmax


@pytest.fixture
def in_minmax_of() -> Callable[[str, str], tuple[Case, onnx.ModelProto]]:
    return in_minmax


@pytest.fixture
def spectrogram_in_minmax(backend: str) -> tuple[Case, onnx.ModelProto]:
    """The smallest network and its quantized model."""
    return in_minmax(backend, "spectrogram")


@pytest.fixture
def known_case() -> Callable[[str], Case]:
    return settled_case


@pytest.fixture
def case_of() -> Callable[..., Case]:
    return case


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name
