"""Other operators, the same logits."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.onnx_ml_pb2 import NodeProto

from edgekws.core.contract import Contract, Normalization
from edgekws.errors import UnsupportedError
from edgekws.lowering import checkpoint, export, forms, parity, stream_parity
from edgekws.lowering.padding import padded_channels
from edgekws.lowering.stream import streaming_form
from edgekws.metrics import graph
from edgekws.quantizers.onnxruntime import Quantizer
from edgekws.runtime.front_end import FrontEnd
from tests.lowering.conftest import NetworkOf

BACKBONES = (
    {"kind": "inverted_bottleneck", "channels": 12},
    {"kind": "inverted_bottleneck", "channels": 12, "padding": "valid"},
    {"kind": "plain", "variant": "microcnn"},
)
EXACT = (
    forms.conv1d,
    forms.channels_last_end,
    forms.mean_instead_of_pool,
    padded_channels,
    lambda model: forms.channels_last_end(forms.conv1d(model)),
    lambda model: forms.conv1d(forms.mean_instead_of_pool(model)),
    lambda model: padded_channels(forms.conv1d(model)),
)
CLIPS = np.random.default_rng(0).standard_normal((40, 40, 97)).astype(np.float32)


def lowered(backbone: dict[str, Any]) -> tuple[onnx.ModelProto, Contract]:
    """Return the FP32 model of a backbone and its contract; cached, because the export is slow."""
    return _lowered(tuple(backbone.items()))


@cache
def _lowered(items: tuple[tuple[str, Any], ...]) -> tuple[onnx.ModelProto, Contract]:
    front_end, backbone = FrontEnd(), dict(items)
    contract = Contract(
        front_end, Normalization((0.0,) * 40, (1.0,) * 40), ("a", "b", "c"), (40, 97), backbone
    )
    torch.manual_seed(1)
    return export.export_lowered(checkpoint.untrained(contract), contract), contract


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda b: "-".join(map(str, b.values())))
def test_every_form_gives_the_same_logits_in_fp32_and_int8(backbone: dict[str, Any]) -> None:
    model, _ = lowered(backbone)
    int8 = Quantizer(kind="onnxruntime").quantize(model, CLIPS[:16], "minmax")
    tried = 0
    for source in (model, int8):
        expected = parity.logits(source, CLIPS)
        for rewrite in EXACT:
            try:
                form = rewrite(source)
            except UnsupportedError:
                continue
            onnx.checker.check_model(form, full_check=True)
            parity.check(expected, parity.logits(form, CLIPS))
            coverage = graph.int8_coverage(source)
            assert graph.int8_coverage(form) == pytest.approx(coverage, abs=0.01)
            tried += 1
    assert tried >= 6


@pytest.mark.parametrize("name", ["plain", "inverted", "relu_first", "relu_first_padded"])
def test_every_kind_of_network(
    network_of: NetworkOf,
    contract_of: Callable[[str], Contract],
    features: NDArray[np.float32],
    name: str,
) -> None:
    network, contract = network_of(name), contract_of(name)
    model = export.export_lowered(network, contract)
    expected = parity.torch_logits(network, features, contract)
    for rewrite in EXACT:
        try:
            form = rewrite(model)
        except UnsupportedError:
            continue
        parity.check(expected, parity.logits(form, features))


def test_conv1d_has_no_axis_of_height_1_left() -> None:
    model, _ = lowered(BACKBONES[0])
    form = forms.conv1d(model)
    weights = [node.input[1] for node in form.graph.node if node.op_type == "Conv"]
    ranks = {len(i.dims) for i in form.graph.initializer if i.name in weights}
    assert ranks == {3}
    assert operators(form)["Unsqueeze"] == 0 < operators(model)["Unsqueeze"]
    assert graph.macs(form) == graph.macs(model)
    assert graph.parameters(form) == graph.parameters(model)


def test_patches_of_bands_have_a_conv1d_form() -> None:
    patches = {"bands": 8, "hop": 4, "channels": 6}
    model, _ = _lowered.__wrapped__((("kind", "inverted_bottleneck"), ("patches", patches)))
    int8 = Quantizer(kind="onnxruntime").quantize(model, CLIPS[:16], "minmax")
    for source in (model, int8):
        form = forms.conv1d(source)
        assert operators(form)["Unsqueeze"] == 0 < operators(source)["Unsqueeze"]
        parity.check(parity.logits(source, CLIPS), parity.logits(form, CLIPS))


def test_int8_runs_fewer_nodes_as_conv1d_with_channels_last() -> None:
    from edgekws.metrics.execution import optimized

    model = Quantizer(kind="onnxruntime").quantize(lowered(BACKBONES[0])[0], CLIPS[:8], "minmax")
    counts = [
        len(optimized(form, "ORT_ENABLE_ALL").graph.node)
        for form in (model, forms.conv1d(model), forms.channels_last_end(forms.conv1d(model)))
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] <= counts[0] - 2


def test_every_form_has_a_streaming_form() -> None:
    model, contract = lowered(BACKBONES[1])
    for rewrite in EXACT[:2] + EXACT[4:5]:
        form = rewrite(model)
        proof = stream_parity.check(form, streaming_form(form, contract), CLIPS[:4])
        assert proof["max_abs_diff"] <= 1e-4


def test_s8_counts_the_same_steps_from_below() -> None:
    model = Quantizer(kind="onnxruntime").quantize(lowered(BACKBONES[2])[0], CLIPS[:8], "minmax")
    signed = forms.signed_activations(model)
    kinds = {i.name: i.data_type for i in signed.graph.initializer}
    points = {n.input[2] for n in signed.graph.node if n.op_type == "QuantizeLinear"}
    assert {kinds[point] for point in points} == {onnx.TensorProto.INT8}
    differences = np.abs(plain_run(model, CLIPS[:8]) - plain_run(signed, CLIPS[:8]))
    assert differences.max() < 1e-5


def plain_run(model: onnx.ModelProto, clips: np.ndarray) -> np.ndarray:
    """Run a graph without the runtime's optimizations."""
    from edgekws.quantizers.int8.values import values_of

    return np.concatenate([v["logits"] for v in values_of(model, ["logits"], clips)])


def test_a_missing_form_is_explained() -> None:
    model, _ = lowered(BACKBONES[0])
    with pytest.raises(UnsupportedError, match="rounds nothing to U8"):
        forms.signed_activations(model)
    with pytest.raises(UnsupportedError, match="no axis of height 1 is added to the input"):
        forms.conv1d(forms.conv1d(model))
    means = forms.mean_instead_of_pool(model)
    with pytest.raises(UnsupportedError, match="has no GlobalAveragePool"):
        forms.mean_instead_of_pool(means)
    with pytest.raises(UnsupportedError, match="flattened directly after a GlobalAveragePool"):
        forms.channels_last_end(means)
    with pytest.raises(UnsupportedError, match="no layer can be padded to a multiple of"):
        padded_channels(padded_channels(model))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Transpose", ["row"], ["end"], "turn", perm=[0, 2, 1, 3]), "Transpose"),
        (helper.make_node("Conv", ["row", "tall"], ["end"], "high"), "window is not of height 1"),
        (helper.make_node("Squeeze", ["row", "axis"], ["end"], "low"), "Squeeze low: it needs"),
        (helper.make_node("Conv", ["row", "made"], ["end"], "late"), "a computed weight has no"),
    ],
)
def test_operators_that_need_the_height(node: NodeProto, message: str) -> None:
    constants = [
        numpy_helper.from_array(np.array([2]), "axis"),
        numpy_helper.from_array(np.ones((2, 3, 2, 1), np.float32), "tall"),
    ]
    if node.name == "high":
        node.attribute.append(helper.make_attribute("kernel_shape", [2, 1]))
    graph = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["x", "axis"], ["row"]),
            helper.make_node("Relu", ["tall"], ["made"]),
            node,
        ],
        "graph",
        [helper.make_tensor_value_info("x", 1, ["batch", 3, 5])],
        [helper.make_tensor_value_info("end", 1, None)],
        constants,
    )
    with pytest.raises(UnsupportedError, match=message):
        forms.conv1d(helper.make_model(graph))


def test_padding_fills_every_layer_except_fixed_channels() -> None:
    model, _ = lowered(BACKBONES[0])  # 12 and 36 channels, and a head
    wide = padded_channels(model)
    widths = {i.name: i.dims for i in wide.graph.initializer}
    convolutions = [node for node in wide.graph.node if node.op_type == "Conv"]
    outs = {widths[node.input[1]][0] for node in convolutions}
    assert all(out % 16 == 0 for out in outs)
    assert widths[convolutions[0].input[1]][1] == 40  # the mels of the input stay
    assert graph.parameters(wide) > graph.parameters(model)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_float_forms_are_one_network(backbone: dict[str, Any]) -> None:
    model, _ = lowered(backbone)
    by_name = forms.float_forms(model)
    assert set(by_name) == {"FP32", "FP32, Conv1d", "FP32, ReduceMean"}
    expected = parity.logits(model, CLIPS)
    for form in by_name.values():
        parity.check(expected, parity.logits(form, CLIPS))


def test_missing_forms_are_skipped() -> None:
    model, _ = lowered(BACKBONES[0])
    mean = forms.mean_instead_of_pool(model)
    assert set(forms.float_forms(mean)) == {"FP32", "FP32, Conv1d"}
