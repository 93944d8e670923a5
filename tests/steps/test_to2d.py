from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from edgekws.core import family
from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Emit, Event, quiet
from edgekws.core.job import Job
from edgekws.errors import ParityError, RecipeError, UnsupportedError
from edgekws.lowering import checkpoint, parity, to2d
from edgekws.runtime.front_end import FrontEnd
from edgekws.steps.to2d import _better

TRAINING = {"epochs": 2, "batch_size": 32, "optimizer": {"lr": 0.01}, "keep": "last"}
STUDENT = {"kind": "inverted_bottleneck", "channels": 6, "blocks": 1, "head": 0}
SPANNING = {**STUDENT, "kind": "mel_spanning"}
PLAIN = {"kind": "plain", "variant": "microcnn", "representation": "3d"}


class Patterns:
    """96 clips, noisy patterns of three labels, 16 mels × 25 frames."""

    labels = ("a", "b", "_silence_")
    front_end = FrontEnd(window_s=0.272, n_mels=16)
    normalization = Normalization((0.0,) * 16, (1.0,) * 16)

    def examples(self, split: Split) -> Examples:
        rng = np.random.default_rng(0)
        targets = np.arange(96) % 3
        features = rng.normal(size=(3, 16, 25))[targets] + rng.normal(size=(96, 16, 25))
        return Examples(features.astype(np.float32), targets, np.array([""] * 96), ("",) * 96)

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
        return np.arange(96)[:n]

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        return ()


def artifact(
    folder: Path, architecture: dict[str, Any], data: Patterns | None = None, seed: int = 0
) -> Artifact:
    data = data or Patterns()
    three = architecture.get("representation") == "3d" or architecture["kind"] == "mel_spanning"
    shape = (1, 16, 25) if three else (16, 25)
    contract = Contract(data.front_end, data.normalization, data.labels, shape, architecture)
    torch.manual_seed(seed)
    network = checkpoint.build(contract)
    features = torch.from_numpy(data.examples("train").features)
    network(features.unsqueeze(1) if three else features)  # moves the running statistics
    path = folder / f"{architecture['kind']}-{seed}.safetensors"
    checkpoint.save(network, contract, path)
    return Artifact("checkpoint", path, sha256_file(path), contract)


def step(**fields: Any) -> Any:
    return family.load("Step", "to2d").model_validate({"kind": "to2d", **fields})


def job(folder: Path, emit: Emit = quiet) -> Job:
    return Job(Patterns(), 7, "cpu", 1, folder, emit)


def test_exact(tmp_path: Path) -> None:
    events: list[Event] = []
    given = artifact(tmp_path, SPANNING)
    exact = step()
    assert (exact.takes, exact.gives, exact.keeps) == ("checkpoint", "checkpoint", "exact")
    assert exact.named_inputs == ()
    output = exact.run({"input": given}, job(tmp_path / "w", events.append))
    network, contract = checkpoint.load(output.path)
    assert contract.input_shape == (16, 25)
    assert contract.architecture["kind"] == "inverted_bottleneck"
    features = Patterns().examples("dev").features
    before = parity.torch_logits(*_first(checkpoint.load(given.path), features))
    parity.check(before, parity.torch_logits(*_first((network, contract), features)), 1e-5)
    assert output.details["mode"] == "exact"
    assert output.details["max_abs_diff"] <= 1e-4
    assert [event.text[:12] for event in events] == ["to2d: exact,"]


def _first(
    loaded: tuple[nn.Module, Contract], features: np.ndarray
) -> tuple[nn.Module, np.ndarray, Contract]:
    network, contract = loaded
    return network, features, contract


def test_naming_the_twin_is_exact_too(tmp_path: Path) -> None:
    named = step(backbone=STUDENT, training=TRAINING)
    assert named.keeps == "retrained"
    output = named.run({"input": artifact(tmp_path, SPANNING)}, job(tmp_path / "w"))
    assert output.details["mode"] == "exact"
    assert "history" not in output.details


def test_a_wrong_exact_conversion_is_a_parity_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = to2d.exact

    def wrong(network: nn.Module, contract: Contract) -> tuple[Any, Contract]:
        result: Any
        result, new = honest(network, contract)
        with torch.no_grad():
            result.classifier.bias[1] += 0.01
        return result, new

    monkeypatch.setattr(to2d, "exact", wrong)
    with pytest.raises(ParityError, match=r"to2d: logits differ by 0\.01"):
        step().run({"input": artifact(tmp_path, SPANNING)}, job(tmp_path / "w"))
    assert not (tmp_path / "w" / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("architecture", "fields", "message"),
    [
        (PLAIN, {}, r"layer 0\.0 \(Conv2d\) leaves 16 of 16 bands.*name a 2-D backbone"),
        (STUDENT, {}, "inverted_bottleneck is already in the 2-D representation"),
        (STUDENT, {"backbone": STUDENT}, "inverted_bottleneck is already in the 2-D"),
    ],
)
def test_what_cannot_become_2d_is_refused(
    tmp_path: Path, architecture: dict[str, Any], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        step(**fields).run({"input": artifact(tmp_path, architecture)}, job(tmp_path / "w"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone": PLAIN}, "plain is in the 3-D representation; name a 2-D one, e.g. { kind ="),
        ({"training": TRAINING, "control": False}, "training, control has no effect without"),
        ({"backbone": {"kind": "plan"}}, "no backbone is called 'plan'; did you mean plain"),
    ],
)
def test_fields_that_make_no_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        step(**fields)


@pytest.mark.parametrize(
    "fields", [{}, {"backbone": STUDENT, "training": TRAINING, "teachers": ["a"]}]
)
def test_what_is_written_with_all_defaults_loads_again(fields: dict[str, Any]) -> None:
    table = step(**fields).model_dump(mode="json")
    assert table["control"] is True
    assert step(**{key: value for key, value in table.items() if value is not None}) == step(
        **fields
    )


def test_initialised_and_distilled_with_its_control(tmp_path: Path) -> None:
    inputs = {"input": artifact(tmp_path, PLAIN), "big": artifact(tmp_path, SPANNING)}
    learning = step(backbone=STUDENT, training=TRAINING, teachers=["big"])
    assert (learning.named_inputs, learning.keeps) == (("big",), "retrained")
    output = learning.run(inputs, job(tmp_path / "w"))
    network, contract = checkpoint.load(output.path)
    assert contract.representation == "2d"
    assert network(torch.zeros(2, 16, 25)).shape == (2, 3)
    details = output.details
    assert details["mode"] == "initialised"
    start = details["start"]
    assert start["initialised"]["correlation"] > start["random"]["correlation"] + 0.2
    assert start["initialised"]["label_agreement"] >= start["random"]["label_agreement"]
    assert {"stem.0", "classifier"} <= {row["layer"] for row in start["solved"]}
    for history in ("history", "control_history"):
        assert [row["epoch"] for row in details[history]["epochs"]] == [1, 2]
    assert details["history"] != details["control_history"]
    ends = {
        start: details[key]["epochs"][details[key]["kept_epoch"] - 1]["dev_balanced_accuracy"]
        for start, key in (("initialised", "history"), ("random", "control_history"))
    }
    assert ends[details["kept"]] == max(ends.values())


def test_a_killed_run_resumes_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    inputs = {"input": artifact(tmp_path, PLAIN)}
    learning = step(backbone=STUDENT, training=TRAINING)
    whole = learning.run(inputs, job(tmp_path / "whole"))
    epochs = []

    def kill(event: Event) -> None:
        if event.kind == "progress" and event.done == 3 * event.data["epoch"]:
            epochs.append(event.data["epoch"])
            if len(epochs) == 3:  # in the control, after its first epoch
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learning.run(inputs, job(tmp_path / "killed", kill))
    assert epochs == [1, 2, 1]
    again = learning.run(inputs, job(tmp_path / "killed"))
    assert again.path.read_bytes() == whole.path.read_bytes()
    for history in ("history", "control_history"):
        curves = [
            [
                {k: v for k, v in row.items() if k != "seconds"}
                for row in o.details[history]["epochs"]
            ]
            for o in (whole, again)
        ]
        assert curves[0] == curves[1]


def test_the_control_is_optional_and_no_teacher_is_used_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    given = artifact(tmp_path, PLAIN)

    def record(
        model: Any, training: Any, loss: Any, job: Job, teachers: Sequence[Any]
    ) -> dict[str, Any]:
        seen.append(len(teachers))
        model.network.eval()
        return {"epochs": []}

    monkeypatch.setattr("edgekws.training.fit.fit", record)
    learning = step(backbone=STUDENT, teachers=["same", "big", "big"], control=False)
    inputs = {"input": given, "same": given, "big": artifact(tmp_path, SPANNING)}
    output = learning.run(inputs, job(tmp_path / "w"))
    assert seen == [2]
    assert "control_history" not in output.details


def test_a_teacher_of_other_labels(tmp_path: Path) -> None:
    inputs = {"input": artifact(tmp_path, PLAIN)}
    big = artifact(tmp_path, SPANNING)
    inputs["big"] = replace(big, contract=replace(big.contract, labels=("x", "y", "z")))
    learning = step(backbone=STUDENT, training=TRAINING, teachers=["big"])
    with pytest.raises(RecipeError, match="big has the labels x, y, z"):
        learning.run(inputs, job(tmp_path / "w"))


@pytest.mark.parametrize(
    ("solved", "drawn", "kept"), [(0.5, 0.9, "random"), (0.9, 0.9, "initialised")]
)
def test_the_start_that_ends_better_on_dev_is_kept(
    tmp_path: Path, solved: float, drawn: float, kept: str
) -> None:
    events: list[Event] = []
    history, control = (
        {
            "epochs": [{"dev_balanced_accuracy": 0.0}, {"dev_balanced_accuracy": end}],
            "kept_epoch": 2,
        }
        for end in (solved, drawn)
    )
    assert _better(history, control, job(tmp_path, events.append)) == kept
    start = "to2d: the random start ends better on dev (90.0% balanced accuracy, 50.0% from the"
    texts = [event.text[: len(start)] for event in events]
    assert texts == ([start] if kept == "random" else [])
