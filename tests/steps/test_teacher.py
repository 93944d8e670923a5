from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgekws.core.contract import Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import quiet
from edgekws.core.job import Job
from edgekws.core.protocols import STEP, Step
from edgekws.lowering import checkpoint
from edgekws.runtime.front_end import FrontEnd

BACKBONES = {
    "2d": {"kind": "inverted_bottleneck", "channels": 8},
    "3d": {"kind": "resnet18", "width": 0.0625},
}
TRAINING = {"epochs": 1, "batch_size": 32, "optimizer": {"lr": 0.01}}


class Noise:
    """96 clips of noise of three labels, 40 mels × 25 frames."""

    labels = ("a", "b", "_silence_")
    front_end = FrontEnd(window_s=0.272)
    normalization = Normalization((0.0,) * 40, (1.0,) * 40)

    def examples(self, split: Split) -> Examples:
        rng = np.random.default_rng(0)
        features = rng.normal(size=(96, 40, self.front_end.n_frames)).astype(np.float32)
        return Examples(features, np.arange(96) % 3, np.array([""] * 96), ("",) * 96)

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        return self.examples("train").features.astype(np.float16)

    def mask(
        self,
        features: NDArray[np.float32],
        clips: NDArray[np.int64],
        epoch: int,
        strength: float = 1.0,
    ) -> NDArray[np.float32]:
        return features

    def calibration(self, n: int) -> NDArray[np.int64]:
        return np.arange(n)

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        return ()


def step_of(backbone: str, **fields: Any) -> Step:
    table = {"kind": "teacher", "backbone": BACKBONES[backbone], "training": TRAINING, **fields}
    step: Step = STEP.validate_python(table)
    return step


@pytest.mark.parametrize("representation", ["2d", "3d"])
def test_it_writes_a_checkpoint_with_its_contract(tmp_path: Path, representation: str) -> None:
    job = Job(Noise(), 7, "cpu", 1, tmp_path, quiet)
    step = step_of(representation)
    assert (step.takes, step.gives, step.named_inputs, step.keeps) == (
        None,
        "checkpoint",
        (),
        "retrained",
    )
    output = step.run({}, job)
    assert output.path == tmp_path / "checkpoint.safetensors"
    assert [row["epoch"] for row in output.details["history"]["epochs"]] == [1]
    network, contract = checkpoint.load(output.path)
    assert contract.representation == representation
    assert contract.labels == Noise.labels
    assert contract.front_end == Noise.front_end
    assert contract.normalization == Noise.normalization
    assert contract.architecture.items() >= BACKBONES[representation].items()
    assert network(torch.zeros(2, *contract.input_shape)).shape == (2, 3)


def test_the_loss_is_the_one_of_the_recipe(tmp_path: Path) -> None:
    files = []
    for folder, loss in (
        ("default", {}),
        ("named", {"kind": "cross_entropy", "label_smoothing": 0.1}),
        ("focal", {"kind": "focal", "gamma": 2}),
    ):
        job = Job(Noise(), 7, "cpu", 1, tmp_path / folder, quiet)
        files.append(step_of("2d", loss=loss).run({}, job).path.read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_the_seed_decides_the_bytes(tmp_path: Path) -> None:
    files = []
    for folder, seed in (("a", 7), ("b", 7), ("c", 8)):
        torch.rand(3)  # draws elsewhere change nothing
        job = Job(Noise(), seed, "cpu", 1, tmp_path / folder, quiet)
        files.append(step_of("2d").run({}, job).path.read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]
