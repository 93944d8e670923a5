"""The intermediate form of a network: frozen buffers of bytes, and the operators between them.

Every tensor is uint8, its rows are time (or frequency, then time), its channels are innermost.
Movements of the graph (transpositions, slices, concatenations, padding) are resolved to places in
buffers; what cannot be resolved is a `Copy`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["features", "state", "scratch"]


@dataclass(frozen=True)
class Buffer:
    """Bytes that belong together.

    `features` and `state` keep their contents from one run to the next, `scratch` does not.
    `fill` is what a reset writes to every byte of a `features` or `state` buffer.
    """

    name: str
    size: int
    kind: Kind
    fill: int = 0


@dataclass(frozen=True)
class Span:
    """`size` contiguous bytes of a buffer, from `offset`."""

    buffer: str
    offset: int
    size: int


@dataclass(frozen=True)
class Quantization:
    """A real number is `(byte - zero) * scale`."""

    scale: np.float32
    zero: int


@dataclass(frozen=True)
class Window:
    """Where a kernel slides: the `taps` are added to the start of each of `rows * columns` places.

    All in bytes but `rows` and `columns`. Place `(r, c)` starts at `r * row_step +
    c * column_step`.
    """

    rows: int
    row_step: int
    columns: int
    column_step: int
    taps: tuple[int, ...]


@dataclass(frozen=True)
class Rounding:
    """From an int32 accumulator to a byte.

    `scale` (channels,) is float32; the product is rounded half to even, `zero` is added, the sum
    saturates at 0 and 255.
    """

    scale: NDArray[np.float32]
    zero: int


@dataclass(frozen=True)
class Conv:
    """A convolution with one group.

    `weights` (channels, taps, bytes of a tap) int8, `bias` (channels,) int32 with the zero point
    of the input in it.
    """

    name: str
    x: Span
    y: Span
    window: Window
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    rounding: Rounding


@dataclass(frozen=True)
class Depthwise:
    """A convolution of each channel with itself; `weights` (taps, channels) int8."""

    name: str
    x: Span
    y: Span
    window: Window
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    rounding: Rounding


@dataclass(frozen=True)
class Dense:
    """A matrix product to float32 logits; `weights` (channels, inputs) int8, `scale` (channels,).

    There is no rounding to bytes: logit = accumulator × scale.
    """

    name: str
    x: Span
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    scale: NDArray[np.float32]


@dataclass(frozen=True)
class Dequantize:
    """Bytes to float32 logits."""

    name: str
    x: Span
    quantization: Quantization


@dataclass(frozen=True)
class Add:
    """The sum of two tensors of one size: `fma(a, a_scale, fma(b, b_scale, offset))`, rounded."""

    name: str
    a: Span
    b: Span
    y: Span
    a_scale: np.float32
    b_scale: np.float32
    offset: np.float32


@dataclass(frozen=True)
class Multiply:
    """The product of two tensors of one size: `(a - a_zero) (b - b_zero) scale + zero`, rounded."""

    name: str
    a: Span
    b: Span
    y: Span
    a_zero: int
    b_zero: int
    scale: np.float32
    zero: int


@dataclass(frozen=True)
class AveragePool:
    """The mean over each whole image: an integer sum, rounded as a convolution with weights of 1.

    `x` holds `images` of `places` rows of `channels` bytes.
    """

    name: str
    x: Span
    y: Span
    images: int
    places: int
    channels: int
    x_zero: int
    scale: np.float32
    zero: int


@dataclass(frozen=True)
class FloatAveragePool:
    """The mean of the taps of each channel, added up in float32 in the order of the taps.

    What onnxruntime does where a pool covers a part of its image.
    """

    name: str
    x: Span
    y: Span
    window: Window
    channels: int
    input: Quantization
    output: Quantization


@dataclass(frozen=True)
class MaxPool:
    """The largest of the taps of each channel."""

    name: str
    x: Span
    y: Span
    window: Window
    channels: int


@dataclass(frozen=True)
class Lookup:
    """A function of one byte; `table` (256,) uint8."""

    name: str
    x: Span
    y: Span
    table: NDArray[np.uint8]


@dataclass(frozen=True)
class Copy:
    """Nested loops over `sizes`, the outermost first; steps are bytes of source and destination."""

    name: str
    x: Span
    y: Span
    sizes: tuple[int, ...]
    x_steps: tuple[int, ...]
    y_steps: tuple[int, ...]


@dataclass(frozen=True)
class Fill:
    """Sets every byte to `value`: the padding of a convolution."""

    name: str
    y: Span
    value: int


@dataclass(frozen=True)
class Shift:
    """Moves the last `keep` bytes of each of `images` equal parts of a buffer to its head."""

    name: str
    y: Span
    images: int
    keep: int


Operator = (
    Conv | Depthwise | Dense | Dequantize | Add | Multiply | AveragePool | FloatAveragePool
    | MaxPool | Lookup | Copy | Fill | Shift
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """What `codegen.reading` makes of a graph.

    `features` is where `frames` rows of `n_mels` quantized features lie, one frame a row; for a
    streaming network these are the frames of one hop.
    """

    features: Span
    frames: int
    n_mels: int
    input: Quantization
    n_labels: int
    buffers: tuple[Buffer, ...]
    operators: tuple[Operator, ...]
    streaming: bool


def reads(operator: Operator) -> tuple[Span, ...]:
    """Return the bytes that an operator reads."""
    match operator:
        case Add() | Multiply():
            return (operator.a, operator.b)
        case Fill():
            return ()
        case Shift():
            return (operator.y,)
        case _:
            return (operator.x,)


def writes(operator: Operator) -> tuple[Span, ...]:
    """Return the bytes that an operator writes; logits lie elsewhere."""
    return () if isinstance(operator, Dense | Dequantize) else (operator.y,)
