"""A network with explicit state: each hop of new frames costs only its own.

What a convolution needs of frames gone by comes in as a state and goes out as the next one, and
so do the frames of the mean over the window. Every layer ends its output where the window's ends,
so that the logits are those of the windowed network on the last frames.

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
"""Operators that treat each frame alike, where no constant and no axis of theirs is over time."""

_NO_FACTORS = ("BatchNormalization", "Clip", "Gather", "Squeeze", "Unsqueeze")
"""Those whose constants do not meet the frames element by element."""

_POOLS = {"GlobalAveragePool": "AveragePool", "GlobalMaxPool": "MaxPool"}

_WHOLE_WINDOW = ("Flatten", "Gemm", "MatMul", "Reshape")


def streaming_form(model: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    """Return the network of a windowed model, FP32 or INT8 (QDQ), with explicit state.

    The model takes `(batch, n_mels, T)` with a free batch, in Conv1d or Conv2d of height 1. How
    the result is fed stands in its metadata (`stream_state.stream_of`), beside the contract.
    States behind a DequantizeLinear are kept in 8 bits.

    Raises:
        UnsupportedError: a layer cannot be computed frame by frame; the message names it and
            says what to set.
    """
    if contract.representation != "2d":
        raise UnsupportedError(
            f"a network in the 3-D representation (input {contract.input_shape}) has no streaming "
            "form; put a step to2d before it"
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
    """A tensor over time: its frames in the windowed network, and input frames between two."""

    frames: int
    hop: int


class _Rewriting:
    """The windowed graph node by node, in its order."""

    def __init__(self, model: onnx.ModelProto, window_frames: int) -> None:
        self._buffers = Buffers(model)
        self._window_frames = window_frames
        self._flows = {model.graph.input[0].name: _Flow(window_frames, 1)}
        self._decisions: set[str] = set()
        self._quantized: set[str] = set()
        self._pools: dict[str, int] = {}

    def rewrite(self, node: onnx.NodeProto) -> None:
        """Write down what becomes of `node`."""
        if node.output[0] in self._quantized:
            return
        node = _copied(node)
        over_time = any(name in self._flows for name in node.input)
        behind_pool = not self._decisions.isdisjoint(node.input)
        if over_time and behind_pool:
            raise refused(
                node,
                "meets the frames with a value of the whole window (squeeze-excitation), which is "
                "another one at every hop; choose a backbone without it",
            )
        if over_time:
            self._writer(node)(node)
            return
        self._buffers.write(node)
        if behind_pool:
            self._decisions.update(node.output)

    def to_model(self) -> onnx.ModelProto:
        """Return the streaming graph."""
        hops = set(self._pools.values())
        if len(hops) != 1:
            told = ", ".join(f"{name} every {hop}" for name, hop in self._pools.items()) or "none"
            raise UnsupportedError(
                f"the network takes means over the window at different paces (frames: {told}), so "
                "that no hop ends them all; let the strides before them have one product"
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
                "takes all frames of the window at once, so that no hop could use what the one "
                "before it computed; choose a backbone that ends in a mean over time",
            )
        raise refused(
            node,
            "is not known to work frame by frame; choose a backbone of convolutions, activations, "
            "sums and a mean over time, or take out the step stream",
        )

    def _frame_by_frame(self, node: onnx.NodeProto) -> None:
        flows = {self._flows[name] for name in node.input if name in self._flows}
        if len(flows) > 1 or self._varies(node) or self._moves_time(node):
            raise refused(
                node,
                "treats the frames of a window by their place in it; choose a backbone that "
                "treats all frames alike",
            )
        self._buffers.write(node)
        self._flows |= dict.fromkeys(node.output, flows.pop())

    def _varies(self, node: onnx.NodeProto) -> bool:
        """Tell whether a constant of `node` has a value of its own for each frame."""
        if node.op_type in _NO_FACTORS:
            return False
        shapes = [self._buffers.shape(n) for n in node.input if self._buffers.graph.is_constant(n)]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            rank = len(self._buffers.shape(node.input[0]))
            at_time = attribute(node, "axis", 1) in (-1, rank - 1)
            return at_time and any(shape not in ((), (1,)) for shape in shapes)
        return any(shape and shape[-1] != 1 for shape in shapes)

    def _moves_time(self, node: onnx.NodeProto) -> bool:
        """Tell whether `node` joins frames, or leaves another axis than time as the last one."""
        if node.op_type in ("Concat", "Gather"):
            axis = attribute(node, "axis", 0)
            return axis in (-1, len(self._buffers.shape(node.input[0])) - 1)
        if node.op_type not in ("Squeeze", "Unsqueeze"):
            return False
        longer = node.input[0] if node.op_type == "Squeeze" else node.output[0]
        last = len(self._buffers.shape(longer)) - 1
        return any(axis in (-1, last) for axis in self._buffers.numbers(node, 1))

    def _keeps_time(self, node: onnx.NodeProto) -> bool:
        """Tell whether the last axis stays as it is, so that no frame meets another."""
        before, after = (self._buffers.shape(name) for name in (node.input[0], node.output[0]))
        return before[-1] == after[-1] and 0 not in before + after

    def _reshape(self, node: onnx.NodeProto) -> None:
        """Write what rearranges bands and channels, for any number of frames."""
        shape = [*self._buffers.shape(node.output[0])[:-1], -1]
        node.input[1] = self._buffers.constant(f"{node.output[0]}.shape", shape)
        self._buffers.write(node)
        self._flows[node.output[0]] = self._flows[node.input[0]]

    def _convolution(self, node: onnx.NodeProto) -> None:
        """Put before the frames of a convolution or a pooling those that it reaches back to."""
        flow = self._flows[node.input[0]]
        _check_padding(node)
        kernel = attribute(node, "kernel_shape", None) or self._buffers.shape(node.input[1])
        reach = (kernel[-1] - 1) * attribute(node, "dilations", [1])[-1] + 1
        stride = attribute(node, "strides", [1])[-1]
        steps, unused = divmod(flow.frames - reach, stride)
        if unused and attribute(node, "ceil_mode", 0):
            raise refused(node, "reaches over the end of the window; set its ceil_mode to 0")
        # In the window its last `unused` frames are left over, so they are in every hop.
        back = reach - stride + unused
        node.input[0] = self._buffers.reaching_back(node.input[0], back, node)
        self._buffers.write(node)
        self._flows[node.output[0]] = _Flow(steps + 1, flow.hop * stride)

    def _crop(self, node: onnx.NodeProto) -> None:
        """Turn what cuts off the window's end into a delay; a stream has no beginning to cut."""
        source = node.input[0]
        rank, flow = len(self._buffers.shape(source)), self._flows[source]
        starts, ends, *more = (self._buffers.numbers(node, at) for at in range(1, len(node.input)))
        axes = [axis % rank for axis in more[0]] if more else list(range(len(starts)))
        if axes != [rank - 1] or more[1:] not in ([], [[1]]):
            raise refused(node, "cuts another axis than time; let it cut whole frames off the ends")
        first, end, _ = slice(starts[0], ends[0]).indices(flow.frames)
        delay, result = flow.frames - end, node.output[0]
        if delay:
            self._buffers.cut(self._buffers.reaching_back(source, delay, node), result, 0, -delay)
        else:
            self._buffers.write(helper.make_node("Identity", [source], [result]))
        self._flows[result] = _Flow(end - first, flow.hop)

    def _pool(self, node: onnx.NodeProto) -> None:
        """Turn a value of the window into one a hop, and the hops into the batch."""
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
        turned = f"{result}.turned" if dropped else result  # (1, C, 1, hops) -> (hops, C, 1, 1)
        axes = [rank - 1, *range(1, rank - 1), 0]
        self._buffers.write(helper.make_node("Transpose", [pooled], [turned], perm=axes))
        if dropped:
            names = [turned, self._buffers.constant(f"{result}.axes", dropped)]
            self._buffers.write(helper.make_node("Squeeze", names, [result]))
        self._decisions.add(result)
        self._pools[layer_name(node)] = flow.hop

    def _dropped_axes(self, node: onnx.NodeProto, rank: int) -> list[int]:
        """Return the axes that a mean leaves out of its result; pools leave out none."""
        if node.op_type in _POOLS:
            return []
        axes = sorted(axis % rank for axis in self._buffers.numbers(node, 1))
        if axes not in ([rank - 1], list(range(2, rank))):
            raise refused(node, "is a mean over another axis than time; let it be over time")
        return [] if attribute(node, "keepdims", 1) else axes

    def _quantize_hops(self, quantizer: onnx.NodeProto, pooled: str) -> tuple[str, str]:
        """Quantize before the hops are turned into the batch, so that the pool stays in 8 bits."""
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
            "pads the ends of the window with zeros, where a stream goes on; train the network "
            'with padding = "valid" in its backbone table, or choose a backbone that has it',
        )
