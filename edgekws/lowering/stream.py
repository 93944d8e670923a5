"""Rewrite a network with explicit state, so that each hop processes only its new frames.

The past frames that a convolution needs are an input state and an output state, and so are the
frames of the mean over the window. Every layer aligns its output with the end of the window, so
the logits are those of the windowed network on the latest frames.

Source: Rybakov et al., "Streaming keyword spotting on mobile devices", 2020.
"""

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from onnx import helper

from edgekws.core.contract import Contract
from edgekws.errors import UnsupportedError
from edgekws.lowering.graph import attribute
from edgekws.lowering.stream_buffers import Buffers, layer_name, refused

_FRAME_BY_FRAME = frozenset({
    "Abs", "Add", "BatchNormalization", "Cast", "Clip", "Concat", "DequantizeLinear", "Div",
    "Dropout", "Elu", "Erf", "Exp", "Gather", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Max", "Min", "Mish", "Mul", "Neg", "PRelu", "QuantizeLinear", "Relu", "Selu",
    "Sigmoid", "Softplus", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Unsqueeze",
})  # fmt: skip
"""Operators that treat all frames alike, unless a constant or an axis of theirs is over time."""

_NO_FACTORS = ("BatchNormalization", "Clip", "Gather", "Squeeze", "Unsqueeze")
"""Those with constants that do not broadcast against the frames."""

_POOLS = {"GlobalAveragePool": "AveragePool", "GlobalMaxPool": "MaxPool"}

_WHOLE_WINDOW = ("Flatten", "Gemm", "MatMul", "Reshape")


def streaming_form(model: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    """Return the network of a windowed model, FP32 or INT8 (QDQ), with explicit state.

    The model takes `(batch, n_mels, T)` with a dynamic batch, in Conv1d or Conv2d of height 1. The
    metadata of the result describe its states (`stream_state.stream_of`), next to the contract.
    States from a DequantizeLinear are stored in 8 bits.

    Raises:
        UnsupportedError: a layer cannot be computed frame by frame; the message names it and
            what to set.
    """
    if contract.representation != "2d":
        raise UnsupportedError(
            f"a network in the 3-D representation (input {contract.input_shape}) has no streaming "
            "form; add a step to2d before this one"
        )
    rewriting = _Rewriting(model, contract.input_shape[-1])
    for node in model.graph.node:
        rewriting.rewrite(node)
    streaming = rewriting.to_model()
    entry = streaming.metadata_props.add()
    entry.key, entry.value = "contract", contract.to_json()
    return streaming


@dataclass(frozen=True)
class _Flow:
    """A tensor over time: its frames in the windowed network, and input frames per frame."""

    frames: int
    hop: int


class _Rewriting:
    """Rewrites the windowed graph node by node, in order."""

    def __init__(self, model: onnx.ModelProto, window_frames: int) -> None:
        self._buffers = Buffers(model)
        self._window_frames = window_frames
        self._flows = {model.graph.input[0].name: _Flow(window_frames, 1)}
        self._decisions: set[str] = set()
        self._quantized: set[str] = set()
        self._pools: dict[str, int] = {}

    def rewrite(self, node: onnx.NodeProto) -> None:
        """Write the streaming form of `node`."""
        if node.output[0] in self._quantized:
            return
        node = _copied(node)
        over_time = any(name in self._flows for name in node.input)
        after_pool = not self._decisions.isdisjoint(node.input)
        if over_time and after_pool:
            raise refused(
                node,
                "combines the frames with a value of the whole window (squeeze-excitation), which "
                "changes with every hop; choose a backbone without it",
            )
        if over_time:
            self._writer(node)(node)
            return
        self._buffers.write(node)
        if after_pool:
            self._decisions.update(node.output)

    def to_model(self) -> onnx.ModelProto:
        """Return the streaming graph."""
        hops = set(self._pools.values())
        if len(hops) != 1:
            rates = ", ".join(f"{name} every {hop}" for name, hop in self._pools.items()) or "none"
            raise UnsupportedError(
                f"the network takes means over the window at different rates (frames: {rates}), so "
                "no single hop fits them; use the same total stride before each of them"
            )
        return self._buffers.to_model(hops.pop(), self._window_frames)

    def _writer(self, node: onnx.NodeProto) -> Callable[[onnx.NodeProto], None]:
        kind = node.op_type
        if kind in _FRAME_BY_FRAME:
            return self._frame_by_frame
        if kind in ("Conv", "AveragePool", "MaxPool"):
            return self._convolution
        if kind in _POOLS or kind == "ReduceMean":
            return self._pool
        if kind == "Slice":
            return self._crop
        if kind == "Reshape" and self._keeps_time(node):
            return self._reshape
        if kind in _WHOLE_WINDOW:
            raise refused(
                node,
                "takes all frames of the window at once, so no hop can reuse the results of the "
                "previous one; choose a backbone that ends in a mean over time",
            )
        raise refused(
            node,
            "is not supported frame by frame; choose a backbone of convolutions, activations, "
            "sums and a mean over time, or remove the step stream",
        )

    def _frame_by_frame(self, node: onnx.NodeProto) -> None:
        flows = {self._flows[name] for name in node.input if name in self._flows}
        if len(flows) > 1 or self._varies(node) or self._moves_time(node):
            raise refused(
                node,
                "treats the frames of a window by their position in it; choose a backbone that "
                "treats all frames alike",
            )
        self._buffers.write(node)
        self._flows |= dict.fromkeys(node.output, flows.pop())

    def _varies(self, node: onnx.NodeProto) -> bool:
        """Return whether a constant of `node` has a separate value for each frame."""
        if node.op_type in _NO_FACTORS:
            return False
        shapes = [self._buffers.shape(n) for n in node.input if self._buffers.graph.is_constant(n)]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            rank = len(self._buffers.shape(node.input[0]))
            at_time = attribute(node, "axis", 1) in (-1, rank - 1)
            return at_time and any(shape not in ((), (1,)) for shape in shapes)
        return any(shape and shape[-1] != 1 for shape in shapes)

    def _moves_time(self, node: onnx.NodeProto) -> bool:
        """Return whether `node` joins frames, or makes an axis other than time the last one."""
        if node.op_type in ("Concat", "Gather"):
            axis = attribute(node, "axis", 0)
            return axis in (-1, len(self._buffers.shape(node.input[0])) - 1)
        if node.op_type not in ("Squeeze", "Unsqueeze"):
            return False
        longer = node.input[0] if node.op_type == "Squeeze" else node.output[0]
        last = len(self._buffers.shape(longer)) - 1
        return any(axis in (-1, last) for axis in self._buffers.numbers(node, 1))

    def _keeps_time(self, node: onnx.NodeProto) -> bool:
        """Return whether the last axis is unchanged, so that no frames are mixed."""
        before, after = (self._buffers.shape(name) for name in (node.input[0], node.output[0]))
        return before[-1] == after[-1] and 0 not in before + after

    def _reshape(self, node: onnx.NodeProto) -> None:
        """Write a Reshape of bands and channels for any number of frames."""
        shape = [*self._buffers.shape(node.output[0])[:-1], -1]
        node.input[1] = self._buffers.constant(f"{node.output[0]}.shape", shape)
        self._buffers.write(node)
        self._flows[node.output[0]] = self._flows[node.input[0]]

    def _convolution(self, node: onnx.NodeProto) -> None:
        """Prepend the past frames that a convolution or a pooling needs."""
        flow = self._flows[node.input[0]]
        _check_padding(node)
        kernel = attribute(node, "kernel_shape", None) or self._buffers.shape(node.input[1])
        reach = (kernel[-1] - 1) * attribute(node, "dilations", [1])[-1] + 1
        stride = attribute(node, "strides", [1])[-1]
        steps, unused = divmod(flow.frames - reach, stride)
        if unused and attribute(node, "ceil_mode", 0):
            raise refused(node, "extends past the end of the window; set its ceil_mode to 0")
        # The window leaves its last `unused` frames over, so every hop does too.
        back = reach - stride + unused
        node.input[0] = self._buffers.reaching_back(node.input[0], back, node)
        self._buffers.write(node)
        self._flows[node.output[0]] = _Flow(steps + 1, flow.hop * stride)

    def _crop(self, node: onnx.NodeProto) -> None:
        """Turn a crop of the window's end into a delay; a stream has no start to crop."""
        source = node.input[0]
        rank, flow = len(self._buffers.shape(source)), self._flows[source]
        starts, ends, *more = (self._buffers.numbers(node, at) for at in range(1, len(node.input)))
        axes = [axis % rank for axis in more[0]] if more else list(range(len(starts)))
        if axes != [rank - 1] or more[1:] not in ([], [[1]]):
            raise refused(node, "crops an axis other than time; crop only whole frames at the ends")
        first, end, _ = slice(starts[0], ends[0]).indices(flow.frames)
        delay, result = flow.frames - end, node.output[0]
        if delay:
            self._buffers.cut(self._buffers.reaching_back(source, delay, node), result, 0, -delay)
        else:
            self._buffers.write(helper.make_node("Identity", [source], [result]))
        self._flows[result] = _Flow(end - first, flow.hop)

    def _pool(self, node: onnx.NodeProto) -> None:
        """Turn a value per window into one per hop, and the hops into the batch."""
        source, result = node.input[0], node.output[0]
        rank, flow = len(self._buffers.shape(source)), self._flows[source]
        dropped = self._dropped_axes(node, rank)
        pooled = f"{result}.hops"
        self._buffers.write(
            helper.make_node(
                _POOLS.get(node.op_type, "AveragePool"),
                [self._buffers.reaching_back(source, flow.frames - 1, node)],
                [pooled],
                node.name,
                kernel_shape=[1] * (rank - 3) + [flow.frames],
            )
        )
        quantizers = self._buffers.graph.consumers(result)
        if len(quantizers) == 1 and quantizers[0].op_type == "QuantizeLinear" and not dropped:
            pooled, result = self._quantize_hops(quantizers[0], pooled)
        swapped = f"{result}.turned" if dropped else result  # (1, C, 1, hops) -> (hops, C, 1, 1)
        axes = [rank - 1, *range(1, rank - 1), 0]
        self._buffers.write(helper.make_node("Transpose", [pooled], [swapped], perm=axes))
        if dropped:
            names = [swapped, self._buffers.constant(f"{result}.axes", dropped)]
            self._buffers.write(helper.make_node("Squeeze", names, [result]))
        self._decisions.add(result)
        self._pools[layer_name(node)] = flow.hop

    def _dropped_axes(self, node: onnx.NodeProto, rank: int) -> list[int]:
        """Return the axes that a mean drops from its result; pools drop none."""
        if node.op_type in _POOLS:
            return []
        axes = sorted(axis % rank for axis in self._buffers.numbers(node, 1))
        if axes not in ([rank - 1], list(range(2, rank))):
            raise refused(node, "is a mean over an axis other than time; take it over time")
        return [] if attribute(node, "keepdims", 1) else axes

    def _quantize_hops(self, quantizer: onnx.NodeProto, pooled: str) -> tuple[str, str]:
        """Quantize before the hops become the batch, so that the pool stays in 8 bits."""
        result = quantizer.output[0]
        early = _copied(quantizer)
        early.input[0], early.output[0] = pooled, f"{result}.hops"
        self._buffers.write(early)
        self._quantized.add(result)
        return early.output[0], result


def _copied(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _check_padding(node: onnx.NodeProto) -> None:
    pads = attribute(node, "pads", [0, 0])
    automatic = attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    if automatic or pads[len(pads) // 2 - 1] or pads[-1]:
        raise refused(
            node,
            "pads the ends of the window with zeros, where a stream continues; train the network "
            'with padding = "valid" in its backbone table, or choose a backbone that supports it',
        )
