"""Tensors and operators while a graph is read; movements become as few operators as possible."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.graph_nodes import Array, Node, scalar
from edgekws.codegen.views import Index, View, axis_order, whole
from edgekws.tflite.graph import Graph, Layer, Operator, Scales, Tensor, Type, Variable

SIGNED = 128
"""What an unsigned byte of ONNX is larger than the signed one of TFLite."""


class Builder:
    """Views by the names of ONNX tensors; a view's storage is a tensor of TFLite.

    `dequantized` are the bytes of float tensors, with the scale of those.
    """

    def __init__(self, constants: dict[str, Array]) -> None:
        """Begin with the constants of a graph."""
        self.constants = constants
        self.views: dict[str, View] = {}
        self.dequantized: dict[str, tuple[View, Scales]] = {}
        self._fills: dict[str, int] = {}
        self.tensors: dict[str, Tensor] = {}
        self._operators: list[Operator] = []
        self._variables: list[Variable] = []
        self._layers: list[Layer] = []
        self._moved: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._kept: dict[str, View] = {}
        self._constants: dict[tuple[Any, ...], str] = {}

    def view(self, node: Node, name: str) -> View:
        """Return where an input of a node lies.

        Raises:
            UnsupportedError: it is no tensor of bytes that an earlier layer made.
        """
        if name not in self.views:
            raise node.refuse(f"its input {name} is not computed by an INT8 layer")
        return self.views[name]

    def scales(self, scale: str, zero: str) -> Scales:
        """Return the quantization of a tensor of unsigned bytes, for signed ones."""
        return Scales((float(scalar(self.constants, scale)),), self.zero(zero))

    def zero(self, name: str) -> int:
        """Return a zero point, for signed bytes."""
        return int(scalar(self.constants, name)) - SIGNED

    def check_scales(self, node: Node, view: View, scales: Scales) -> None:
        """Refuse a layer that reads bytes with another scale than they were computed with."""
        if self.tensors[view.storage].scales != scales:
            raise node.refuse("it reads its input with another scale than it was written with")

    def add_tensor(
        self, name: str, shape: tuple[int, ...], type_: Type, scales: Scales | None = None
    ) -> str:
        """Add a tensor; return its name, made unique."""
        return self._add(Tensor(name, tuple(int(size) for size in shape), type_, scales))

    def add_constant(self, name: str, data: NDArray[Any], scales: Scales | None = None) -> str:
        """Add a constant, unless an equal one is there; return its name, made unique."""
        key = (data.dtype.name, data.shape, data.tobytes(), scales)
        if key not in self._constants:
            kind: Any = data.dtype.name
            constant = Tensor(name, data.shape, kind, scales, np.ascontiguousarray(data))
            self._constants[key] = self._add(constant)
        return self._constants[key]

    def add(self, code: str, inputs: list[str], output: str, **options: Any) -> str:
        """Add an operator that runs after those that are there; return its output."""
        self._operators.append(Operator(code, tuple(inputs), (output,), options))
        return output

    def apply(
        self, code: str, node: Node, inputs: list[str], shape: Any, scales: Scales, **options: Any
    ) -> str:
        """Add an operator with an int8 output; return the name of that."""
        output = self.add_tensor(node.name, shape, "int8", scales)
        return self.add(code, inputs, output, **options)

    def set_output(self, node: Node, tensor: str, index: Index) -> None:
        """Note where the output of a layer lies, as later nodes see it."""
        self.views[node.outputs[0]] = View(tensor, index)
        self._layers.append(Layer(node.name, node.outputs[0], tensor, index))

    def tensor(self, node: Node, view: View) -> str:
        """Return a tensor with the shape and order of a view: an existing one, or a moved one."""
        source, index = self.tensors[view.storage], view.index
        if index.size == source.size and view.is_contiguous():
            return self.reshaped(view.storage, index.shape)
        key = (view.storage, index.shape, index.tobytes())
        if key not in self._moved:
            self._moved[key] = self._move(node, view)
        return self._moved[key]

    def reshaped(self, name: str, shape: tuple[int, ...]) -> str:
        """Return a tensor with the same elements in another shape."""
        source = self.tensors[name]
        if source.shape == shape:
            return name
        key = (name, shape, b"")
        if key not in self._moved:
            sizes = self.add_constant(f"{name}/shape", np.array(shape, np.int32))
            output = self._like(source, "reshaped", shape)
            self._moved[key] = self.add("RESHAPE", [name, sizes], output, newShape=list(shape))
        return self._moved[key]

    def concatenate(self, node: Node, parts: list[View], axis: int) -> tuple[str, Index]:
        """Return the parts one behind the other."""
        tensors = [self.tensor(node, part) for part in parts]
        first = self.tensors[tensors[0]]
        if any(self.tensors[name].scales != first.scales for name in tensors):
            raise node.refuse("it concatenates tensors of different scales")
        shape = list(first.shape)
        shape[axis] = sum(self.tensors[name].shape[axis] for name in tensors)
        output = self._like(first, node.name, tuple(shape), whole_name=True)
        self.add("CONCATENATION", tensors, output, axis=axis)
        return output, whole(output, shape).index

    def add_state(self, name: str, shape: tuple[int, ...], fill: int) -> None:
        """Add frames that a layer keeps; `remember` gives them their variable."""
        self._fills[name] = fill
        self.views[name] = whole(name, shape)

    def is_state(self, view: View) -> bool:
        """Return whether a view is one of frames that a layer keeps."""
        return view.storage in self._fills

    def remember(self, node: Node, frames: View, view: View, axis: int) -> tuple[str, Index]:
        """Return the frames of a state and, behind them, those of a view.

        The state keeps frames of the tensor in which the view lies, so that what a movement takes
        several times from it is kept once.
        """
        state, shape, source = frames.storage, frames.index.shape, self.tensors[view.storage]
        fill = self._fills[state]
        along = self._axis_of_frames(view, axis)
        if along is None:
            view = View(
                self.tensor(node, view), np.arange(view.index.size).reshape(view.index.shape)
            )
            source, along = self.tensors[view.storage], axis
        kept = list(source.shape)
        kept[along] = shape[axis]
        assert source.scales is not None
        handle = self.add_tensor(f"{state}/handle", (1,), "resource")
        self.add("VAR_HANDLE", [], handle, container="", sharedName=state)
        before = self.add_tensor(state, tuple(kept), "int8", source.scales)
        self.add("READ_VARIABLE", [handle], before)
        both = list(source.shape)
        both[along] += kept[along]
        joint = self.add_tensor(node.name, tuple(both), "int8", source.scales)
        self.add("CONCATENATION", [before, source.name], joint, axis=along)
        begin = [0] * len(both)
        begin[along] = source.shape[along]
        after = self._slice(joint, begin, both)
        self._operators.append(Operator("ASSIGN_VARIABLE", (handle, after), ()))
        ends = (before, after)
        self._variables.append(Variable(state, tuple(kept), source.scales, fill, *ends))
        index = _behind(view.index, axis, source.shape, along, shape[axis])
        places = np.empty(frames.index.size, np.int64)
        places[frames.index.ravel()] = index.take(range(-shape[axis], 0), axis, mode="wrap").ravel()
        self._kept[state] = View(joint, places.reshape(self.views[state].index.shape))
        return joint, index

    def check_kept(self, state: str, following: str) -> None:
        """Assert that a state is followed by the last frames of what it was read for."""
        kept, after = self._kept[state], self.views[following]
        assert after.storage == kept.storage, state
        assert np.array_equal(after.index, kept.index), state

    def graph(self, input_: str, output: str) -> Graph:
        """Return what was added."""
        parts = tuple(self._operators), tuple(self._variables)
        return Graph(self.tensors, *parts, (input_,), output, tuple(self._layers))

    def _add(self, tensor: Tensor) -> str:
        unique, number = tensor.name, 2
        while unique in self.tensors:
            unique, number = f"{tensor.name}_{number}", number + 1
        self.tensors[unique] = replace(tensor, name=unique)
        return unique

    def _like(
        self, source: Tensor, what: str, shape: tuple[int, ...], whole_name: bool = False
    ) -> str:
        name = what if whole_name else f"{source.name}/{what}"
        return self.add_tensor(name, shape, source.type, source.scales)

    def _move(self, node: Node, view: View) -> str:
        source, index = self.tensors[view.storage], view.index
        box = _box(index, source.shape)
        if box is not None:
            return self.reshaped(self._slice(source.name, *box), index.shape)
        order = axis_order(index)
        ordered = View(view.storage, index.transpose(order))
        if ordered.is_contiguous() or _box(ordered.index, source.shape) is not None:
            perm = np.argsort(order).astype(np.int32)
            moved = self.tensor(node, ordered)
            constant = self.add_constant(f"{moved}/order", perm)
            output = self._like(source, "transposed", index.shape)
            return self.add("TRANSPOSE", [moved, constant], output)
        flat = self.reshaped(source.name, (source.size,))
        places = self.add_constant(f"{source.name}/places", index.astype(np.int32))
        output = self._like(source, "gathered", index.shape)
        return self.add("GATHER", [flat, places], output, axis=0)

    def _slice(self, name: str, begin: list[int], end: list[int]) -> str:
        source = self.tensors[name]
        ends = {"begin": begin, "end": end, "strides": [1] * len(begin)}
        constants = [
            self.add_constant(f"{name}/{key}", np.array(value, np.int32))
            for key, value in ends.items()
        ]
        shape = tuple(e - b for b, e in zip(begin, end, strict=True))
        output = self._like(source, "part", shape)
        return self.add("STRIDED_SLICE", [name, *constants], output)

    def _axis_of_frames(self, view: View, axis: int) -> int | None:
        """Return the axis of a view's tensor that counts the frames along `axis` of the view."""
        shape = self.tensors[view.storage].shape
        places = np.unravel_index(view.index, shape)
        frames = view.index.shape[axis]
        counted = np.arange(frames).reshape(
            [-1 if a == axis else 1 for a in range(view.index.ndim)]
        )
        last = len(shape) - 2
        for along in sorted(range(len(shape)), key=lambda a: a != last):
            if shape[along] == frames and (places[along] == counted).all():
                return along
        return None


def _box(index: Index, shape: tuple[int, ...]) -> tuple[list[int], list[int]] | None:
    """Return where in `shape` the elements begin and end, if they are such a part in its order."""
    places = np.unravel_index(index.ravel(), shape)
    begin, end = [int(p.min()) for p in places], [int(p.max()) + 1 for p in places]
    part = np.arange(int(np.prod(shape))).reshape(shape)
    part = part[tuple(slice(b, e) for b, e in zip(begin, end, strict=True))]
    return (begin, end) if np.array_equal(part.ravel(), index.ravel()) else None


def _behind(index: Index, axis: int, shape: tuple[int, ...], along: int, frames: int) -> Index:
    """Return the places of `frames` and those of `index` in a tensor that is as much longer."""
    longer = tuple(size + frames * (a == along) for a, size in enumerate(shape))
    first = list(np.unravel_index(index.take([0], axis), shape))
    steps = []
    for frame in range(frames + index.shape[axis]):
        first[along] = np.full_like(first[along], frame)
        steps.append(np.ravel_multi_index(first, longer))
    return np.concatenate(steps, axis)
