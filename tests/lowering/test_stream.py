"""The streaming form: at every hop the windowed network's logits, and refusals with a reason."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgekws.backbones.inverted_bottleneck import Backbone
from edgekws.core.contract import Contract, Normalization
from edgekws.core.protocols import QUANTIZER
from edgekws.errors import ParityError, UnsupportedError
from edgekws.lowering import checkpoint, onnx_file, parity, stream_parity
from edgekws.lowering.export import export_lowered
from edgekws.lowering.stream import streaming_form
from edgekws.lowering.stream_parity import StreamSession
from edgekws.lowering.stream_state import hop_s, of_one_hop, stream_of
from edgekws.runtime.front_end import FrontEnd
from tests.cpu import SATURATES

N_MELS, N_LABELS = 6, 4
Features = NDArray[np.float32]


def contract_of(frames: int, n_mels: int = N_MELS, **architecture: Any) -> Contract:
    flat = Normalization((0.0,) * n_mels, (1.0,) * n_mels)
    labels = tuple(f"word {i}" for i in range(N_LABELS))
    return Contract(FrontEnd(n_mels=n_mels), flat, labels, (n_mels, frames), architecture)


def clips(n: int, *shape: int, seed: int = 0) -> Features:
    """Return loudness that varies over time, plus noise: frames are similar, windows are not."""
    n_mels, frames = shape
    rng = np.random.default_rng(seed)
    loudness = rng.standard_normal((n, 1, frames)).cumsum(-1) * 0.3
    return (loudness + rng.standard_normal((n, n_mels, frames))).astype(np.float32)


class Drawing:
    """Random layers as ONNX nodes; `axes` is 1 or, with a height of 1, 2."""

    def __init__(self, seed: int, axes: int) -> None:
        self.rng, self.axes = np.random.default_rng(seed), axes
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self.channels, self.frames, self.hop = N_MELS, 1_000, 1
        self.at = "features"

    def constant(self, values: Any, kind: str = "float32") -> str:
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(values, kind)
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def along(self, size: int) -> list[int]:
        return [1] * (self.axes - 1) + [size]

    def convolution(self, kernel: int, stride: int = 1, dilation: int = 1, out: int = 5) -> None:
        shape = (out, self.channels, *self.along(kernel))
        weight = self.rng.standard_normal(shape) / np.sqrt(self.channels * kernel)
        bias = self.constant(self.rng.standard_normal(out) * 0.1)
        self.at = self.node(
            "Conv", self.at, self.constant(weight), bias,
            strides=self.along(stride), dilations=self.along(dilation),
        )  # fmt: skip
        self.channels = out
        self.shorten((kernel - 1) * dilation + 1, stride)

    def shorten(self, reach: int, stride: int) -> None:
        self.frames = (self.frames - reach) // stride + 1
        self.hop *= stride

    def pooling(self, op: str, kernel: int, stride: int) -> None:
        self.at = self.node(
            op, self.at, kernel_shape=self.along(kernel), strides=self.along(stride)
        )
        self.shorten(kernel, stride)

    def residual(self, before: int, after: int) -> None:
        skipped = self.at
        self.convolution(before + after + 1, out=self.channels)
        ends = (self.constant([n], "int64") for n in (before, -after or 2**31, self.axes + 1))
        self.at = self.node("Add", self.at, self.node("Slice", skipped, *ends))

    def layer(self) -> None:
        draw = self.rng.integers
        kind = draw(4)
        if kind == 0:
            self.pooling(["MaxPool", "AveragePool"][draw(2)], int(draw(1, 4)), int(draw(1, 4)))
        elif kind == 1:
            self.residual(int(draw(4)), int(draw(4)))
        else:
            self.convolution(int(draw(1, 6)), int(draw(1, 4)), int(draw(1, 3)))
        self.at = self.node("Relu", self.at)

    def head(self, pool: str) -> None:
        if pool == "ReduceMean":
            axes = self.constant([-1] if self.axes == 1 else [2, 3], "int64")
            flat = self.node("ReduceMean", self.at, axes, keepdims=0)
        else:
            flat = self.node("Flatten", self.node(pool, self.at))
        weight = self.constant(self.rng.standard_normal((N_LABELS, self.channels)))
        gemm = helper.make_node("Gemm", [flat, weight], ["logits"], "classifier", transB=1)
        self.nodes.append(gemm)

    def model(self, frames: int) -> onnx.ModelProto:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [value("features", 1, ["batch", N_MELS, frames])],
            [value("logits", 1, ["batch", N_LABELS])],
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        opsets = [helper.make_opsetid("", 18)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def drawn(seed: int) -> tuple[onnx.ModelProto, Contract, int]:
    """Return a random network, its contract, and the product of its strides."""
    axes = 1 + seed % 2
    drawing = Drawing(seed, axes)
    if axes == 2:
        drawing.at = drawing.node("Unsqueeze", "features", drawing.constant([2], "int64"))
    for _ in range(1 + seed % 4):
        drawing.layer()
    if seed % 5 == 0:
        drawing.residual(2, 1)
    drawing.head(["GlobalAveragePool", "ReduceMean", "GlobalMaxPool"][seed % 3])
    lost = 1_000 - drawing.frames * drawing.hop
    frames = lost + int(drawing.rng.integers(2, 9)) * drawing.hop + int(drawing.rng.integers(9))
    return drawing.model(frames), contract_of(frames), drawing.hop


@pytest.mark.parametrize("seed", range(40))
def test_every_hop_equals_the_windowed_network(seed: int) -> None:
    model, contract, hop = drawn(seed)
    streaming = streaming_form(model, contract)
    stream = stream_of(streaming)
    assert stream is not None
    assert (stream.hop_frames, stream.window_frames) == (hop, contract.input_shape[-1])
    golden = clips(5, *contract.input_shape)
    assert np.ptp(parity.logits(model, golden), axis=0).max() > 0.01
    proof = stream_parity.check(model, streaming, golden)
    assert proof["max_abs_diff"] <= 1e-4
    assert proof["decisions"] > 10


@pytest.fixture(scope="module")
def bottleneck() -> tuple[onnx.ModelProto, Contract]:
    return trained()


def trained(**fields: Any) -> tuple[onnx.ModelProto, Contract]:
    """The shipped network without padding, with one strided block."""
    torch.manual_seed(1)
    shape = {"channels": 6, "blocks": 2, "kernel_size": 5, "strided_blocks": (2,), "head": 8}
    backbone = Backbone(padding="valid", **shape, **fields)
    contract = contract_of(41, **backbone.model_dump(mode="json"))
    network: Any = checkpoint.build(contract)
    with torch.no_grad():
        for _ in range(20):  # its own statistics, so that no value is constant
            network.train()(torch.from_numpy(clips(32, N_MELS, 41, seed=1)))
        network.classifier.weight *= 10
    return export_lowered(network.eval(), contract), contract


def int8(model: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    quantizer = QUANTIZER.validate_python({"kind": "onnxruntime", "reduce_range": SATURATES})
    return quantizer.quantize(model, clips(24, *contract.input_shape, seed=2), "minmax")


@pytest.fixture(scope="module")
def quantized(bottleneck: tuple[onnx.ModelProto, Contract]) -> tuple[onnx.ModelProto, Contract]:
    return int8(*bottleneck), bottleneck[1]


def test_the_shipped_network_in_both_precisions(
    bottleneck: tuple[onnx.ModelProto, Contract], quantized: tuple[onnx.ModelProto, Contract]
) -> None:
    model, contract = bottleneck
    golden = clips(8, *contract.input_shape, seed=3)
    assert np.ptp(parity.logits(model, golden), axis=0).min() > 0.5
    for windowed, dtype in ((model, "float32"), (quantized[0], "uint8")):
        streaming = streaming_form(windowed, contract)
        proof = stream_parity.check(windowed, streaming, golden)
        assert proof["label_agreement"] == 1
        assert proof["max_abs_diff"] <= 1e-4
        stream = stream_of(streaming)
        assert stream is not None
        assert stream.hop_frames == 4
        assert {state.dtype for state in stream.states} == {dtype}
        assert hop_s(streaming) == 0.04


def test_patches_of_bands_in_both_precisions() -> None:
    model, contract = trained(patches={"bands": 4, "hop": 2, "channels": 3})
    golden = clips(8, *contract.input_shape, seed=3)
    for windowed in (model, int8(model, contract)):
        proof = stream_parity.check(windowed, streaming_form(windowed, contract), golden)
        assert proof["label_agreement"] == 1
        assert proof["max_abs_diff"] <= 1e-4


@pytest.mark.parametrize("seed", [9, 14, 15, 22, 30])
def test_drawn_networks_in_int8(seed: int) -> None:
    model, contract, _ = drawn(seed)
    windowed, golden = int8(model, contract), clips(6, *contract.input_shape)
    assert len(set(parity.logits(windowed, golden).argmax(axis=1))) > 1
    proof = stream_parity.check(windowed, streaming_form(windowed, contract), golden)
    assert proof["label_agreement"] == 1


def test_int8_layers_stay_int8(quantized: tuple[onnx.ModelProto, Contract]) -> None:
    from edgekws.metrics import execution, graph

    streaming = of_one_hop(streaming_form(*quantized))
    assert graph.int8_coverage(streaming) == 1
    assert graph.parameters(streaming) == graph.parameters(quantized[0])
    executed = [node.op_type for node in execution.optimized(streaming).graph.node]
    assert "QLinearAveragePool" in executed
    assert "DequantizeLinear" not in executed


def test_a_hop_costs_its_own_frames_only(bottleneck: tuple[onnx.ModelProto, Contract]) -> None:
    from edgekws.metrics import graph

    stem, block = N_MELS * 6 * 3, 6 * 18 + 18 * 5 + 18 * 6
    strided = 2 * 6 * 18 + 18 * 5 + 18 * 6  # it expands two frames per output frame
    hop = 2 * (stem + block) + strided + 6 * 8 + 8 * N_LABELS
    assert graph.macs(of_one_hop(streaming_form(*bottleneck))) == hop


@pytest.mark.parametrize("precision", ["bottleneck", "quantized"])
def test_the_lengths_of_the_pieces_do_not_matter(
    precision: str, request: pytest.FixtureRequest
) -> None:
    streaming = streaming_form(*request.getfixturevalue(precision))
    frames = clips(1, N_MELS, 480)[0]
    session = StreamSession(streaming)
    whole = session.feed(frames)
    assert whole.shape == (120, N_LABELS)
    for hops in ([1] * 120, [7, 50, 1, 62], [119, 1]):
        session.reset()
        np.testing.assert_allclose(session.feed_in_pieces(frames, hops), whole, atol=1e-5)


def test_only_a_reset_clears_the_states(
    bottleneck: tuple[onnx.ModelProto, Contract],
) -> None:
    session = StreamSession(streaming_form(*bottleneck))
    first = session.feed(clips(1, N_MELS, 48)[0])
    again = session.feed(clips(1, N_MELS, 48)[0])
    assert np.abs(first[0] - again[0]).max() > 1e-3
    session.reset()
    np.testing.assert_array_equal(session.feed(clips(1, N_MELS, 48)[0]), first)


def test_a_file_keeps_the_states(
    bottleneck: tuple[onnx.ModelProto, Contract], tmp_path: Any
) -> None:
    streaming, contract = streaming_form(*bottleneck), bottleneck[1]
    onnx_file.save(streaming, contract, tmp_path / "stream.onnx")
    read, same = onnx_file.load(tmp_path / "stream.onnx")
    assert same == contract
    assert stream_of(read) == stream_of(streaming)
    assert stream_of(bottleneck[0]) is None
    inputs = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim]
              for i in read.graph.input}  # fmt: skip
    assert inputs["features"] == [1, N_MELS, "frames"]


def test_another_network_breaks_parity(
    bottleneck: tuple[onnx.ModelProto, Contract], quantized: tuple[onnx.ModelProto, Contract]
) -> None:
    golden = clips(4, *bottleneck[1].input_shape)
    for windowed, message in (
        (bottleneck, r"the streaming form: logits differ by .* at most 0\.0001"),
        (quantized, r"only \d.*% of \d+ decisions have the label .* at least 99\.5%"),
    ):
        other = onnx.ModelProto()
        other.CopyFrom(windowed[0])
        _turn_labels(other)
        with pytest.raises(ParityError, match=message):
            stream_parity.check(windowed[0], streaming_form(other, windowed[1]), golden)


def _turn_labels(model: onnx.ModelProto) -> None:
    """Permute the classifier's logits."""
    weight = next(t for t in model.graph.initializer if t.name == "classifier.weight")
    turned = numpy_helper.to_array(weight)[::-1].copy()
    weight.CopyFrom(numpy_helper.from_array(turned, "classifier.weight"))


def unstreamable() -> Iterator[tuple[str, Callable[[Drawing], None]]]:
    """Yield layers that cannot be streamed, with the message of the refusal."""

    def padded(drawing: Drawing) -> None:
        drawing.convolution(3)
        drawing.nodes[-1].attribute.append(helper.make_attribute("pads", [1, 1]))

    def excited(drawing: Drawing) -> None:
        drawing.convolution(3)
        gate = drawing.node("Sigmoid", drawing.node("GlobalAveragePool", drawing.at))
        drawing.at = drawing.node("Mul", drawing.at, gate)

    def flattened(drawing: Drawing) -> None:
        drawing.at = drawing.node("Flatten", drawing.at)

    def unknown(drawing: Drawing) -> None:
        drawing.at = drawing.node("Softmax", drawing.at, axis=2)

    def weighted(drawing: Drawing) -> None:
        drawing.at = drawing.node("Mul", drawing.at, drawing.constant(np.arange(30)))

    def strided_crop(drawing: Drawing) -> None:
        ends = (drawing.constant([n], "int64") for n in (0, 20, 2, 2))
        drawing.at = drawing.node("Slice", drawing.at, *ends)

    def over_the_end(drawing: Drawing) -> None:
        drawing.at = drawing.node(
            "AveragePool", drawing.at, kernel_shape=[4], strides=[4], ceil_mode=1
        )

    yield r'layer conv_0 \(Conv\) pads the ends .* padding = "valid"', padded
    yield r"layer mul_3 \(Mul\) combines the frames .* \(squeeze-excitation\)", excited
    yield r"layer flatten_0 \(Flatten\) takes all frames .* ends in a mean over time", flattened
    yield r"layer softmax_0 \(Softmax\) is not supported frame by frame", unknown
    yield r"layer mul_0 \(Mul\) treats the frames of a window by their position", weighted
    yield r"layer slice_0 \(Slice\) crops an axis other than time", strided_crop
    yield (
        r"layer averagepool_0 \(AveragePool\) extends past the end .* ceil_mode to 0",
        over_the_end,
    )


@pytest.mark.parametrize(("message", "spoil"), list(unstreamable()))
def test_what_cannot_be_streamed_is_named(message: str, spoil: Callable[[Drawing], None]) -> None:
    drawing = Drawing(0, axes=1)
    spoil(drawing)
    if "Flatten" not in message:
        drawing.head("GlobalAveragePool")
    else:
        weight = drawing.constant(np.ones((N_LABELS, N_MELS * 30)))
        gemm = helper.make_node("Gemm", [drawing.at, weight], ["logits"], transB=1)
        drawing.nodes.append(gemm)
    with pytest.raises(UnsupportedError, match=message):
        streaming_form(drawing.model(30), contract_of(30))


def test_means_at_two_rates_are_refused() -> None:
    drawing = Drawing(0, axes=1)
    slow, fast = drawing.node("GlobalAveragePool", "features"), ""
    drawing.convolution(3, stride=2, out=N_MELS)
    fast = drawing.node("GlobalAveragePool", drawing.at)
    drawing.at = drawing.node("Add", slow, fast)
    flat = drawing.node("Flatten", drawing.at)
    weight = drawing.constant(np.ones((N_LABELS, N_MELS)))
    drawing.nodes.append(helper.make_node("Gemm", [flat, weight], ["logits"], transB=1))
    with pytest.raises(UnsupportedError, match=r"different rates .* every 1, .* every 2"):
        streaming_form(drawing.model(30), contract_of(30))


def test_a_3d_network_is_refused(bottleneck: tuple[onnx.ModelProto, Contract]) -> None:
    model, contract = bottleneck
    three_d = replace(contract, input_shape=(1, *contract.input_shape))
    with pytest.raises(UnsupportedError, match="add a step to2d before this one"):
        streaming_form(model, three_d)
