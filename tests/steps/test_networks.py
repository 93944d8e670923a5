"""What a step saves of a network that was trained with several branches."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgekws.backbones.blocks.branches import Branches
from edgekws.core import family
from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples, Split
from edgekws.core.events import Event, quiet
from edgekws.core.job import Job
from edgekws.engine import untrained
from edgekws.errors import ParityError
from edgekws.lowering import checkpoint, parity
from edgekws.runtime.front_end import FrontEnd
from edgekws.steps import _networks

STUDENT = {"kind": "tenet", "channels": 6, "stages": 2, "blocks": 1, "kernels": [3, 5]}
TRAINING = {"epochs": 1, "batch_size": 32, "optimizer": {"lr": 0.01}}


class Noise:
    """96 clips of noise of three labels, 16 mels × 25 frames."""

    labels = ("a", "b", "_silence_")
    front_end = FrontEnd(window_s=0.272, n_mels=16)
    normalization = Normalization((0.0,) * 16, (1.0,) * 16)

    def examples(self, split: Split) -> Examples:
        features = np.random.default_rng(0).normal(size=(96, 16, 25)).astype(np.float32)
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
        return np.arange(96)[:n]

    def negatives(self) -> tuple[NDArray[np.float32], ...]:
        return ()


def contract_of(architecture: dict[str, Any], shape: tuple[int, ...] = (16, 25)) -> Contract:
    return Contract(Noise.front_end, Noise.normalization, Noise.labels, shape, architecture)


def artifact(folder: Path) -> Artifact:
    """Write an untrained 3-D network."""
    table = {"kind": "plain", "variant": "microcnn", "representation": "3d"}
    contract, path = contract_of(table, (1, 16, 25)), folder / "three-d.safetensors"
    torch.manual_seed(1)
    checkpoint.save(checkpoint.build(contract), contract, path)
    return Artifact("checkpoint", path, sha256_file(path), contract)


def step_of(kind: str, **fields: Any) -> Any:
    table = {"kind": kind, "backbone": STUDENT, "training": TRAINING, **fields}
    return family.load("Step", kind).model_validate(table)


@pytest.mark.parametrize("kind", ["teacher", "distill", "to2d"])
def test_a_checkpoint_holds_the_folded_network(tmp_path: Path, kind: str) -> None:
    events: list[Event] = []
    job = Job(Noise(), 7, "cpu", 1, tmp_path / "work", events.append)
    given = artifact(tmp_path)
    inputs: Mapping[str, Artifact] = {"input": given, "big": given}
    step = step_of(kind, **({"teachers": ["big"]} if kind == "distill" else {}))
    output = step.run(inputs, job)
    network, contract = checkpoint.load(output.path)
    assert contract.architecture["kernels"] == [5]
    branches = [m for m in network.modules() if isinstance(m, Branches)]
    assert [len(m.branches) for m in branches] == [1, 1]
    assert 0 <= output.details["folded_max_abs_diff"] <= 1e-4
    assert [e.text[:31] for e in events if e.kind == "note"] == ["branches folded into one, max |"]


def test_it_computes_what_was_trained(tmp_path: Path) -> None:
    contract = contract_of(STUDENT)
    network = checkpoint.build(contract)
    features = Noise().examples("dev").features
    network(torch.from_numpy(features))  # moves the running statistics
    job = Job(Noise(), 7, "cpu", 1, tmp_path, quiet)
    output = _networks.save_trained(network.eval(), contract, {"history": {}}, job)
    assert output.details.keys() == {"history", "folded_max_abs_diff"}
    assert output.kinds == {"history": "history"}
    loaded, new = checkpoint.load(output.path)
    before = parity.torch_logits(network, features, contract)
    assert np.abs(before).max() > 0.1
    parity.check(before, parity.torch_logits(loaded, features, new), 1e-5)


def test_a_fold_that_is_not_exact_is_a_parity_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Branches.folded

    def wrong(self: Branches) -> Branches:
        folded = honest(self)
        norm = folded.get_submodule("branches.0.1")
        assert isinstance(norm, torch.nn.BatchNorm1d)
        torch.nn.init.ones_(norm.bias)
        return folded

    monkeypatch.setattr(Branches, "folded", wrong)
    contract = contract_of(STUDENT)
    job = Job(Noise(), 7, "cpu", 1, tmp_path, quiet)
    with pytest.raises(ParityError, match=r"folding: logits differ by"):
        _networks.save_trained(checkpoint.build(contract).eval(), contract, {}, job)
    assert not list(tmp_path.iterdir())


def test_a_plan_counts_the_folded_network() -> None:
    dataset = SimpleNamespace(labels=lambda: Noise.labels)
    front_end = SimpleNamespace(front_end=lambda: Noise.front_end)
    recipe: Any = SimpleNamespace(seed=7, dataset=dataset, front_end=front_end)
    network, contract = untrained._network(recipe, step_of("teacher"), None, None)
    assert contract.architecture["kernels"] == [5]
    assert network.state_dict().keys() == checkpoint.build(contract).state_dict().keys()
