"""The bundle's rung of the parity ladder: it can break, and says where."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekws.bundle.verify import score
from edgekws.engine.final import _prove_runtime, front_end_features
from edgekws.errors import ParityError


@pytest.fixture
def windows() -> np.ndarray:
    noise = np.random.default_rng(5).standard_normal((24, 16_000)) * 2_000
    return noise.astype(np.int16)


def shifted(path: Path, shift: float) -> None:
    """Add `shift` to the output of an ONNX file."""
    model = onnx.load(path)
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["before" if output == name else output for output in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(shift), "shift"))
    model.graph.node.append(helper.make_node("Add", ["before", "shift"], [name]))
    onnx.save(model, path)


def test_a_whole_bundle_climbs_it(bundle: Path, windows: np.ndarray):
    features = front_end_features(bundle / "frontend.onnx", windows)
    proofs = _prove_runtime(bundle, score(bundle, windows), windows, features)
    assert proofs["runtime_max_abs_diff"] <= 1e-4
    assert proofs["front_end_max_abs_diff"] == 0
    assert proofs["label_agreement"] == 1


def test_another_front_end_breaks_it(bundle: Path, windows: np.ndarray):
    features = front_end_features(bundle / "frontend.onnx", windows)
    shifted(bundle / "frontend.onnx", 0.1)
    with pytest.raises(ParityError, match=r"frontend\.onnx differs .* up to 0\.1 standard"):
        _prove_runtime(bundle, score(bundle, windows), windows, features)


def test_a_runtime_that_computes_something_else_breaks_it(bundle: Path, windows: np.ndarray):
    features = front_end_features(bundle / "frontend.onnx", windows)
    logits = score(bundle, windows) + np.float32(0.01)
    with pytest.raises(ParityError, match=r"the bundle's runtime: logits differ by 0\.01"):
        _prove_runtime(bundle, logits, windows, features)
