"""A streaming graph under construction: its nodes, and the frames that its layers store."""

import numpy as np
import onnx
from onnx import TensorProto, helper, shape_inference

from edgekws.errors import UnsupportedError
from edgekws.lowering.graph import Graph
from edgekws.lowering.stream_state import KEY, Dtype, State, Stream

_DTYPES: dict[int, Dtype] = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
}
_NUMBERS = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int8": TensorProto.INT8}
_END = 2**31 - 1


def refused(node: onnx.NodeProto, reason: str) -> UnsupportedError:
    """Return the error for a layer that cannot be streamed: its name, and why."""
    return UnsupportedError(f"layer {layer_name(node)} ({node.op_type}) {reason}")


def layer_name(node: onnx.NodeProto) -> str:
    """Return the name of a node."""
    return str(node.name or node.output[0])


class Buffers:
    """The nodes of the streaming graph so far; time is the last axis of its tensors."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = Graph(model)
        self.states: list[State] = []
        self._nodes: list[onnx.NodeProto] = []
        self._last: list[onnx.NodeProto] = []
        self._types = _types(model)
        self._outputs = {output.name for output in model.graph.output}

    def write(self, node: onnx.NodeProto) -> None:
        """Append a node."""
        self._nodes.append(node)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the windowed network at batch 1."""
        return self._types[tensor][1]

    def numbers(self, node: onnx.NodeProto, at: int) -> list[int]:
        """Return the constant integers in input `at` of a node."""
        if not self.graph.is_constant(node.input[at]):
            raise refused(node, "takes integers that are not constant; simplify the graph first")
        return [int(number) for number in self.graph.array(node.input[at]).ravel()]

    def constant(self, name: str, numbers: list[int]) -> str:
        """Add a constant of integers and return its name."""
        self.graph.set_array(name, np.array(numbers, np.int64))
        return name

    def cut(self, source: str, result: str, start: int, end: int = _END) -> None:
        """Write a node that slices the frames from `start` to `end` of `source`."""
        bounds = [self.constant(f"frames.{n}", [n]) for n in (start, end, -1)]
        self.write(helper.make_node("Slice", [source, *bounds], [result]))

    def reaching_back(self, tensor: str, frames: int, layer: onnx.NodeProto) -> str:
        """Return `tensor` with `frames` past frames prepended; stored in 8 bits if quantized.

        If a stride skips frames, `frames` is negative: the first ones are dropped instead.
        """
        if frames == 0:
            return tensor
        source = self.graph.producer(tensor)
        if source is None or source.op_type != "DequantizeLinear":
            return self._reaching_back(tensor, frames, layer, 0)
        zero = self.graph.array(source.input[2]).flat[0] if len(source.input) > 2 else 0
        stored = self._reaching_back(source.input[0], frames, layer, int(zero))
        result = f"{stored}.restored"
        restored = helper.make_node("DequantizeLinear", [stored, *source.input[1:]], [result])
        restored.attribute.extend(source.attribute)
        self.write(restored)
        return result

    def _reaching_back(self, source: str, frames: int, layer: onnx.NodeProto, fill: int) -> str:
        name = layer_name(layer)
        result = f"{name}.frames"
        if frames < 0:
            self.cut(source, result, -frames)
            return result
        kind, shape = self._types[source]
        if kind not in _DTYPES:
            raise refused(layer, f"stores {TensorProto.DataType.Name(kind)} frames; use 8 bits")
        before, after = self._add_state(name, (*shape[:-1], frames), kind, fill)
        self.write(helper.make_node("Concat", [before, source], [result], axis=len(shape) - 1))
        self.cut(result, after, -frames)
        return result

    def _add_state(
        self, name: str, shape: tuple[int, ...], kind: int, fill: int
    ) -> tuple[str, str]:
        """Add the state of a layer; return the tensor to read it from and the one to write.

        onnxruntime computes 8-bit convolutions of height 1 with channels last: a state in that
        layout saves a transposition at the input and one at the output.
        """
        state, next_state = f"{name}.state", f"{name}.next"
        if kind == TensorProto.FLOAT or len(shape) != 4:
            self.states.append(State(state, next_state, shape, _DTYPES[kind], fill))
            return state, next_state
        before, after = f"{name}.before", f"{name}.after"
        channels_last = (shape[0], *shape[2:], shape[1])
        self.states.append(State(state, next_state, channels_last, _DTYPES[kind], fill))
        self.write(helper.make_node("Transpose", [state], [before], perm=[0, 3, 1, 2]))
        self._last.append(helper.make_node("Transpose", [after], [next_state], perm=[0, 2, 3, 1]))
        return before, after

    def to_model(self, hop_frames: int, window_frames: int) -> onnx.ModelProto:
        """Return the streaming graph, described in its metadata."""
        ends = self._outputs | {state.output for state in self.states}
        self.graph.nodes = _needed(self._nodes + self._last, ends)
        model = self.graph.to_model()
        graph = model.graph
        features, logits = graph.input[0], graph.output[0]
        input_shape: list[str | int | None] = [1, *self.shape(features.name)[1:-1], "frames"]
        output_shape: list[str | int | None] = ["hops", *self.shape(logits.name)[1:]]
        for end, shape in ((features, input_shape), (logits, output_shape)):
            end.CopyFrom(helper.make_tensor_value_info(end.name, TensorProto.FLOAT, shape))
        for state in self.states:
            for ends, name in ((graph.input, state.input), (graph.output, state.output)):
                kind = _NUMBERS[state.dtype]
                ends.append(helper.make_tensor_value_info(name, kind, state.shape))
        del model.metadata_props[:]
        entry = model.metadata_props.add()
        stream = Stream(hop_frames, window_frames, tuple(self.states))
        entry.key, entry.value = KEY, stream.to_json()
        onnx.checker.check_model(model)
        return model


def _types(model: onnx.ModelProto) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return the element type and the shape at batch 1 of every tensor that has both."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    for end in (*single.graph.input, *single.graph.output):
        end.type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(single, strict_mode=True, data_prop=True).graph
    types = {
        value.name: (
            value.type.tensor_type.elem_type,
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    return types | {i.name: (i.data_type, tuple(i.dims)) for i in graph.initializer}


def _needed(nodes: list[onnx.NodeProto], tensors: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes on which any of the `tensors` depends."""
    needed: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if tensors.intersection(node.output):
            needed.append(node)
            tensors = tensors.union(node.input)
    return needed[::-1]
