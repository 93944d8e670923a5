"""The micro front end as an ONNX graph: waveform → features, equal to numpy to the last integer.

Its integers are 64-bit floating-point numbers, which are exact up to 2^53: a shift to the right is
a product and a `Floor`. The steps are those of `runtime.micro_front_end` and `runtime.micro_fft`.

The estimate of the noise is computed frame by frame, three nodes each; bundles hold no loops.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekws.runtime import micro_fft
from edgekws.runtime.front_end import FrontEnd
from edgekws.runtime.micro_front_end import (
    CHANNELS,
    FRAME,
    HOP,
    LEAST_SIGNAL,
    LOG_2,
    RUN_IN,
    SCALE,
    SMOOTHING,
    gain_steps,
    log_lines,
    run_in,
    tables,
)

OPSET = 17
IR_VERSION = 8

Array = NDArray[Any]

_HALF = micro_fft.LENGTH // 2
_LONGEST_CHANNEL = 32
"""Bits of a channel, at most."""


def front_end_model(front_end: FrontEnd) -> onnx.ModelProto:
    """Return the graph `waveform` `(batch, window_samples)` → `features` `(batch, 40, T)`.

    Both are float32, samples in [-1, 1]. A window is a lone clip, with `run_in` before it. The
    batch is free.
    """
    graph = _Graph()
    stream = run_in(front_end.window_samples)
    samples = _samples(graph)
    frames = _frames(graph, samples, stream, RUN_IN + front_end.n_frames)
    channels = _channels(graph, frames)
    silence = graph.number(np.zeros((1, 1, CHANNELS)))
    noises = _noises(graph, channels, silence, RUN_IN + front_end.n_frames)
    noise = graph.add("Concat", *noises[RUN_IN:], axis=1)
    last = graph.add("Slice", channels, graph.ints(RUN_IN), graph.ints(2**31), graph.ints(1))
    _features(graph, last, noise)
    return graph.model(front_end, {"waveform": ["batch", front_end.window_samples]}, {}, "batch")


def hop_front_end_model(front_end: FrontEnd) -> onnx.ModelProto:
    """Return the graph of a stream, for a window of few frames: the hop.

    `waveform` `(1, samples)`, `noise` `(1, 2, 40)` → `features` `(1, 40, T)`, `next_noise`. The
    noise, at first zeros, is an integer of 32 bits: its upper and its lower 16.
    """
    graph, count = _Graph(), front_end.n_frames
    frames = _frames(graph, _samples(graph), np.arange(front_end.window_samples), count)
    channels = _channels(graph, frames)
    halves = graph.add("Cast", "noise", to=TensorProto.DOUBLE)
    units = graph.number(np.array([[[2.0**16], [1.0]]]))
    before = graph.add("ReduceSum", graph.add("Mul", halves, units), graph.ints(1), keepdims=1)
    noises = _noises(graph, channels, before, count)
    _features(graph, channels, noises[0] if count == 1 else graph.add("Concat", *noises, axis=1))
    upper = graph.floor(noises[-1], 2.0**-16)
    lower = graph.add("Sub", noises[-1], graph.add("Mul", upper, graph.number(2.0**16)))
    both = graph.add("Concat", upper, lower, axis=1)
    graph.add("Cast", both, to=TensorProto.FLOAT, output="next_noise")
    state: list[str | int] = [1, 2, CHANNELS]
    inputs: dict[str, list[str | int]] = {
        "waveform": [1, front_end.window_samples],
        "noise": state,
    }
    return graph.model(front_end, inputs, {"next_noise": state}, 1)


def _samples(graph: "_Graph") -> str:
    """Return samples of 16 bits `(B, samples)`."""
    wave = graph.add("Cast", "waveform", to=TensorProto.DOUBLE)
    rounded = graph.add("Round", graph.add("Mul", wave, graph.number(2.0**15)))
    return graph.add("Clip", rounded, graph.number(-(2.0**15)), graph.number(2.0**15 - 1))


def _frames(graph: "_Graph", samples: str, stream: NDArray[np.int64], count: int) -> str:
    """Return the frames `(B, count, 480)` of a stream, whose entries are places of samples."""
    places = stream[np.arange(count)[:, None] * HOP + np.arange(FRAME)]
    return graph.add("Gather", samples, graph.indices(places), axis=1)


def _channels(graph: "_Graph", frames: str) -> str:
    """Return the magnitudes of the channels of frames, `(B, T, 40)`."""
    window, filters = tables()
    shaped = graph.floor(graph.add("Mul", frames, graph.number(window)), 2.0**-12)
    peak = graph.add("Unsqueeze", _peaks(graph, shaped), graph.ints(3))  # (B, T, 1, 1)
    # 2^shift, by which a frame is raised to 15 bits
    raise_by = _staircase(graph, peak, 2.0 ** np.arange(15), 2.0 ** np.arange(15, -1, -1)[:, None])
    raise_by = graph.add("Squeeze", raise_by, graph.ints(3))
    full = graph.wrapped(graph.add("Mul", shaped, raise_by))
    energy = _energy(graph, full, filters.astype(np.float64))
    return graph.floor(graph.add("Div", _roots(graph, energy), raise_by))


def _peaks(graph: "_Graph", shaped: str) -> str:
    magnitudes = graph.add("Abs", shaped)
    wraps = graph.add("Greater", magnitudes, graph.number(2.0**15 - 0.5))
    wraps = graph.add("Cast", wraps, to=TensorProto.DOUBLE)
    until = graph.add("CumSum", wraps, graph.scalar(2), reverse=1)
    after = graph.add("Less", until, graph.number(0.5))
    counted = graph.add("Where", after, magnitudes, graph.number(0.0))
    return graph.add("ReduceMax", counted, axes=[2], keepdims=1)


def _energy(graph: "_Graph", samples: str, filters: Array) -> str:
    """Return the filtered energies `(B, T, 40)` of the bins of frames `(B, T, 480)`."""
    points = _complex_spectrum(graph, samples)  # (B, T, 2, 256)
    k = np.arange(1, _HALF // 2 + 1)
    sign = np.array([[1.0], [-1.0]])
    front = graph.halved(graph.add("Gather", points, graph.indices(k), axis=3))
    back = graph.add("Gather", points, graph.indices(_HALF - k), axis=3)
    back = graph.halved(graph.wrapped(graph.add("Mul", back, graph.number(sign))))
    total, apart = graph.add("Add", front, back), graph.add("Sub", front, back)
    turned = graph.wrapped(_turned(graph, apart, -np.pi * (k / _HALF + 0.5)))
    lower = graph.floor(graph.add("Add", total, turned), 0.5)
    upper = graph.add("Mul", graph.add("Sub", total, turned), graph.number(sign))
    upper = graph.add("Slice", upper, graph.ints(0), graph.ints(len(k) - 1), graph.ints(3))
    upper = graph.floor(upper, 0.5)
    energies = [
        graph.add("MatMul", graph.add("Mul", part, part), graph.number(filters[:, bins].T))
        for part, bins in ((lower, k), (upper, _HALF - k[:-1]))
    ]
    return graph.add("ReduceSum", graph.add("Add", *energies), graph.ints(2), keepdims=0)


def _complex_spectrum(graph: "_Graph", samples: str) -> str:
    """Return the transform `(B, T, 2, 256)` of frames of 480 samples, in four rounds of radix 4."""
    padding = graph.ints(0, 0, 0, 0, 0, micro_fft.LENGTH - FRAME)
    points = graph.add("Pad", samples, padding, graph.number(0.0))
    order = np.arange(_HALF).reshape(4, 4, 4, 4).transpose(3, 2, 1, 0).ravel()
    places = np.stack([2 * order, 2 * order + 1])
    for size in (1, 4, 16, 64):
        groups = _HALF // (4 * size)
        quarters = graph.rounded(graph.add("Gather", points, graph.indices(places), axis=2), 8191)
        step = np.tile(np.repeat(np.arange(4), size) * np.tile(np.arange(size), 4) * groups, groups)
        plain = np.tile(np.repeat(np.arange(4) == 0, size), groups)
        parts = _turned(graph, quarters, -2 * np.pi * step / _HALF, plain)
        rows = graph.add("Reshape", parts, graph.ints(0, 0, 2, groups, 4, size))
        rows = graph.add("Transpose", rows, perm=[0, 1, 3, 5, 2, 4])
        rows = graph.add("Reshape", rows, graph.ints(0, 0, -1, 8))
        points = graph.wrapped(graph.add("MatMul", rows, graph.number(_butterfly())))
        points = graph.add("Reshape", points, graph.ints(0, 0, -1))
        # (groups, size, part, quarter) -> (part, groups, quarter, size)
        shape = (groups, size, 2, 4)
        places = np.arange(2 * _HALF).reshape(shape).transpose(2, 0, 3, 1).reshape(2, _HALF)
    return graph.add("Gather", points, graph.indices(places), axis=2)


def _butterfly() -> Array:
    """Return the sums `(8, 8)` of four points of real and imaginary part: each as a column."""
    q = np.arange(4)
    turns = np.rint(np.exp(-0.5j * np.pi * np.outer(q, q)))
    return np.block([[turns.real, turns.imag], [-turns.imag, turns.real]])


def _turned(
    graph: "_Graph", points: str, phases: Array, plain: NDArray[np.bool_] | None = None
) -> str:
    """Return points `(B, T, 2, n)` turned by phases `(n,)`, rounded; those of `plain` as is."""
    cosine, sine = (part / 2.0**15 for part in micro_fft.turns(phases))
    if plain is not None:
        cosine, sine = np.where(plain, 1.0, cosine), np.where(plain, 0.0, sine)
    swapped = graph.add("Gather", points, graph.indices(np.array([1, 0])), axis=2)
    along = graph.add("Mul", points, graph.number(cosine))
    across = graph.add("Mul", swapped, graph.number(np.stack([-sine, sine])))
    return graph.nearest(graph.add("Add", along, across))


def _roots(graph: "_Graph", energy: str) -> str:
    """Return square roots, rounded; one that needs 16 bits is not rounded up to need 17."""
    root = graph.floor(graph.add("Sqrt", energy))
    rest = graph.add("Sub", energy, graph.add("Mul", root, root))
    up = graph.add("Greater", rest, root)
    up = graph.add("Cast", up, to=TensorProto.DOUBLE)
    most = graph.add("Equal", root, graph.number(2.0**16 - 1))
    bound = graph.add("Where", most, graph.number(2.0**16 - 1), graph.number(2.0**53))
    return graph.add("Min", graph.add("Add", root, up), bound)


def _noises(graph: "_Graph", channels: str, before: str, count: int) -> list[str]:
    """Return the estimates of the noise after each of `count` frames, `(B, 1, 40)` each."""
    share = np.array(SMOOTHING, np.float64)[np.arange(CHANNELS) % 2] / 2.0**14
    scaled = _scaled(graph, channels)
    new = graph.add("Mul", scaled, graph.number(share))
    names = [f"new_{frame}" for frame in range(count)]
    if count == 1:
        names = [new]
    else:
        graph.split(new, names)
    keep, noises = graph.number(1 - share), list[str]()
    for name in names:
        kept = graph.add("Mul", before, keep)
        before = graph.floor(graph.add("Add", name, kept))
        noises.append(before)
    return noises


def _scaled(graph: "_Graph", channels: str) -> str:
    """Return channels with 10 fractional bits, as 32 bits hold them."""
    scaled = graph.add("Mul", channels, graph.number(2.0**10))
    over = graph.floor(scaled, 2.0**-32)
    return graph.add("Sub", scaled, graph.add("Mul", over, graph.number(2.0**32)))


def _features(graph: "_Graph", channels: str, noise: str) -> None:
    """Add the features `(B, 40, T)` of channels and the noise in them, `(B, T, 40)` each."""
    scaled = _scaled(graph, channels)
    above = graph.add("Sub", scaled, graph.add("Min", noise, scaled))
    least = graph.floor(channels, LEAST_SIGNAL / 2.0**14)
    signal = graph.add("Max", graph.floor(above, 2.0**-10), least)
    ratio = graph.floor(graph.add("Mul", signal, _gain(graph, noise)), 2.0**-6)
    quiet = graph.add("Less", ratio, graph.number(2.0**13))
    square = graph.floor(graph.add("Mul", ratio, ratio), 2.0**-20)
    loud = graph.add("Sub", graph.floor(ratio, 2.0**-6), graph.number(64.0))
    logs = _logarithms(graph, graph.add("Where", quiet, square, loud))
    floats = graph.add("Cast", graph.add("Mul", logs, graph.number(SCALE)), to=TensorProto.FLOAT)
    graph.add("Transpose", floats, perm=[0, 2, 1], output="features")


def _gain(graph: "_Graph", noise: str) -> str:
    starts, rows = gain_steps()
    columns = _columns(graph, noise, starts, rows)
    value, slope, curve, unit = columns
    place = graph.floor(graph.add("Mul", noise, unit))
    place = graph.add("Sub", place, graph.number(1024.0))
    bend = graph.floor(graph.add("Mul", curve, place), 2.0**-5)
    rise = graph.add("Mul", slope, graph.number(32.0))
    rise = graph.add("Mul", graph.add("Add", bend, rise), place)
    return graph.add("Add", value, graph.nearest(graph.add("Mul", rise, graph.number(2.0**-15))))


def _logarithms(graph: "_Graph", values: str) -> str:
    raised = graph.add("Mul", values, graph.number(8.0))
    raised = graph.add("Max", raised, graph.number(1.0))
    whole = np.arange(_LONGEST_CHANNEL + 1)
    rows = np.stack([whole * 2.0**16, 2.0**whole, 2.0 ** (16 - whole)], axis=1)
    base, start, unit = _columns(graph, raised, 2.0 ** whole[1:], rows)
    fraction = graph.floor(graph.add("Mul", graph.add("Sub", raised, start), unit))
    segment = graph.floor(fraction, 2.0**-9)
    index = graph.add("Cast", segment, to=TensorProto.INT64)
    first, step = (
        graph.add("Gather", graph.number(column), index, axis=0)
        for column in log_lines().astype(np.float64).T
    )
    inside = graph.add("Sub", fraction, graph.add("Mul", segment, graph.number(512.0)))
    bend = graph.floor(graph.add("Mul", step, inside), 2.0**-16)
    log2 = graph.add("Add", graph.add("Add", base, fraction), graph.add("Add", first, bend))
    natural = graph.rounded(log2, LOG_2, 16)
    return graph.add("Min", graph.rounded(natural, 2**6, 16), graph.number(2.0**16 - 1))


def _columns(graph: "_Graph", values: str, starts: Array, rows: Array) -> list[str]:
    """Return the columns of the row `rows[i]` for values from `starts[i - 1]` up to the next."""
    each = graph.add("Unsqueeze", values, graph.ints(3))
    found = _staircase(graph, each, starts, rows)
    names = [f"{found}_{column}" for column in range(rows.shape[1])]
    graph.split(found, names, axis=3)
    return [graph.add("Squeeze", name, graph.ints(3)) for name in names]


def _staircase(graph: "_Graph", values: str, starts: Array, rows: Array) -> str:
    """Return the rows of `_columns`, for integers `(B, T, n, 1)`: `(B, T, n, columns)`.

    A row is the sum of the first and the rises at the starts that a value has reached.
    """
    reached = graph.add("Greater", values, graph.number(starts - 0.5))
    reached = graph.add("Cast", reached, to=TensorProto.DOUBLE)
    rises = graph.add("MatMul", reached, graph.number(np.diff(rows, axis=0)))
    return graph.add("Add", rises, graph.number(rows[0]))


class _Graph:
    """Nodes and constants, numbered in the order of addition."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[bytes, onnx.TensorProto] = {}

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

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
        return self.rounded(values, 2**14 - 1)

    def wrapped(self, values: str) -> str:
        """Return what 16 bits hold of integers."""
        turns = self.nearest(self.add("Mul", values, self.number(2.0**-16)))
        return self.add("Sub", values, self.add("Mul", turns, self.number(2.0**16)))

    def number(self, values: Array | float) -> str:
        return self._constant(np.ascontiguousarray(values, np.float64).reshape(np.shape(values)))

    def ints(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        return self._constant(np.array(value, np.int64))

    def indices(self, values: NDArray[np.int64]) -> str:
        return self._constant(np.asarray(values, np.int64))

    def _constant(self, values: NDArray[Any]) -> str:
        key = f"{values.dtype}{values.shape}".encode() + values.tobytes()
        if key not in self.constants:
            name = f"constant_{len(self.constants)}"
            self.constants[key] = numpy_helper.from_array(values, name)
        return str(self.constants[key].name)

    def model(
        self,
        front_end: FrontEnd,
        inputs: dict[str, list[str | int]],
        states: dict[str, list[str | int]],
        batch: str | int,
    ) -> onnx.ModelProto:
        outputs = {"features": [batch, front_end.n_mels, front_end.n_frames], **states}
        sources, results = (
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in values.items()]
            for values in (inputs, outputs)
        )
        constants = list(self.constants.values())
        graph = helper.make_graph(self.nodes, "front_end", sources, results, constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model
