"""A TFLite model as frozen tensors and operators, by name."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Type = Literal["int8", "uint8", "int16", "int32", "int64", "resource"]

MOVEMENTS = frozenset(
    ("RESHAPE", "TRANSPOSE", "STRIDED_SLICE", "GATHER", "CONCATENATION", "PAD", "PADV2")
)
"""Operators that move integers and compute none."""


@dataclass(frozen=True)
class Scales:
    """A real number is `(integer - zero) * scale`; one scale, or one for each place of `axis`."""

    values: tuple[float, ...]
    zero: int = 0
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """`data` is the value of a constant."""

    name: str
    shape: tuple[int, ...]
    type: Type
    scales: Scales | None = None
    data: NDArray[Any] | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Operator:
    """`code` is a name of `BuiltinOperator`, `options` the fields of the options of its kind."""

    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Variable:
    """A tensor that is kept from one run to the next, filled with one byte when a stream begins.

    A run reads it as `before` and leaves `after` in it.
    """

    name: str
    shape: tuple[int, ...]
    scales: Scales
    fill: int
    before: str
    after: str


@dataclass(frozen=True)
class Layer:
    """Where the output of a layer lies: tensor `onnx` of the ONNX model is `tensor` at `index`."""

    name: str
    onnx: str
    tensor: str
    index: NDArray[np.int64]


@dataclass(frozen=True)
class Graph:
    """A network: one input, int8 `(1, frames, n_mels)`, and `output`, `(1, n_labels)`.

    For a streaming network the frames are those of one hop. A part of a network may have other
    inputs.
    """

    tensors: dict[str, Tensor]
    operators: tuple[Operator, ...]
    variables: tuple[Variable, ...]
    inputs: tuple[str, ...]
    output: str
    layers: tuple[Layer, ...] = ()
