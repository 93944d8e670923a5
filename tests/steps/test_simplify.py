from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper, numpy_helper

from edgekws.core.canonical import sha256_file
from edgekws.core.contract import Artifact, Contract, Normalization
from edgekws.core.corpus import Examples
from edgekws.core.events import quiet
from edgekws.core.job import Job
from edgekws.core.protocols import STEP
from edgekws.lowering import onnx_file, parity
from edgekws.runtime.front_end import FrontEnd


@pytest.fixture
def given(tmp_path: Path) -> Artifact:
    """A Gemm over flattened features, with a node too many."""
    weight = np.random.default_rng(0).normal(size=(3, 16 * 25)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["features"], ["same"]),
            helper.make_node("Flatten", ["same"], ["flat"], axis=1),
            helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
        ],
        "graph",
        [helper.make_tensor_value_info("features", 1, ["batch", 16, 25])],
        [helper.make_tensor_value_info("logits", 1, ["batch", 3])],
        [numpy_helper.from_array(weight, "weight")],
    )
    normalization = Normalization((0.0,) * 16, (1.0,) * 16)
    front_end = FrontEnd(window_s=0.272, n_mels=16)
    contract = Contract(front_end, normalization, ("a", "b", "c"), (16, 25), {"kind": "plain"})
    path = tmp_path / "given.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx_file.save(model, contract, path)
    return Artifact("onnx", path, sha256_file(path), contract)


def test_it_drops_nodes_and_keeps_the_logits(given: Artifact, tmp_path: Path) -> None:
    features = np.random.default_rng(1).normal(size=(20, 16, 25)).astype(np.float32)
    dev = Examples(features, np.arange(20) % 3, np.array([""] * 20), ("",) * 20)
    job = Job(SimpleNamespace(examples=lambda split: dev), 7, "cpu", 1, tmp_path / "w", quiet)
    step = STEP.validate_python({"kind": "simplify"})
    assert (step.takes, step.gives, step.keeps) == ("onnx", "onnx", "exact")
    assert step.named_inputs == ()
    output = step.run({"input": given}, job)
    assert onnx_file.load(output.path)[1] == given.contract
    assert output.details["nodes_before"] == 3
    assert output.details["nodes_after"] == 2
    parity.check(parity.logits(given.path, features), parity.logits(output.path, features))
