"""Nodes that move elements without changing them, as functions of indices."""

from collections.abc import Callable
from typing import Any

import numpy as np

from edgekws.codegen.graph_nodes import Array, Node
from edgekws.codegen.views import Index

Movement = Callable[[Node, dict[str, Array], Index], Index]


def _constant(node: Node, constants: dict[str, Array], number: int, default: Any = None) -> Any:
    if len(node.inputs) <= number or not node.inputs[number]:
        return default
    if node.inputs[number] not in constants:
        raise node.refuse("where it moves elements to depends on its inputs")
    return constants[node.inputs[number]]


def _transpose(node: Node, _: dict[str, Array], index: Index) -> Index:
    return index.transpose(node.attributes.get("perm"))


def _reshape(node: Node, constants: dict[str, Array], index: Index) -> Index:
    shape = [int(size) for size in _constant(node, constants, 1)]
    if not node.attributes.get("allowzero", 0):
        shape = [index.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return index.reshape(shape)


def _flatten(node: Node, _: dict[str, Array], index: Index) -> Index:
    return index.reshape(int(np.prod(index.shape[: node.attributes.get("axis", 1)])), -1)


def _unsqueeze(node: Node, constants: dict[str, Array], index: Index) -> Index:
    return np.expand_dims(index, tuple(int(axis) for axis in _constant(node, constants, 1)))


def _squeeze(node: Node, constants: dict[str, Array], index: Index) -> Index:
    axes = _constant(node, constants, 1)
    return np.squeeze(index, None if axes is None else tuple(int(axis) for axis in axes))


def _gather(node: Node, constants: dict[str, Array], index: Index) -> Index:
    taken: Index = index.take(_constant(node, constants, 1), node.attributes.get("axis", 0))
    return taken


def _slice(node: Node, constants: dict[str, Array], index: Index) -> Index:
    starts, ends = (_constant(node, constants, number) for number in (1, 2))
    axes = _constant(node, constants, 3, range(len(starts)))
    steps = _constant(node, constants, 4, [1] * len(starts))
    places = [slice(None)] * index.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places[int(axis)] = slice(int(start), int(end), int(step))
    part: Index = index[tuple(places)]
    return part


def split(node: Node, constants: dict[str, Array], index: Index) -> list[Index]:
    """Return the parts of a Split, one for each output."""
    axis = node.attributes.get("axis", 0)
    sizes = _constant(node, constants, 1)
    if sizes is None:
        return np.array_split(index, len(node.outputs), axis)
    return np.split(index, np.cumsum(sizes)[:-1], axis)


MOVEMENTS: dict[str, Movement] = {
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Gather": _gather,
    "Slice": _slice,
    "Identity": lambda node, constants, index: index,
}
