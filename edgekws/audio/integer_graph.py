"""Integer arithmetic as ONNX nodes.

Integers are 64-bit floating-point numbers, which are exact up to 2^53: a shift to the right is a
product and a `Floor`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from edgekws.audio.graph_writer import Graph

Array = NDArray[Any]


class IntegerGraph(Graph):
    """A graph in which equal constants are stored once."""

    def __init__(self) -> None:
        """Start an empty graph."""
        super().__init__()
        self._names: dict[bytes, str] = {}

    def split(self, source: str, names: list[str], axis: int = 1) -> None:
        """Split a tensor into as many parts as there are names."""
        name = f"split_{len(self.nodes)}"
        sizes = self.ints(*[1] * len(names))
        self.nodes.append(helper.make_node("Split", [source, sizes], names, name=name, axis=axis))

    def floor(self, values: str, scale: float = 1.0) -> str:
        """Return values times `scale`, rounded down."""
        return self.add(
            "Floor", values if scale == 1 else self.add("Mul", values, self.number(scale))
        )

    def nearest(self, values: str) -> str:
        """Return values rounded to the nearest integer, halves up."""
        return self.floor(self.add("Add", values, self.number(0.5)))

    def rounded(self, values: str, factor: int, bits: int = 15) -> str:
        """Return values times a factor with `bits` fractional bits, rounded."""
        return self.nearest(self.add("Mul", values, self.number(factor / 2.0**bits)))

    def halved(self, values: str) -> str:
        """Return half of values, as the FFT computes it."""
        return self.rounded(values, 2**14 - 1)

    def wrapped(self, values: str) -> str:
        """Return what 16 bits hold of integers."""
        turns = self.nearest(self.add("Mul", values, self.number(2.0**-16)))
        return self.add("Sub", values, self.add("Mul", turns, self.number(2.0**16)))

    def number(self, values: Array | float) -> str:
        """Add integers and return their name."""
        return self._constant(np.ascontiguousarray(values, np.float64).reshape(np.shape(values)))

    def axis(self, number: int) -> str:
        """Add the number of an axis."""
        return self._constant(np.array(number, np.int64))

    def indices(self, values: NDArray[np.int64]) -> str:
        """Add indices of `Gather`."""
        return self._constant(np.asarray(values, np.int64))

    def _constant(self, values: NDArray[Any]) -> str:
        key = f"{values.dtype}{values.shape}".encode() + values.tobytes()
        if key not in self._names:
            self._names[key] = super()._constant(values)
        return self._names[key]
