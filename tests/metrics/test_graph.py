"""The counters against hand-computed values, torch hooks and onnxruntime's own quantizer."""

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edgekws.errors import UnsupportedError
from edgekws.metrics import graph

RNG = np.random.default_rng(0)


def model(nodes: list[Any], weights: dict[str, Any], shape: list[Any]) -> onnx.ModelProto:
    """Return a graph from `x` to `y`."""
    built = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(built, opset_imports=opsets, ir_version=10)


def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return RNG.standard_normal(shape, dtype=np.float32)


def exported(network: nn.Module, path: Path, *shape: int) -> Path:
    x = torch.randn(2, *shape)
    dynamic = ({0: torch.export.Dim("batch")},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (x,),
            str(path),
            dynamo=True,
            verbose=False,
            dynamic_shapes=dynamic,
            external_data=False,
        )
    return path


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module")
def path(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(network, tmp_path_factory.mktemp("exported") / "n.onnx", 1, 20, 30)


class Network(nn.Module):
    """Convolutions of every kind that a keyword spotter has, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, (5, 3), stride=(2, 1), padding=(2, 1), bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.out = nn.Linear(12, 5)
        for values in (*self.norm.parameters(), *self.norm.buffers()):
            values.data += torch.rand(values.shape) if values.is_floating_point() else 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.pointwise(torch.relu(self.depthwise(x))))
        y: torch.Tensor = self.out(self.pool(x).flatten(1))
        return y


def hooked_macs(network: nn.Module, *shape: int) -> int:
    """Count MACs the slow way: output values of each layer times inputs that make one."""
    total = 0

    def count(module: Any, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.randn(1, *shape))
    return total


def test_agrees_with_torch_hooks(network: nn.Module, path: Path) -> None:
    assert graph.macs(path) == hooked_macs(network, 1, 20, 30)
    learned = sum(p.numel() for p in network.parameters())
    # the exporter may fold the BatchNorm: its scale then lies in the convolution
    folded = "BatchNormalization" not in {n.op_type for n in onnx.load(path).graph.node}
    assert graph.parameters(path) == learned - 8 * folded
    counted = graph.layers(path)
    assert sum(layer.macs for layer in counted) == graph.macs(path)
    assert sum(layer.parameters for layer in counted) == graph.parameters(path)
    assert not any(layer.int8 for layer in counted)
    assert len(graph.float_weights(path)) >= 7
    assert graph.int8_coverage(path) == 0.0


def test_counts_a_conv1d_by_hand() -> None:
    weights = {"w": normal(6, 2, 5), "b": normal(6)}
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], group=2, strides=[3], name="c")
    built = model([node], weights, ["batch", 4, 35])
    frames = (35 - 5) // 3 + 1
    assert graph.layers(built) == (graph.Layer("c", "Conv", 6 * frames * 2 * 5, 66, int8=False),)


def test_counts_products_transposed_and_recurrent_by_hand() -> None:
    cases: list[tuple[onnx.NodeProto, list[Any], tuple[int, ...], int]] = [
        (helper.make_node("Gemm", ["x", "w"], ["y"], transA=1), [7, 3], (7, 4), 3 * 7 * 4),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), ["b", 5, 7], (7, 4), 5 * 7 * 4),
        (
            helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], group=2),
            ["b", 4, 9],
            (4, 3, 5),
            4 * 9 * 3 * 5,
        ),
    ]
    for node, shape, weight, expected in cases:
        assert graph.macs(model([node], {"w": normal(*weight)}, shape)) == expected, node.op_type
    gru = helper.make_node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=4)
    tensors = {"w": normal(1, 12, 7), "r": normal(1, 12, 4), "b": normal(1, 24)}
    built = model([gru], tensors, [10, 1, 7])
    assert graph.macs(built) == 10 * 12 * (7 + 4)
    assert graph.parameters(built) == 12 * 7 + 12 * 4 + 24


def test_parameters_are_neither_shapes_nor_single_constants() -> None:
    constant = helper.make_node(
        "Constant", [], ["w"], value=numpy_helper.from_array(normal(6, 7).T.copy())
    )
    nodes = [
        constant,
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Mul", ["m", "half"], ["h"]),
        helper.make_node("Add", ["h", "bias"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "s", "t", "mean", "var"], ["n"]),
        helper.make_node("Reshape", ["n", "shape"], ["r"]),
        helper.make_node("Slice", ["r", "starts", "ends"], ["y"]),
    ]
    weights = {
        "half": np.float32(0.5),
        "bias": normal(6),
        "s": normal(6),
        "t": normal(6),
        "mean": normal(6),
        "var": np.ones(6, np.float32),
        "shape": np.array([0, 2, 3]),
        "starts": np.array([0]),
        "ends": np.array([1]),
    }
    built = model(nodes, weights, ["b", 7])
    assert graph.parameters(built) == 42 + 6 + 12
    assert graph.macs(built) == 42
    assert set(graph.float_weights(built)) == {"w", "bias", "s", "t"}


def test_constants_written_as_plain_numbers() -> None:
    nodes = [
        helper.make_node("Constant", [], ["bias"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Constant", [], ["shape"], value_ints=[-1, 3]),
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["one"], value_int=1),
        helper.make_node("Add", ["x", "bias"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["r"]),
        helper.make_node("Mul", ["r", "half"], ["m"]),
        helper.make_node("Unsqueeze", ["m", "one"], ["y"]),
    ]
    built = model(nodes, {}, ["b", 3])
    assert graph.float_weights(built) == ("bias",)
    assert graph.parameters(built) == 3
    text = helper.make_node("Constant", [], ["word"], value_string=b"no number")
    with pytest.raises(UnsupportedError, match="constant word: value_string is not a dense number"):
        graph.parameters(model([text, *nodes], {}, ["b", 3]))


def test_a_vector_times_a_matrix_has_no_axes_to_turn() -> None:
    node = helper.make_node("FusedMatMul", ["x", "w"], ["y"], domain="com.microsoft", transA=1)
    assert graph.macs(model([node], {"w": normal(7, 4)}, [7])) == 7 * 4


def test_a_batch_is_fixed_where_inputs_and_logits_have_it() -> None:
    def batch(x: list[Any], *weight: int) -> int:
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        return graph.fixed_batch(model([node], {"w": normal(*weight)}, x))

    assert batch([8, 5], 5, 3) == 8
    assert batch(["b", 5], 5, 3) == 1
    assert batch([1, 5], 5, 3) == 1
    assert batch([8, 4, 5], 5, 3) == 1  # frames of a recurrent network, not samples
    assert batch([5], 5, 3) == 1
    assert batch([8, 5], 5) == 1  # one sample without an axis for the batch


def test_a_weight_shared_by_two_layers_counts_once() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="first"),
        helper.make_node("Transpose", ["w"], ["t"]),
        helper.make_node("MatMul", ["m", "t"], ["y"], name="second"),
    ]
    built = model(nodes, {"w": normal(5, 5)}, ["b", 5])
    assert graph.parameters(built) == 25
    assert [(layer.name, layer.parameters) for layer in graph.layers(built)] == [
        ("first", 25),
        ("second", 0),
    ]


def quantized(path: Path, out: Path, form: str, **options: Any) -> Path:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = 4

        def get_next(self) -> dict[str, Any] | None:
            self.left -= 1
            return {"x": normal(1, 1, 20, 30)} if self.left >= 0 else None

    logging.disable(logging.WARNING)
    try:
        quantize_static(path, out, Reader(), quant_format=QuantFormat[form], **options)
    finally:
        logging.disable(logging.NOTSET)
    return out


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_quantized_graph_keeps_its_counts(
    path: Path, tmp_path: Path, form: str, per_channel: bool
) -> None:
    int8 = quantized(path, tmp_path / "int8.onnx", form, per_channel=per_channel)
    assert graph.macs(int8) == graph.macs(path)
    assert graph.parameters(int8) == graph.parameters(path)
    assert graph.float_weights(int8) == ()
    assert graph.int8_coverage(int8) == 1.0
    executed = graph.executed_layers(int8)
    assert sum(layer.macs for layer in executed) == graph.macs(path)
    assert {layer.op for layer in executed if layer.macs} <= {"QLinearConv", "QGemm"}


def test_a_layer_left_in_float_shows_in_the_coverage(path: Path, tmp_path: Path) -> None:
    left = max(graph.layers(path), key=lambda layer: layer.macs)
    int8 = quantized(path, tmp_path / "int8.onnx", "QDQ", nodes_to_exclude=[left.name])
    share = 1 - left.macs / graph.macs(path)
    assert math.isclose(graph.int8_coverage(int8), share)
    (name,) = [layer.name for layer in graph.executed_layers(int8) if not layer.int8]
    assert left.name in name
    assert len(graph.float_weights(int8)) >= 1


def test_a_float_layer_between_quantizers_is_not_int8_until_fused() -> None:
    """A Conv without QuantizeLinear behind it stays in float, as onnxruntime runs it."""
    quantizers = {"s": np.float32(0.1), "z": np.uint8(128), "wz": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["dw"]),
        helper.make_node("Conv", ["d", "dw"], ["y"], name="c"),
    ]
    weight = RNG.integers(-127, 127, (4, 3, 3), dtype=np.int8)
    built = model(nodes, quantizers | {"w": weight}, ["b", 3, 20])
    assert graph.int8_coverage(built) == 0.0
    assert graph.parameters(built) == weight.size
    assert graph.float_weights(built) == ()


def test_integers_are_weights_where_they_are_dequantized() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "s"], ["w"]),
        helper.make_node("Add", ["x", "w"], ["a"]),
        helper.make_node("Identity", ["places"], ["at"]),
        helper.make_node("Gather", ["a", "at"], ["y"], axis=1),
    ]
    tensors = {
        "w8": np.array([1, 2, 3], np.int8),
        "s": np.float32(0.1),
        "places": np.array([2, 0], np.int32),
    }
    built = model(nodes, tensors, ["b", 3])
    assert graph.parameters(built) == 3
    assert graph.float_weights(built) == ()


def test_unknown_operators_are_refused_by_name() -> None:
    einsum = helper.make_node("Einsum", ["x", "w"], ["y"], equation="bi,io->bo", name="mix")
    built = model([einsum], {"w": normal(5, 3)}, ["b", 5])
    with pytest.raises(UnsupportedError, match=r"operator Einsum \(node mix\).*MACs"):
        graph.macs(built)
    blocked = helper.make_node("Conv", ["x", "w"], ["y"], domain="com.microsoft.nchwc")
    built = model([blocked], {"w": normal(16, 16, 3, 3)}, ["b", 16, 9, 9])
    with pytest.raises(UnsupportedError, match=r"com\.microsoft\.nchwc\.Conv"):
        graph.layers(built)


def test_graphs_that_cannot_be_counted_say_why() -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(UnsupportedError, match="no layer that multiplies"):
        graph.int8_coverage(model([relu], {}, ["b", 5]))
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    with pytest.raises(UnsupportedError, match="every dimension fixed but the first"):
        graph.macs(model([product], {"w": normal(5, 3)}, ["b", "t", 5]))
    with pytest.raises(UnsupportedError, match="cannot load the graph"):
        graph.macs(model([product], {"w": normal(4, 3)}, ["b", 5]))
    sparse = model([product], {"w": normal(5, 3)}, ["b", 5])
    values = numpy_helper.from_array(normal(2), "thin")
    at = numpy_helper.from_array(np.array([0, 3]))
    sparse.graph.sparse_initializer.append(helper.make_sparse_tensor(values, at, [5, 3]))
    values = numpy_helper.from_array(normal(2), "thinner")
    sparse.graph.sparse_initializer.append(helper.make_sparse_tensor(values, at, [5, 3]))
    with pytest.raises(UnsupportedError, match="sparse weight thin:"):
        graph.parameters(sparse)
