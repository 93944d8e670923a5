"""The clean-up of constants, compared with onnxruntime's own arithmetic."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto

from edgekws.errors import UnsupportedError
from edgekws.quantizers.int8.integers import with_integer_constants

FLOAT = TensorProto.FLOAT
Node = tuple[str, list[str], list[str], dict[str, Any]]


def model(nodes: list[Node], constants: dict[str, Any], width: int = 3) -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node(kind, inputs, outputs, **fields)
            for kind, inputs, outputs, fields in nodes
        ],
        "test",
        [helper.make_tensor_value_info("x", FLOAT, ("batch", 3))],
        [helper.make_tensor_value_info("y", FLOAT, ("batch", width))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(built)
    return built


def run(model: onnx.ModelProto, x: np.ndarray) -> Any:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact without VNNI, too
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(t) for t in model.graph.initializer if t.name == name)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def dense(
    weight: ArrayLike,
    scale: ArrayLike,
    bias: ArrayLike,
    x_scale: float = 0.05,
    limits: tuple[int, int] = (-127, 127),
) -> onnx.ModelProto:
    """A Gemm as the exporter writes it: float weights rounded in the graph, float bias."""
    nodes: list[Node] = [
        ("QuantizeLinear", ["w", "w_scale", "w_zero"], ["w_wide"], {"axis": 0}),
        ("Clip", ["w_wide", "low", "high"], ["w_int"], {}),
        ("DequantizeLinear", ["w_int", "w_scale", "w_zero"], ["w_float"], {"axis": 0}),
        ("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_int"], {}),
        ("DequantizeLinear", ["x_int", "x_scale", "x_zero"], ["x_float"], {}),
        ("Gemm", ["x_float", "w_float", "b"], ["y"], {"transB": 1}),
    ]
    lowest, highest = limits
    constants = {
        "w": np.asarray(weight, np.float32),
        "w_scale": np.asarray(scale, np.float32),
        "w_zero": np.zeros(len(np.asarray(weight)), np.int8),
        "low": np.int8(lowest),
        "high": np.int8(highest),
        "x_scale": np.float32(x_scale),
        "x_zero": np.uint8(128),
        "b": np.asarray(bias, np.float32),
    }
    return model(nodes, constants, width=len(np.asarray(weight)))


numbers = st.floats(-4, 4, width=32)


@settings(max_examples=25, deadline=None)
@given(
    weight=st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=2),
    bias=st.tuples(numbers, numbers),
    steps=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_the_same_is_computed(
    weight: list[tuple[float, float, float]], bias: tuple[float, float], steps: tuple[int, int]
) -> None:
    """Weights beyond the range saturate, halves round to even, biases move by half a step."""
    scale = np.asarray(steps, np.float32) / 1024
    limited = np.clip(np.array(weight), -127 * scale[:, None], 127 * scale[:, None])
    before = dense(limited, scale, bias)
    after = with_integer_constants(before)
    assert kinds(after).count("QuantizeLinear") == 1
    assert "Clip" not in kinds(after)
    assert constant(after, "w_quantized").dtype == np.int8
    x = np.array([[1, -2, 3], [0.3, 0.1, -6], [0, 0, 0]], np.float32)
    tolerance = 0.5 * 0.05 * scale + 1e-4
    assert (np.abs(run(after, x) - run(before, x)) <= tolerance).all()


def test_halves_go_to_even_and_the_rest_saturates() -> None:
    after = with_integer_constants(
        dense([[0.5, 1.5, 2.5], [-0.5, 500, -500]], [1, 1], [0, 0], limits=(-128, 127))
    )
    assert constant(after, "w_quantized").tolist() == [[0, 2, 2], [0, 127, -128]]


def test_a_clip_that_changes_weights_stays() -> None:
    after = with_integer_constants(
        dense([[100, 1, 1], [1, 1, 1]], [1, 1], [0, 0], limits=(-63, 63))
    )
    assert "Clip" in kinds(after)


def test_a_bias_too_large_for_its_scale_widens_that_channel() -> None:
    before = dense([[0.0, 1e-7, 0.0], [1.0, 2.0, 3.0]], [1e-9, 0.1], [900.0, 1.0])
    after = with_integer_constants(before)
    bias = constant(after, "y_bias_quantized")
    assert np.abs(bias).max() <= 2**30
    x = np.array([[1, -2, 3]], np.float32)
    np.testing.assert_allclose(run(after, x), run(before, x), atol=0.01)
    assert constant(after, "w_quantized")[1].tolist() == [10, 20, 30]


def clamped(
    kind: str, bounds: list[str], scale: float, zero: int, readers: int = 1
) -> onnx.ModelProto:
    nodes: list[Node] = [(kind, ["x", *bounds], ["c"], {})]
    for i in range(readers):
        nodes += [("QuantizeLinear", ["c", "s", "z"], [f"q{i}"], {})]
        nodes += [("DequantizeLinear", [f"q{i}", "s", "z"], [f"d{i}" if readers > 1 else "y"], {})]
    if readers > 1:
        nodes.append(("Add", ["d0", "d1"], ["y"], {}))
    constants = {"s": np.asarray(scale, np.float32), "z": np.uint8(zero)}
    constants.update(dict(zip(bounds, (np.float32(0), np.float32(6)), strict=False)))
    return model(nodes, constants)


@pytest.mark.parametrize(
    ("before", "dropped"),
    [
        (clamped("Relu", [], 0.1, 0), True),
        (clamped("Relu", [], 0.1, 0, readers=2), True),
        (clamped("Relu", [], 0.1, 3), False),
        (clamped("Clip", ["low", "high"], 6 / 255, 0), True),
        (clamped("Clip", ["low", "high"], 5 / 255, 0), True),
    ],
)
def test_a_clamp_is_dropped_only_if_rounding_clamps_too(before: ModelProto, dropped: bool) -> None:
    after = with_integer_constants(before)
    assert ({"Relu", "Clip"} & set(kinds(after)) == set()) == dropped
    x = np.linspace(-9, 30, 300, dtype=np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(run(after, x), run(before, x))


def test_a_clip_inside_the_range_is_refused() -> None:
    with pytest.raises(
        UnsupportedError, match=r"Clip .*: its constant low stays FP32, expected INT8"
    ):
        with_integer_constants(clamped("Clip", ["low", "high"], 8 / 255, 0))
