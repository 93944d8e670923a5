from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import quiet
from edgekws.core.job import Job
from edgekws.core.protocols import STEP, Step
from edgekws.errors import DataError, RecipeError
from edgekws.lowering import checkpoint
from edgekws.runtime.front_end import FrontEnd

N = 96
STUDENT = {"kind": "inverted_bottleneck", "channels": 8}
CONTRACT = Contract(
    FrontEnd(window_s=0.272),
    Normalization((0.0,) * 40, (1.0,) * 40),
    ("a", "b", "_silence_"),
    (1, 40, 25),
    {"kind": "resnet18", "width": 0.0625},
)


class Noise:
    """Clips of noise of three labels, 40 mels × 25 frames."""

    labels, front_end, normalization = CONTRACT.labels, CONTRACT.front_end, CONTRACT.normalization

    def examples(self, split: Split) -> Examples:
        features = np.random.default_rng(0).normal(size=(N, 40, 25)).astype(np.float32)
        return Examples(features, np.arange(N) % 3, np.array([""] * N), ("",) * N)

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


def step_of(**fields: Any) -> Step:
    training = {"epochs": 2, "batch_size": 32, "optimizer": {"lr": 0.01}}
    table = {"kind": "distill", "backbone": STUDENT, "training": training, **fields}
    step: Step = STEP.validate_python(table)
    return step


def teacher(folder: Path, contract: Contract = CONTRACT, always: int | None = None) -> Artifact:
    """Write an untrained teacher; with `always`, one that always predicts that label."""
    torch.manual_seed(1)
    network = checkpoint.build(contract)
    if always is not None:
        classifier = list(network.modules())[-1]
        assert isinstance(classifier, torch.nn.Linear)
        torch.nn.init.zeros_(classifier.weight)
        with torch.no_grad():
            classifier.bias.copy_(30.0 * torch.eye(len(contract.labels))[always])
    path = folder / f"teacher-{always}.safetensors"
    checkpoint.save(network, contract, path)
    return Artifact("checkpoint", path, sha256_file(path), contract)


def test_what_it_takes_and_gives() -> None:
    step = step_of(teachers=["big", "wide"])
    assert (step.takes, step.gives, step.keeps) == (None, "checkpoint", "retrained")
    assert step.named_inputs == ("big", "wide")


def test_a_student_needs_a_teacher() -> None:
    with pytest.raises(ValidationError) as caught:
        step_of(teachers=[])
    (inside,) = caught.value.errors()[0]["ctx"]["errors"]
    assert (inside["loc"], inside["type"]) == (("teachers",), "too_short")


def test_the_student_learns_its_teachers_predictions(tmp_path: Path) -> None:
    """Two 3-D teachers that always predict one label each: the 2-D student learns half of each."""
    inputs = {"one": teacher(tmp_path, always=0), "two": teacher(tmp_path, always=2)}
    loss = {"ce_weight": 0, "kl_weight": 1, "temperature": 1}
    training = {"epochs": 12, "batch_size": 32, "optimizer": {"lr": 0.02}, "keep": "last"}
    step = step_of(teachers=["one", "two"], loss=loss, training=training)
    output = step.run(inputs, Job(Noise(), 7, "cpu", 1, tmp_path / "work", quiet))
    assert len(output.details["history"]["epochs"]) == 12
    network, contract = checkpoint.load(output.path)
    assert contract.input_shape == (40, 25)
    assert contract.architecture.items() >= STUDENT.items()
    with torch.no_grad():
        posteriors = network(torch.from_numpy(Noise().examples("dev").features)).softmax(dim=1)
    mean = posteriors.mean(dim=0)
    torch.testing.assert_close(mean, torch.tensor([0.5, 0.0, 0.5]), atol=0.1, rtol=0)


def test_features_of_teachers_of_any_form_can_be_matched(tmp_path: Path) -> None:
    flat = other(input_shape=(40, 25), architecture={"kind": "inverted_bottleneck", "channels": 12})
    inputs = {"one": teacher(tmp_path), "two": teacher(tmp_path, flat, always=1)}
    files = []
    for weight in (0.0, 1.0):
        step = step_of(teachers=["one", "two"], loss={"feature_weight": weight})
        job = Job(Noise(), 7, "cpu", 1, tmp_path / f"{weight}", quiet)
        files.append(step.run(inputs, job).path)
    states = [checkpoint.load(path)[0].state_dict() for path in files]
    assert states[0].keys() == states[1].keys()
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])


def other(**fields: Any) -> Contract:
    return replace(CONTRACT, **fields)


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (
            other(labels=("a", "c", "_silence_")),
            "teachers: bad has the labels a, c, _silence_, the student "
            "a, b, _silence_; train the teacher on the same dataset",
        ),
        (
            other(front_end=FrontEnd(window_s=0.272, f_max=4000.0)),
            "teachers: bad was trained with a different front end or normalization than the "
            "student; "
            "train the teacher with the same dataset and front end",
        ),
        (
            other(normalization=Normalization((0.5,) * 40, (1.0,) * 40)),
            "teachers: bad was trained with a different front end or normalization than the "
            "student; "
            "train the teacher with the same dataset and front end",
        ),
    ],
)
def test_teachers_that_cannot_teach_this_student(
    tmp_path: Path, contract: Contract, message: str
) -> None:
    inputs: Mapping[str, Artifact] = {"good": teacher(tmp_path), "bad": teacher(tmp_path, contract)}
    job = Job(Noise(), 7, "cpu", 1, tmp_path / "work", quiet)
    with pytest.raises(RecipeError) as caught:
        step_of(teachers=["good", "bad"]).run(inputs, job)
    assert str(caught.value) == message


def test_unlabelled_recordings_are_part_of_the_identity(tmp_path: Path) -> None:
    step = step_of(teachers=["one"], unlabelled=[tmp_path])
    with pytest.raises(DataError, match=r"holds no recordings \(unlabelled\)"):
        step.fingerprint()
    (tmp_path / "a.wav").write_bytes(b"a")
    first = step.fingerprint()
    assert first == step.fingerprint() != step_of(teachers=["one"]).fingerprint() == ""
    (tmp_path / "b.flac").write_bytes(b"b")
    assert step.fingerprint() != first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unlabelled_weight": 1.0}, "unlabelled_weight has no effect without unlabelled"),
        (
            {"unlabelled": ["speech"], "loss": {"feature_weight": 1.0}},
            "loss.feature_weight has no effect on unlabelled recordings",
        ),
    ],
)
def test_fields_without_effect_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        step_of(teachers=["one"], **fields)
    (inside,) = caught.value.errors()[0]["ctx"]["errors"]
    assert message in inside["msg"]
