"""Values of tensors against those of a single run."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgekws.quantizers.int8.values import values_of

FLOAT = onnx.TensorProto.FLOAT


def model() -> tuple[onnx.ModelProto, np.ndarray]:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Neg", ["r"], ["y"]),
    ]
    weight = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["b", 3])],
        [helper.make_tensor_value_info("y", FLOAT, ["b", 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10), weight


@pytest.mark.parametrize("n", [1, 15, 16, 17, 40])
def test_parts_put_together_are_the_values_of_all_clips(n: int) -> None:
    graph, weight = model()
    clips = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
    parts = list(values_of(graph, ["r", "x", "y", "m", "r"], clips))
    assert [len(part["x"]) for part in parts] == [16] * (n // 16) + [n % 16] * (n % 16 > 0)
    values = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    product = clips @ weight
    assert values.keys() == {"x", "m", "r", "y"}
    np.testing.assert_array_equal(values["x"], clips)
    np.testing.assert_allclose(values["m"], product, atol=1e-6)
    np.testing.assert_allclose(values["r"], np.maximum(product, 0), atol=1e-6)
    np.testing.assert_array_equal(values["y"], -values["r"])


def test_of_the_input_alone_nothing_is_computed_and_of_nothing_there_is_nothing() -> None:
    graph, _ = model()
    clips = np.ones((2, 3), np.float32)
    (only,) = values_of(graph, ["x"], clips)
    assert only.keys() == {"x"}
    assert list(values_of(graph, [], clips)) == []
