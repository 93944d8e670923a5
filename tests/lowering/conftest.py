"""Small networks of every structure that the lowering must support."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgekws.core.contract import Contract, Normalization
from edgekws.runtime.front_end import FrontEnd

N_MELS, FRAMES, N_LABELS = 12, 41, 5
NetworkOf = Callable[[str], nn.Module]


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.body(x)
        return y


def _head(n_in: int, length: int = 1) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool1d(length), nn.Flatten(), nn.Linear(n_in * length, N_LABELS)]


def _plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(N_MELS, 8, 3, padding=1),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(8, 10, 5, stride=2, padding="valid", dilation=2, bias=False),
        nn.BatchNorm1d(10),
        nn.SELU(),
        nn.AvgPool1d(2, ceil_mode=True),
        nn.Dropout(0.3),
        *_head(10),
    )


def _inverted() -> nn.Module:
    body = [
        nn.Conv1d(8, 16, 1, bias=False),
        nn.BatchNorm1d(16),
        nn.Hardswish(),
        nn.Conv1d(16, 16, 9, padding=4, groups=16, bias=False),
        nn.BatchNorm1d(16),
        nn.ReLU6(),
        nn.Conv1d(16, 8, 1, bias=False),
        nn.BatchNorm1d(8),
    ]
    stem = [nn.Conv1d(N_MELS, 8, 3, stride=2, padding=1), nn.PReLU(8), nn.Dropout1d(0.1)]
    return nn.Sequential(*stem, Residual(nn.Sequential(*body)), *_head(8))


def _relu_first() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(N_MELS, 8, 3),
        nn.ReLU(),
        nn.BatchNorm1d(8),
        nn.AvgPool1d(2),
        nn.Conv1d(8, 12, 3, groups=4),
        nn.ReLU(),
        nn.BatchNorm1d(12),
        *_head(12, 2),
    )


def _relu_first_padded() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(N_MELS, 8, 3),
        nn.ReLU(),
        nn.BatchNorm1d(8),
        nn.Conv1d(8, 6, 3, padding=1),
        *_head(6),
    )


def _over_both_axes() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        Residual(nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6))),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, N_LABELS),
    )


NETWORKS = {
    "plain": _plain,
    "inverted": _inverted,
    "relu_first": _relu_first,
    "relu_first_padded": _relu_first_padded,
    "3d": _over_both_axes,
}


@pytest.fixture
def network_of() -> NetworkOf:
    """Return a network by name, with random weights and BatchNorm statistics."""

    def make(name: str) -> nn.Module:
        torch.manual_seed(3)
        network = NETWORKS[name]()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.5)
                nn.init.normal_(module.bias)
                assert module.running_mean is not None
                assert module.running_var is not None
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
        return network.eval()

    return make


@pytest.fixture
def contract_of() -> Callable[[str], Contract]:
    """Return the contract of a network of `network_of`."""

    def make(name: str) -> Contract:
        shape = (1, N_MELS, FRAMES) if name == "3d" else (N_MELS, FRAMES)
        return Contract(
            FrontEnd(n_mels=N_MELS),
            Normalization((0.0,) * N_MELS, (1.0,) * N_MELS),
            ("yes", "no", "نعم", "stop", "_unknown_"),
            shape,
            {"kind": name},
        )

    return make


@pytest.fixture
def features() -> NDArray[np.float32]:
    """Features `(7, n_mels, T)`."""
    return np.random.default_rng(0).standard_normal((7, N_MELS, FRAMES)).astype(np.float32)
