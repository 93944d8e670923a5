"""Networks of random operators, one of every kind and of awkward sizes, without a graph."""

from collections.abc import Iterator

import numpy as np

from edgekws.codegen.arithmetic import add_constants
from edgekws.codegen.ir import (
    Add,
    AveragePool,
    Buffer,
    Conv,
    Copy,
    Dense,
    Depthwise,
    Fill,
    FloatAveragePool,
    Lookup,
    MaxPool,
    Multiply,
    Network,
    Operator,
    Quantization,
    Rounding,
    Shift,
    Span,
    Window,
)

SIZE = 4096
"""Bytes of every buffer."""

LABELS = 20
"""More than a kernel computes at once."""

X = Span("features", 0, SIZE)


def random_network(seed: int, n: int) -> Network:
    """Return a network of `n` operators of each kind that all read the features."""
    random = np.random.default_rng(seed)
    operators = [operator for number in range(n) for operator in _one_of_each(random, f"{number}")]
    buffers = [Buffer(op.name, SIZE, "state") for op in operators if not isinstance(op, Dense)]
    quantization = Quantization(np.float32(0.02), 117)
    features = Buffer("features", SIZE, "features")
    return Network(
        X, SIZE // 64, 64, quantization, LABELS, (features, *buffers), tuple(operators), False
    )


def _one_of_each(random: np.random.Generator, name: str) -> Iterator[Operator]:
    yield _conv(random, f"conv {name}")
    yield _depthwise(random, f"depthwise {name}", _window(random))
    yield _depthwise(random, f"sliding {name}", _sliding_window(random))
    yield from _pools(random, name)
    yield from _elementwise(random, name)
    yield from _moves(random, name)
    weights = random.integers(-128, 128, (LABELS, int(random.integers(1, 70))), dtype=np.int8)
    bias = random.integers(-(2**20), 2**20, LABELS, dtype=np.int32)
    scale = random.uniform(1e-4, 1e-2, LABELS).astype(np.float32)
    yield Dense(f"dense {name}", Span("features", 0, weights.shape[1]), weights, bias, scale)


def _span(name: str, size: int) -> Span:
    assert size <= SIZE
    return Span(name, 0, size)


def _rounding(random: np.random.Generator, channels: int) -> Rounding:
    """Return scales of which some saturate and some give exact halves."""
    scale = random.uniform(1e-5, 2e-3, channels).astype(np.float32)
    scale[::3] = 2.0**-9
    return Rounding(scale, int(random.integers(0, 256)))


def _bias(
    random: np.random.Generator, channels: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return random.integers(-50_000, 50_000, channels, dtype=np.int32)


def _conv(random: np.random.Generator, name: str) -> Conv:
    channels, taps, size = (int(random.integers(1, most)) for most in (40, 4, 30))
    window = Window(
        2, 1000, int(random.integers(1, 14)), int(random.integers(1, 40)), _taps(random, taps)
    )
    weights = random.integers(-128, 128, (channels, taps, size), dtype=np.int8)
    y = _span(name, window.rows * window.columns * channels)
    return Conv(name, X, y, window, weights, _bias(random, channels), _rounding(random, channels))


def _taps(random: np.random.Generator, n: int) -> tuple[int, ...]:
    return tuple(int(tap) for tap in random.integers(0, 500, n))


def _window(random: np.random.Generator) -> Window:
    taps = _taps(random, int(random.integers(1, 11)))
    return Window(2, 900, int(random.integers(1, 14)), int(random.integers(1, 40)), taps)


def _sliding_window(random: np.random.Generator) -> Window:
    """Return a window whose taps at one place are those of the place before, moved on by one."""
    taps, columns, step = (int(random.integers(1, most)) for most in (19, 14, 40))
    start = int(random.integers(0, 500))
    return Window(2, 900, columns, step, tuple(start + step * tap for tap in range(taps)))


def _depthwise(random: np.random.Generator, name: str, window: Window) -> Depthwise:
    channels = int(random.integers(1, 40))
    weights = random.integers(-128, 128, (len(window.taps), channels), dtype=np.int8)
    y = _span(name, window.rows * window.columns * channels)
    rounding = _rounding(random, channels)
    return Depthwise(name, X, y, window, weights, _bias(random, channels), rounding)


def _pools(random: np.random.Generator, name: str) -> Iterator[Operator]:
    channels, window = int(random.integers(1, 40)), _window(random)
    size = window.rows * window.columns * channels
    yield MaxPool(f"max {name}", X, _span(f"max {name}", size), window, channels)
    source = Quantization(np.float32(random.uniform(0.01, 0.1)), int(random.integers(0, 256)))
    result = Quantization(np.float32(random.uniform(0.01, 0.1)), int(random.integers(0, 256)))
    y = _span(f"float {name}", size)
    yield FloatAveragePool(f"float {name}", X, y, window, channels, source, result)
    images, places = int(random.integers(1, 4)), int(random.integers(1, 30))
    scale, zero = np.float32(random.uniform(0.5, 2) / places), int(random.integers(0, 256))
    x = Span("features", 0, images * places * channels)
    y = _span(f"average {name}", images * channels)
    yield AveragePool(f"average {name}", x, y, images, places, channels, source.zero, scale, zero)


def _elementwise(random: np.random.Generator, name: str) -> Iterator[Operator]:
    n = int(random.integers(1, SIZE // 2))
    a, b = Span("features", 0, n), Span("features", SIZE - n, n)
    scales = [np.float32(scale) for scale in random.uniform(0.01, 0.1, 3)]
    zeros = [int(zero) for zero in random.integers(0, 256, 3)]
    constants = add_constants(*zip(scales, zeros, strict=True))
    yield Add(f"add {name}", a, b, _span(f"add {name}", n), *constants)
    scale = np.float32(np.float32(scales[0] * scales[1]) / scales[2])
    y = _span(f"product {name}", n)
    yield Multiply(f"product {name}", a, b, y, zeros[0], zeros[1], scale, zeros[2])
    table = random.integers(0, 256, 256, dtype=np.uint8)
    yield Lookup(f"lookup {name}", a, _span(f"lookup {name}", n), table)


def _moves(random: np.random.Generator, name: str) -> Iterator[Operator]:
    rows, columns = (int(size) for size in random.integers(1, 40, 2))
    x, y = Span("features", 0, rows * columns), _span(f"copy {name}", rows * columns)
    yield Copy(f"copy {name}", x, y, (columns, rows), (1, columns), (rows, 1))
    yield Fill(f"fill {name}", _span(f"fill {name}", SIZE), int(random.integers(0, 256)))
    keep = int(random.integers(1, 128))
    yield Shift(f"shift {name}", _span(f"shift {name}", SIZE), SIZE // 128, keep)
