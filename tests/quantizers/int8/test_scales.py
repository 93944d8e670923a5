"""Channels that are dead or nearly so: valid scales, and no loss in the others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import ArrayLike
from onnx import helper, numpy_helper
from torch import nn

from edgekws.core.protocols import Quantizer
from edgekws.lowering import parity
from edgekws.lowering.graph import Graph
from edgekws.quantizers import neural_compressor, onnxruntime
from edgekws.quantizers.int8.scales import floor_scales
from tests.cpu import needs_exact_sums
from tests.quantizers.conftest import Case

BACKENDS: dict[str, Quantizer] = {
    "neural_compressor": neural_compressor.Quantizer(kind="neural_compressor"),
    "onnxruntime": onnxruntime.Quantizer(kind="onnxruntime"),
}
CASES = [
    (kind, backend, calibration)
    for backend, (first, *others) in ((b, q.calibrations()) for b, q in BACKENDS.items())
    for kind, calibration in (
        ("channels", first),
        ("input", first),
        *(("input", o) for o in others),
    )
]


def head() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)]


def ailing(kind: str) -> Any:
    """Two convolutions: channels of the first are dead or small, or its whole output is zero."""
    torch.manual_seed(1)
    network: Any = nn.Sequential(
        *[nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU6(), *head()]
    )
    with torch.no_grad():
        if kind == "input":
            network[0].bias -= 1000
            network[2].bias += 3
        else:
            for channel, size in enumerate((0, 1e-6, 1e-30)):
                network[0].weight[channel] *= size
                network[0].bias[channel] = 0.7
            network[2].weight[3] *= 0
            network[2].bias[3] = 0.3
    return network


def scales(model: onnx.ModelProto) -> list[np.ndarray]:
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    rounding = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    return [constants[node.input[1]] for node in rounding]


@needs_exact_sums
@pytest.mark.parametrize(("kind", "backend", "calibration"), CASES)
def test_the_rest_is_computed_as_ever(
    case_of: Callable[..., Case], kind: str, backend: str, calibration: str
) -> None:
    case = case_of("spectrogram", ailing(kind))
    model = BACKENDS[backend].quantize(case.source(backend), case.clips, calibration)
    for scale in scales(model):
        assert np.isfinite(scale).all()
        assert (scale > 1e-20).all()  # far from the denormal numbers, squared too
    logits = parity.logits(model, case.unseen[:, 0])
    assert np.isfinite(logits).all()
    apart, peak = np.abs(logits - case.logits), np.abs(case.logits).max()
    assert apart.mean() < 0.005 * peak
    assert apart.max() < 0.05 * peak
    if kind == "input":  # values that appear later are not clipped at once
        assert min(scale.min() for scale in scales(model) if scale.ndim == 0) > 1e-4
    else:
        assert bias_of(model, "2")[3] == pytest.approx(0.3, abs=1e-4)


def bias_of(model: onnx.ModelProto, name: str) -> np.ndarray:
    """Return the bias of a layer as stored in its integers.

    With a weight scale of one, which onnxruntime's tool gives a dead channel, it would be lost.
    """
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    producers = {node.output[0]: node for node in model.graph.node}
    layer = next(node for node in model.graph.node if node.name == name)
    integers, scale = (constants[name] for name in producers[layer.input[2]].input[:2])
    return np.asarray(integers * scale)


def dense(
    integers: ArrayLike, steps: ArrayLike, x_step: float = 0.1, axis: int | None = 0
) -> Graph:
    """Return a Gemm with dequantized integer weights, its input rounded to `x_step`."""
    along: dict[str, Any] = {} if axis is None else {"axis": axis}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_s", "x_z"], ["x8"]),
        helper.make_node("DequantizeLinear", ["x8", "x_s", "x_z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w8", "w_s"], ["w"], **along),
        helper.make_node("Gemm", ["xf", "w"], ["y"], name="g"),
    ]
    constants: dict[str, ArrayLike] = {"x_s": np.float32(x_step), "x_z": np.uint8(0)}
    constants |= {"w8": np.asarray(integers, np.int8), "w_s": np.asarray(steps, np.float32)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["b", 3])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return Graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))


def producer(graph: Graph, name: str) -> onnx.NodeProto:
    node = graph.producer(name)
    assert node is not None
    return node


def weights_of(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    node = producer(graph, "w")
    return graph.array(node.input[0]), graph.array(node.input[1])


ROWS = [[100, -50, 3], [100, -50, 3], [100, -50, 3], [7, 0, -7]]


@pytest.mark.parametrize("axis", [0, 1, None])
def test_channels_below_a_share_of_the_largest_get_that_step(axis: int | None) -> None:
    """A step of half the least: the integers are halved, to even; of nothing: nothing is left."""
    rows = np.array(ROWS).T if axis != 0 else np.array(ROWS)
    graph = dense(rows, [2, 2.1e-5, 1e-5, 0], axis=axis)
    floor_scales(graph)
    integers, steps = weights_of(graph)
    assert steps.tolist() == pytest.approx([2, 2.1e-5, 2e-5, 2e-5])
    assert integers.dtype == np.int8
    expected = [[100, -50, 3], [100, -50, 3], [50, -25, 2], [0, 0, 0]]
    assert (integers if axis == 0 else integers.T).tolist() == expected


def test_where_all_is_nearly_zero_steps_still_are_not() -> None:
    graph = dense(ROWS, [1e-20, 1e-12, 3e-12, 0])
    floor_scales(graph)
    assert weights_of(graph)[1].tolist() == pytest.approx([1e-12, 1e-12, 3e-12, 1e-12])


@pytest.mark.parametrize("steps", [[1, 1e-5 * 1.001, 1, 1], 1e-20])
def test_what_is_large_enough_or_one_step_for_all_stays(steps: list[float] | float) -> None:
    graph = dense(ROWS, steps)
    floor_scales(graph)
    integers, unchanged = weights_of(graph)
    assert integers.tolist() == ROWS
    np.testing.assert_array_equal(unchanged, np.asarray(steps, np.float32))
    assert producer(graph, "w").input[1] == "w_s"


@pytest.mark.parametrize(
    ("given", "expected"), [(0.99e-6, 1 / 255), (1.01e-6, 1.01e-6), (0, 1 / 255)]
)
def test_a_constant_activation_gets_a_range_of_one(given: float, expected: float) -> None:
    graph = dense(ROWS, [1, 1, 1, 1], x_step=given)
    floor_scales(graph)
    names = [producer(graph, name).input[1] for name in ("x8", "xf")]
    assert names[0] == names[1]
    assert float(graph.array(names[0])) == pytest.approx(expected)
    assert weights_of(graph)[0].tolist() == ROWS


def test_float_weights_and_those_that_are_computed_are_left_alone() -> None:
    graph = dense(ROWS, [1, 1, 1, 0])
    producer(graph, "y").input[1] = "w8"
    floor_scales(graph)
    assert weights_of(graph)[0].tolist() == ROWS
    producer(graph, "y").input[1] = "w"
    producer(graph, "w").input[0] = "x8"
    floor_scales(graph)
    assert graph.array("w_s").tolist() == [1, 1, 1, 0]
