"""Where tensors lie while a graph is read: storages, and storages placed within others."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekws.codegen.graph_nodes import Array, Node
from edgekws.codegen.ir import Buffer, Copy, Fill, Kind, Operator, Shift, Span
from edgekws.codegen.views import View, axis_order, loops, whole


@dataclass(frozen=True)
class _Storage:
    size: int
    kind: Kind
    fill: int
    parent: str = ""
    offset: int = 0  # within the parent


class Builder:
    """Views by the names of tensors, storages, and the operators so far.

    A storage that is to be a part of another one (behind the frames that a layer keeps, within
    padding) is placed there if it lies nowhere else, so that nothing is copied. `dequantized` are
    the bytes of float tensors, with the node that gives them their scale.
    """

    def __init__(self, constants: dict[str, Array]) -> None:
        """Begin with the constants of a graph."""
        self.constants = constants
        self.views: dict[str, View] = {}
        self.dequantized: dict[str, tuple[View, Node]] = {}
        self.n_labels = 0
        self._storages: dict[str, _Storage] = {}
        self._operators: list[Operator] = []
        self._states: set[str] = set()
        self._kept: dict[str, View] = {}

    def view(self, node: Node, name: str) -> View:
        """Return where an input of a node lies.

        Raises:
            UnsupportedError: it is no tensor of bytes that an earlier layer made.
        """
        if name not in self.views:
            raise node.refuse(f"its input {name} is not computed by an INT8 layer")
        return self.views[name]

    def add_storage(self, name: str, size: int, kind: Kind = "scratch", fill: int = 0) -> str:
        """Add bytes of their own; return their name, made unique."""
        unique, number = name, 2
        while unique in self._storages:
            unique, number = f"{name}_{number}", number + 1
        self._storages[unique] = _Storage(size, kind, fill)
        return unique

    def add_state(self, name: str, shape: tuple[int, ...], fill: int) -> None:
        """Add frames that a layer keeps; `concatenate` gives them their buffer."""
        storage = self.add_storage(name, int(np.prod(shape)), "state", fill)
        self._states.add(storage)
        self.views[name] = whole(storage, shape)

    def output(self, node: Node, shape: tuple[int, ...]) -> View:
        """Add the storage of a node's output; return its view, in the order of its axes."""
        name = self.add_storage(node.name, int(np.prod(shape)))
        self.views[node.outputs[0]] = whole(name, shape)
        return self.views[node.outputs[0]]

    def add(self, operator: Operator) -> None:
        """Add an operator that runs after those that are there."""
        self._operators.append(operator)

    def span(self, view: View) -> Span:
        """Return the bytes of a contiguous view."""
        assert view.is_contiguous(), view.storage
        return Span(view.storage, view.start, view.index.size)

    def contiguous(self, node: Node, view: View) -> View:
        """Return a view whose elements lie in their order: this one, or a copy."""
        if view.is_contiguous():
            return view
        copy = whole(self.add_storage(f"{view.storage}_moved", view.index.size), view.index.shape)
        self._copy(node, view, copy)
        return copy

    def padded(self, node: Node, view: View, pads: tuple[tuple[int, int], ...], value: int) -> View:
        """Return `view` in its order, with `pads` of `value` around each axis."""
        if not any(sum(pad) for pad in pads):
            return self.contiguous(node, view)
        shape = [size + sum(pad) for size, pad in zip(view.index.shape, pads, strict=True)]
        outer = whole(self.add_storage(f"{view.storage}_padded", int(np.prod(shape))), shape)
        inside = tuple(
            slice(before, before + size)
            for size, (before, _) in zip(view.index.shape, pads, strict=True)
        )
        part = replace(outer, index=outer.index[inside])
        if self._place(view, part):
            self._fill_around(node, outer, part, value)
        else:
            self.add(Fill(node.name, self.span(outer), value))
            self._copy(node, view, part)
        return outer

    def concatenate(self, node: Node, parts: list[View], axis: int) -> View:
        """Return the parts one behind the other, stored as the first of them is."""
        order = axis_order(parts[0].index)
        shape = list(parts[0].index.shape)
        shape[axis] = sum(part.index.shape[axis] for part in parts)
        places = np.arange(int(np.prod(shape))).reshape([shape[a] for a in order])
        outer = View(self.add_storage(node.name, places.size), places.transpose(np.argsort(order)))
        ends = np.cumsum([part.index.shape[axis] for part in parts])[:-1]
        for part, index in zip(parts, np.split(outer.index, ends, axis), strict=True):
            here = View(outer.storage, index)
            if part.storage in self._states:
                self._keep_in(part, here)
            elif not self._place(part, here):
                self._copy(node, part, here)
        return outer

    def keep(self, state: str, following: str) -> None:
        """Move the frames `following` to where the next run reads `state`."""
        head = self._kept[state]
        tail = self.views[following]
        size = self._storages[head.storage].size
        order = head.index.ravel().argsort()
        before, after = (view.index.ravel()[order] for view in (head, tail))
        images = 1 + int((np.diff(before) != 1).sum())
        kept, whole_image = before.size // images, size // images
        assert tail.storage == head.storage, state
        expected = np.arange(size).reshape(images, whole_image)
        assert np.array_equal(before, expected[:, :kept].ravel()), state
        assert np.array_equal(after, expected[:, -kept:].ravel()), state
        self.add(Shift(state, Span(head.storage, 0, size), images, kept))

    def buffers(self) -> tuple[Buffer, ...]:
        """Return the storages that lie in no other."""
        kinds: dict[str, tuple[Kind, int]] = {}
        for name, storage in self._storages.items():
            if storage.kind != "scratch":
                kinds[self._root(name)[0]] = (storage.kind, storage.fill)
        return tuple(
            Buffer(name, storage.size, *kinds.get(name, ("scratch", 0)))
            for name, storage in self._storages.items()
            if not storage.parent
        )

    def placed_operators(self) -> tuple[Operator, ...]:
        """Return the operators, with spans of buffers."""
        return tuple(self._placed(operator) for operator in self._operators)

    def placed(self, span: Span) -> Span:
        """Return the same bytes as those of a buffer that lies in no other."""
        root, offset = self._root(span.buffer)
        return Span(root, span.offset + offset, span.size)

    def _keep_in(self, state: View, place: View) -> None:
        """Let a layer's frames lie at `place`, in a buffer that is kept from run to run."""
        stored = self._storages.pop(state.storage)
        self._states.remove(state.storage)
        outer = self._storages[place.storage]
        self._storages[place.storage] = replace(outer, kind="state", fill=stored.fill)
        places = np.empty(stored.size, np.int64)
        places[state.index.ravel()] = place.index.ravel()
        original = self.views[state.storage]
        self._kept[state.storage] = View(place.storage, places.reshape(original.index.shape))

    def _place(self, part: View, place: View) -> bool:
        """Let a whole storage lie at `place`, if it lies in no other and its order is the same."""
        stored = self._storages[part.storage]
        distance = place.index - part.index
        fits = part.index.size == stored.size and (distance == distance.flat[0]).all()
        if stored.parent or stored.kind == "state" or not fits:
            return False
        placed = replace(stored, parent=place.storage, offset=int(distance.flat[0]))
        self._storages[part.storage] = placed
        return True

    def _copy(self, node: Node, source: View, target: View) -> None:
        nested = loops(source.index, target.index)
        if nested is None:
            raise node.refuse("its elements are moved in no regular order")
        x = self._around(source)
        self.add(Copy(node.name, x, self._around(target), *nested))

    def _around(self, view: View) -> Span:
        """Return the bytes from the first to the last element of a view in loops of its order."""
        return Span(view.storage, view.start, int(view.index.max()) + 1 - view.start)

    def _fill_around(self, node: Node, outer: View, part: View, value: int) -> None:
        size, start = outer.index.size, part.start
        end = start + part.index.size
        for offset, length in ((0, start), (end, size - end)):
            if length:
                self.add(Fill(node.name, Span(outer.storage, offset, length), value))

    def _placed(self, operator: Operator) -> Operator:
        spans: dict[str, Any] = {}
        for field, value in vars(operator).items():
            if isinstance(value, Span):
                spans[field] = self.placed(value)
        return replace(operator, **spans)

    def _root(self, name: str) -> tuple[str, int]:
        storage = self._storages[name]
        if not storage.parent:
            return name, 0
        root, offset = self._root(storage.parent)
        return root, offset + storage.offset
