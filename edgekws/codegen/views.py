"""Tensors as views of stored bytes: every movement of a graph is arithmetic on indices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """`index` has the shape of a tensor and holds, for each element, its place in `storage`."""

    storage: str
    index: Index

    @property
    def start(self) -> int:
        """The place of the first element."""
        return int(self.index.flat[0])

    def is_contiguous(self) -> bool:
        """Return whether the elements lie one behind the other, in their order."""
        flat = self.index.ravel()
        return bool(np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)))


def whole(storage: str, shape: Sequence[int]) -> View:
    """Return the view of a storage of its own, stored in the order of its axes."""
    return View(storage, np.arange(int(np.prod(shape))).reshape(shape))


def axis_order(index: Index) -> tuple[int, ...]:
    """Return the axes as they are stored, the one with the largest step first."""
    steps = [_step(index, axis) for axis in range(index.ndim)]
    return tuple(sorted(range(index.ndim), key=lambda axis: -steps[axis]))


def _step(index: Index, axis: int) -> float:
    """Return the step of an axis; one of size 1 stays in front."""
    if index.shape[axis] == 1:
        return np.inf
    places = (0,) * axis + (slice(2),) + (0,) * (index.ndim - axis - 1)
    first, second = index[places]
    return abs(float(second - first))


def loops(x: Index, y: Index) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """Return `sizes, x_steps, y_steps` of nested loops that visit the places `x` and `y` in order.

    `None` where steps are not constant.

    >>> loops(np.array([0, 2, 4, 1, 3, 5]), np.arange(6))
    ((2, 3), (1, 2), (3, 1))
    """
    both = np.stack([x.ravel() - x.flat[0], y.ravel() - y.flat[0]])
    sizes: list[int] = []
    steps: list[tuple[int, int]] = []
    while both.shape[1] > 1:
        size = _run(both)
        if size == 1:
            return None
        sizes.append(size)
        steps.append((int(both[0, 1] - both[0, 0]), int(both[1, 1] - both[1, 0])))
        both = both[:, ::size]
    sizes, steps = sizes[::-1] or [1], steps[::-1] or [(1, 1)]
    return tuple(sizes), tuple(x for x, _ in steps), tuple(y for _, y in steps)


def _run(both: Index) -> int:
    """Return the longest length of equal steps that divides the sequence into equal runs."""
    length = both.shape[1]
    step = both[:, 1:2] - both[:, :1]
    regular = (np.diff(both) == step).all(axis=0)
    longest = length if regular.all() else int(regular.argmin()) + 1
    for size in range(longest, 1, -1):
        if length % size == 0:
            runs = both.reshape(2, -1, size) - both.reshape(2, -1, size)[:, :, :1]
            if (runs == runs[:, :1]).all():
                return size
    return 1
