from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgekws.core.contract import Contract
from edgekws.core.corpus import Examples
from edgekws.errors import ParityError
from edgekws.lowering.parity import check, golden, logits, torch_logits
from tests.lowering.conftest import NetworkOf


def test_the_largest_difference() -> None:
    a = np.zeros((3, 2), np.float32)
    b = a.copy()
    b[1, 0] = -5e-5
    assert check(a, b) == pytest.approx(5e-5)


@pytest.mark.parametrize("wrong", [2e-4, np.nan, np.inf])
def test_a_parity_error(wrong: float) -> None:
    a = np.zeros((3, 2), np.float32)
    b = a.copy()
    b[1, 0] = wrong
    with pytest.raises(ParityError, match=r"simplify: logits differ by .* \(golden clip 1\), at"):
        check(a, b, what="simplify")


def test_a_difference_of_the_tolerance_is_allowed_and_slightly_more_is_not() -> None:
    a, b = np.zeros((2, 2), np.float32), np.full((2, 2), 0.25, np.float32)
    assert check(a, b, tolerance=0.25) == check(b, a, tolerance=0.25) == 0.25
    with pytest.raises(ParityError, match=r"at most 0\.25 is allowed"):
        check(a, np.nextafter(b, np.float32(1)), tolerance=0.25)
    least = np.full((2, 2), 1e-4, np.float32)
    assert check(a, least, tolerance=float(least[0, 0])) == pytest.approx(1e-4)
    with pytest.raises(ParityError, match=r"at most 0\.0001 is allowed"):
        check(a, 1.001 * least)
    assert check(a, 0.999 * least) < 1e-4


def test_shapes_and_emptiness() -> None:
    with pytest.raises(ParityError, match=r"parity: logits of shape \(2, 3\) against \(2, 4\)"):
        check(np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32))
    with pytest.raises(ParityError, match=r"\(0, 3\)"):
        check(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))


def test_golden_clips_take_the_labels_in_turn() -> None:
    targets = np.array([0] * 50 + [1] * 3 + [2] * 9)
    examples = Examples(np.zeros((62, 1, 1), np.float32), targets, np.array([""] * 62), ("",) * 62)
    chosen = golden(examples, n=9)
    assert [int((targets[chosen] == label).sum()) for label in range(3)] == [3, 3, 3]
    assert len(set(golden(examples, n=32).tolist())) == 32
    assert len(golden(examples, n=1000)) == 62


@pytest.mark.parametrize(
    ("n", "chosen"), [(1, [3]), (3, [0, 1, 3]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 5])]
)
def test_golden_clips_by_hand(n: int, chosen: list[int]) -> None:
    targets = np.array([2, 1, 1, 0, 1, 2])
    examples = Examples(np.zeros((6, 1, 1), np.float32), targets, np.array([""] * 6), ("",) * 6)
    assert golden(examples, n=n).tolist() == chosen
    many = Examples(
        np.zeros((70, 1, 1), np.float32), np.arange(70), np.array([""] * 70), ("",) * 70
    )
    assert golden(many).tolist() == list(range(32))


def test_torch_logits_leave_the_mode_and_do_not_depend_on_batches(
    network_of: NetworkOf, contract_of: Callable[[str], Contract]
) -> None:
    network, contract = network_of("plain").train(), contract_of("plain")
    features = np.random.default_rng(1).standard_normal((300, 12, 41)).astype(np.float32)
    got = torch_logits(network, features, contract)
    assert network.training
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)


def mean_and_largest(shape: tuple[int, ...]) -> onnx.ModelProto:
    """Return a graph with two logits per clip, in float64, and a second, unrelated output."""
    axes: dict[str, Any] = {"axes": list(range(1, len(shape) + 1))}
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("ReduceMean", ["wide"], ["mean"], keepdims=0, **axes),
        helper.make_node("ReduceMax", ["wide"], ["largest"], keepdims=0, **axes),
        helper.make_node("Unsqueeze", ["mean", "one"], ["a"]),
        helper.make_node("Unsqueeze", ["largest", "one"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["logits"], axis=1),
        helper.make_node("Neg", ["logits"], ["other"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [onnx.ValueInfoProto(name="logits"), onnx.ValueInfoProto(name="other")],
        [numpy_helper.from_array(np.array([1]), "one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4)])
@pytest.mark.parametrize("clips", [0, 1, 256, 515])
def test_logits_of_a_file_and_of_a_graph_whatever_the_batches(
    tmp_path: Path, shape: tuple[int, ...], clips: int
) -> None:
    graph = mean_and_largest(shape)
    onnx.save(graph, str(tmp_path / "m.onnx"))
    features = np.random.default_rng(0).standard_normal((clips, 3, 4)).astype(np.float32)
    for model in (graph, tmp_path / "m.onnx"):
        result = logits(model, features)
        assert (result.dtype, result.shape) == (np.dtype(np.float32), (clips, 2))
        np.testing.assert_allclose(result[:, 0], features.mean(axis=(1, 2)), atol=1e-6)
        assert result[:, 1].tolist() == [clip.max() for clip in features]


def test_torch_logits_of_a_3d_network_have_its_axis_of_channels(
    contract_of: Callable[[str], Contract],
) -> None:
    class Shape(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[1:] == (1, 12, 41)
            return self.weight * x.mean(dim=(1, 2, 3))[:, None]

    features = np.random.default_rng(1).standard_normal((3, 12, 41)).astype(np.float32)
    result = torch_logits(Shape().eval(), features, contract_of("3d"))
    np.testing.assert_allclose(result[:, 0], features.mean(axis=(1, 2)), atol=1e-6)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("clips", [0, 3, 16, 19])
def test_a_fixed_batch_is_filled_up(batch: int, clips: int) -> None:
    free, fixed = (_affine(size) for size in ("batch", batch))
    features = np.random.default_rng(0).standard_normal((clips, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(logits(fixed, features), logits(free, features), rtol=1e-6)
    assert logits(fixed, features).shape == (clips, 3)


def _affine(batch: int | str) -> onnx.ModelProto:
    """Return a one-matrix network `(batch, 4, 5)` → `(batch, 3)`."""
    weight = np.random.default_rng(1).standard_normal((20, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["features"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "affine",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, 4, 5])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
