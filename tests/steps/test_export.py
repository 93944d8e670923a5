from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples
from edgekws.core.events import quiet
from edgekws.core.job import Job
from edgekws.core.protocols import STEP
from edgekws.errors import ParityError
from edgekws.lowering import checkpoint, onnx_file, parity
from edgekws.runtime.front_end import FrontEnd

FRONT_END = FrontEnd(window_s=0.272, n_mels=16)  # 25 frames


@pytest.fixture
def job(tmp_path: Path) -> Job:
    features = np.random.default_rng(0).normal(size=(20, 16, 25)).astype(np.float32)
    dev = Examples(features, np.arange(20) % 3, np.array([""] * 20), ("",) * 20)
    return Job(SimpleNamespace(examples=lambda split: dev), 7, "cpu", 1, tmp_path / "w", quiet)


@pytest.fixture
def given(tmp_path: Path) -> Artifact:
    contract = Contract(
        FRONT_END,
        Normalization((0.0,) * 16, (1.0,) * 16),
        ("a", "b", "c"),
        (16, 25),
        {"kind": "plain", "variant": "microcnn"},
    )
    torch.manual_seed(0)
    path = tmp_path / "network.safetensors"
    checkpoint.save(checkpoint.build(contract), contract, path)
    return Artifact("checkpoint", path, sha256_file(path), contract)


def test_it_writes_the_lowered_form(given: Artifact, job: Job) -> None:
    step = STEP.validate_python({"kind": "export"})
    assert (step.takes, step.gives, step.keeps) == ("checkpoint", "onnx", "exact")
    assert step.named_inputs == ()
    output = step.run({"input": given}, job)
    model, contract = onnx_file.load(output.path)
    assert contract == given.contract
    operators = [node.op_type for node in model.graph.node]
    assert "GlobalAveragePool" in operators
    assert "BatchNormalization" not in operators
    features = job.data.examples("dev").features
    network, _ = checkpoint.load(given.path)
    expected = parity.torch_logits(network, features, contract)
    parity.check(expected, parity.logits(output.path, features), 1e-5)
    assert output.details["max_abs_diff"] <= 1e-4


def test_a_wrong_export_is_a_parity_error(
    given: Artifact, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "torch_logits", lambda *_: np.full((20, 3), 7, np.float32))
    with pytest.raises(ParityError, match="export: logits differ by"):
        STEP.validate_python({"kind": "export"}).run({"input": given}, job)
