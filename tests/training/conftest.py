"""A small dataset of noisy patterns, one per label, and networks that learn it in seconds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgekws.core.contract import Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Emit, quiet
from edgekws.core.job import Data, Job
from edgekws.runtime.front_end import FrontEnd

N_MELS, N_LABELS = 8, 4
FRONT_END = FrontEnd(window_s=0.192, n_mels=N_MELS)  # 17 frames


class Patterns:
    """The data of a job: `clips` noisy patterns for training, 80 for dev."""

    labels = ("да", "нет", "go", "_unknown_")
    front_end = FRONT_END
    normalization = Normalization((0.0,) * N_MELS, (1.0,) * N_MELS)

    def __init__(self, clips: int = 241, dev: int = 80) -> None:
        rng = np.random.default_rng(0)
        patterns = rng.normal(size=(N_LABELS, N_MELS, FRONT_END.n_frames))
        self.splits = {}
        for split, n in (("train", clips), ("dev", dev)):
            targets = rng.integers(N_LABELS, size=n)
            features = patterns[targets] + rng.normal(size=(n, N_MELS, FRONT_END.n_frames))
            self.splits[split] = Examples(
                features.astype(np.float32), targets, np.array([""] * n), ("",) * n
            )

    def examples(self, split: Split) -> Examples:
        return self.splits[split]

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        clean = self.splits["train"].features
        noise = np.random.default_rng((1, epoch)).normal(size=clean.shape)
        return (clean + 0.3 * noise).astype(np.float16)

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        for row, clip in zip(features, clips, strict=True):
            start = np.random.default_rng((2, epoch, int(clip))).integers(FRONT_END.n_frames)
            row[:, start : start + round(2 * strength)] = 0
        return features

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        return ()

    def calibration(self, n: int) -> NDArray[np.int64]:
        return np.arange(n)


@pytest.fixture
def patterns() -> Patterns:
    return Patterns()


@pytest.fixture
def job_in(patterns: Patterns) -> Callable[..., Job]:
    """Make a job whose work folder is `folder`."""

    def make(folder: Path, emit: Emit = quiet, device: str = "cpu", data: Data = patterns) -> Job:
        return Job(data, 7, device, 1, folder, emit)

    return make


@pytest.fixture
def network_2d() -> Callable[[], nn.Module]:
    """Build a 2-D network, the same weights every time."""

    def build() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv1d(N_MELS, 12, 3, padding=1, bias=False),
            nn.BatchNorm1d(12),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.Linear(12 * FRONT_END.n_frames, N_LABELS),
        )

    return build


@pytest.fixture
def network_3d() -> Callable[[], nn.Module]:
    """Build a 3-D network, the same weights every time."""

    def build() -> nn.Module:
        torch.manual_seed(4)
        return nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 6, (N_MELS, 3), padding=(0, 1)),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Flatten(),
            nn.Linear(6 * FRONT_END.n_frames, N_LABELS),
        )

    return build
