import re
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
from edgekws.core.protocols import QUANTIZER
from edgekws.errors import RecipeError
from edgekws.lowering import checkpoint, parity
from edgekws.lowering.export import export_lowered
from edgekws.runtime.front_end import FrontEnd
from edgekws.training.model import Model
from edgekws.training.options import AdamW, CrossEntropyLoss, FocalLoss, Training

STUDENT = {"kind": "inverted_bottleneck", "channels": 6, "blocks": 1, "head": 0}
SPANNING = {**STUDENT, "kind": "mel_spanning"}
TRAINING = {"epochs": 3, "batch_size": 32}


class Patterns:
    """Noisy patterns of three labels, 16 mels × 25 frames: 240 clips to train on, 180 for dev."""

    labels = ("a", "b", "_silence_")
    front_end = FrontEnd(window_s=0.272, n_mels=16)
    normalization = Normalization((0.0,) * 16, (1.0,) * 16)

    def examples(self, split: Split) -> Examples:
        patterns = np.random.default_rng(0).normal(size=(3, 16, 25))
        rng = np.random.default_rng(1 + (split == "dev"))
        n = 180 if split == "dev" else 240
        targets = np.arange(n) % 3
        features = patterns[targets] + 2.0 * rng.normal(size=(n, 16, 25))
        return Examples(features.astype(np.float32), targets, np.array([""] * n), ("",) * n)

    def augmented(self, epoch: int) -> NDArray[np.float16]:
        return self.examples("train").features.astype(np.float16)

    def mask(
        self, features: NDArray[np.float32], clips: NDArray[np.int64], epoch: int, *width: float
    ) -> NDArray[np.float32]:
        return features

    def calibration(self, n: int) -> NDArray[np.int64]:
        return np.arange(240)[:n]

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        return ()


def job(folder: Path, emit: Emit = quiet) -> Job:
    return Job(Patterns(), 7, "cpu", 1, folder, emit)


def step(**fields: Any) -> Any:
    return family.load("Step", "finetune_int8").model_validate({"kind": "finetune_int8", **fields})


def trained(architecture: dict[str, Any]) -> tuple[nn.Module, Contract]:
    """Return a network that has learnt the patterns, and its contract."""
    data = Patterns()
    shape = (1, 16, 25) if architecture["kind"] == "mel_spanning" else (16, 25)
    contract = Contract(data.front_end, data.normalization, data.labels, shape, architecture)
    torch.manual_seed(0)
    network = checkpoint.build(contract).train()
    clips = data.examples("train")
    features, targets = torch.from_numpy(clips.features), torch.from_numpy(clips.targets)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(60):
        logits = Model.of(network, contract).logits(features)
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.cross_entropy(logits, targets))
        optimizer.step()
    return network.eval(), contract


def spoil(network: Any, factor: float = 300.0) -> None:
    """Make hidden channels small, and what reads them large: the same, but not in INT8."""
    body = network.blocks[0].body
    with torch.no_grad():
        for parameter in (body[4].weight, body[4].bias):
            parameter[::3] /= factor
        body[6].weight[:, ::3] *= factor


def artifact(folder: Path, network: nn.Module, contract: Contract, name: str = "input") -> Artifact:
    path = folder / f"{name}.safetensors"
    checkpoint.save(network, contract, path)
    return Artifact("checkpoint", path, sha256_file(path), contract)


@pytest.fixture(scope="module")
def learnt() -> tuple[nn.Module, Contract]:
    return trained(STUDENT)


@pytest.fixture
def spoilt(learnt: tuple[nn.Module, Contract], tmp_path: Path) -> Artifact:
    """An artifact of a network that loses accuracy in INT8: a few channels dominate."""
    network, contract = learnt
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    spoil(network)
    spoilt_artifact = artifact(tmp_path, network, contract)
    network.load_state_dict(kept)
    return spoilt_artifact


def accuracy(logits: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == Patterns().examples("dev").targets).mean())


def in_int8(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits on dev that onnxruntime's quantizer gives the checkpoint, and FP32's."""
    network, contract = checkpoint.load(path)
    floats = export_lowered(network, contract)
    backend = QUANTIZER.validate_python({"kind": "onnxruntime"})
    model = backend.quantize(floats, Patterns().examples("train").features, "minmax")
    features = Patterns().examples("dev").features
    return parity.logits(model, features), parity.logits(floats, features)


def test_wins_back_what_quantization_loses(spoilt: Artifact, tmp_path: Path) -> None:
    fine_tuning = step(training={"epochs": 10, "batch_size": 32, "optimizer": {"lr": 3e-3}})
    assert (fine_tuning.takes, fine_tuning.gives) == ("checkpoint", "checkpoint")
    assert (fine_tuning.keeps, fine_tuning.named_inputs) == ("retrained", ())
    output = fine_tuning.run({"input": spoilt}, job(tmp_path / "w"))
    details = output.details
    rounded, floats = in_int8(spoilt.path)
    assert accuracy(rounded) < accuracy(floats) - 0.2
    assert details["fp32"]["before"]["accuracy"] == pytest.approx(accuracy(floats), abs=1e-6)
    assert details["int8"]["before"]["accuracy"] == pytest.approx(accuracy(rounded), abs=0.03)
    after, _ = in_int8(output.path)
    assert details["int8"]["after"]["accuracy"] == pytest.approx(accuracy(after), abs=0.03)
    assert accuracy(after) > accuracy(floats) - 0.05
    history = details["history"]
    row = history["epochs"][history["kept_epoch"] - 1]
    for name in ("balanced_accuracy", "macro_recall"):
        assert details["int8"]["after"][name] == row[f"dev_{name}"]
    assert details["kept"] == "fine-tuned"


def test_what_comes_out_is_the_same_architecture_with_its_statistics(
    spoilt: Artifact, tmp_path: Path
) -> None:
    output = step(training=TRAINING).run({"input": spoilt}, job(tmp_path / "w"))
    (before, contract), (after, same) = (checkpoint.load(p) for p in (spoilt.path, output.path))
    assert same == contract
    changed = {
        name
        for name, tensor in after.state_dict().items()
        if not torch.equal(tensor, before.state_dict()[name])
    }
    assert changed == {name for name, _ in before.named_parameters()}


def test_the_start_is_kept_where_no_epoch_is_better(
    learnt: tuple[nn.Module, Contract], tmp_path: Path
) -> None:
    events: list[Event] = []
    given = artifact(tmp_path, *learnt)
    wild = step(training={"epochs": 1, "batch_size": 32, "optimizer": {"kind": "sgd", "lr": 3.0}})
    output = wild.run({"input": given}, job(tmp_path / "w", events.append))
    assert output.details["kept"] == "start"
    assert output.path.read_bytes() == given.path.read_bytes()
    warnings = [event.text for event in events if event.kind == "warning"]
    assert len(warnings) == 1
    assert re.search(
        r"finetune_int8: in simulated INT8 the input network is better on dev \(.*% "
        r"balanced accuracy, loss .*\) than after training \(.*\) and is kept",
        warnings[0],
    )


def test_from_teachers_in_3d_and_with_a_running_mean(
    learnt: tuple[nn.Module, Contract], tmp_path: Path
) -> None:
    inputs = {"input": artifact(tmp_path, *trained(SPANNING))}
    inputs["small"] = artifact(tmp_path, *learnt, "small")
    learning = step(
        teachers=["small"], training={**TRAINING, "ema": 0.9}, loss={"feature_weight": 0.1}
    )
    assert learning.named_inputs == ("small",)
    output = learning.run(inputs, job(tmp_path / "w"))
    network, contract = checkpoint.load(output.path)
    assert contract == inputs["input"].contract
    assert network(torch.zeros(2, 1, 16, 25)).shape == (2, 3)
    assert len(output.details["history"]["epochs"]) == 3
    assert output.kinds == {"history": "history"}


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_killed_run_resumes_and_ends_with_the_same_bytes(
    spoilt: Artifact, tmp_path: Path, ema: float
) -> None:
    learning = step(training={**TRAINING, "ema": ema})
    whole = learning.run({"input": spoilt}, job(tmp_path / "whole"))

    def kill(event: Event) -> None:
        if event.kind == "progress" and event.data.get("epoch") == 2 and event.done == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learning.run({"input": spoilt}, job(tmp_path / "killed", kill))
    again = learning.run({"input": spoilt}, job(tmp_path / "killed"))
    assert again.path.read_bytes() == whole.path.read_bytes()
    assert again.details["int8"] == whole.details["int8"]


def test_a_teacher_of_other_labels(spoilt: Artifact, tmp_path: Path) -> None:
    other = replace(spoilt, contract=replace(spoilt.contract, labels=("x", "y", "z")))
    with pytest.raises(RecipeError, match="big has the labels x, y, z"):
        step(teachers=["big"]).run({"input": spoilt, "big": other}, job(tmp_path / "w"))


@pytest.mark.parametrize(
    ("table", "epochs", "lr"),
    [
        ({}, 10, 3e-4),
        ({"epochs": 4}, 4, 3e-4),
        ({"optimizer": {"weight_decay": 0.0}}, 10, 3e-4),
        ({"optimizer": {"kind": "sgd"}}, 10, 1e-2),
        ({"optimizer": {"kind": "adamw", "lr": 1e-3}, "epochs": 2}, 2, 1e-3),
    ],
)
def test_trains_gently_where_the_recipe_says_nothing(
    table: dict[str, Any], epochs: int, lr: float
) -> None:
    training = step(training=table).training
    assert (training.epochs, training.optimizer.lr) == (epochs, lr)
    assert step() == step(training={})
    assert step(training=Training(epochs=4, optimizer=AdamW(lr=1.0))).training.optimizer.lr == 1


def test_what_is_written_with_all_defaults_loads_again() -> None:
    for fields in ({}, {"teachers": ["a"], "loss": {"kl_weight": 0.5}}):
        table = step(**fields).model_dump(mode="json")
        assert step(**{k: v for k, v in table.items() if v is not None}) == step(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": {"kl_weight": 0.5}}, r"loss\.kl_weight has no effect without teachers; name"),
        (
            {"loss": {"temperature": 2.0, "ce_weight": 1.0}},
            r"loss\.ce_weight, loss\.temperature has no effect without teachers",
        ),
        ({"training": {"optimizer": {"kind": "adamv"}}}, "no optimizer is called 'adamv'"),
        ({"training": 3}, "valid dictionary or instance of Training"),
    ],
)
def test_fields_that_make_no_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        step(**fields)


def test_the_labels_alone_by_either_loss() -> None:
    plain = step(loss={"label_smoothing": 0.2}).minimised
    assert plain == CrossEntropyLoss(label_smoothing=0.2)
    assert step(loss={"focal_gamma": 1.0}).minimised == FocalLoss(gamma=1.0)
    assert step(teachers=["a"]).minimised == step().loss


@pytest.mark.parametrize(
    ("isa", "fields", "reduced"),
    [
        ({"x86_64", "avx2"}, {}, True),
        ({"x86_64", "avx512_vnni"}, {}, False),
        ({"x86_64", "avx2"}, {"reduce_range": False}, False),
    ],
)
def test_the_target_decides_the_range_of_the_weights(
    isa: set[str],
    fields: dict[str, bool],
    reduced: bool,
    learnt: tuple[nn.Module, Contract],
    tmp_path: Path,
) -> None:
    resolved = step(**fields).resolved(frozenset(isa))
    assert resolved.reduce_range is reduced
    network, contract = learnt
    simulated = resolved._fake_quantized(network, contract, job(tmp_path))
    assert simulated.graph.layer_stem_0.largest == (63 if reduced else 127)
