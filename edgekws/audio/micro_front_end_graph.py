"""The micro front end as an ONNX graph: waveform → features, equal to numpy to the last integer.

The steps are those of `runtime.micro_front_end`. The estimate of the noise is computed frame by
frame, three nodes each, because bundles hold no loops.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from edgekws.audio.integer_graph import Array, IntegerGraph
from edgekws.audio.micro_fft_graph import filtered_energies
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

_LONGEST_CHANNEL = 32
"""Bits of a channel, at most."""


def front_end_model(front_end: FrontEnd) -> onnx.ModelProto:
    """Return the graph `waveform` `(batch, window_samples)` → `features` `(batch, 40, T)`.

    Both are float32, samples in [-1, 1]. A window is a lone clip, with `run_in` before it. The
    batch is free.
    """
    graph = IntegerGraph()
    stream = run_in(front_end.window_samples)
    samples = _samples(graph)
    frames = _frames(graph, samples, stream, RUN_IN + front_end.n_frames)
    channels = _channels(graph, frames)
    silence = graph.number(np.zeros((1, 1, CHANNELS)))
    noises = _noises(graph, channels, silence, RUN_IN + front_end.n_frames)
    noise = graph.add("Concat", *noises[RUN_IN:], axis=1)
    last = graph.add("Slice", channels, graph.ints(RUN_IN), graph.ints(2**31), graph.ints(1))
    _features(graph, last, noise)
    return graph.model(front_end)


def hop_front_end_model(front_end: FrontEnd) -> onnx.ModelProto:
    """Return the graph of a stream, for a window of few frames: the hop.

    `waveform` `(1, samples)`, `noise` `(1, 2, 40)` → `features` `(1, 40, T)`, `next_noise`. The
    noise, at first zeros, is an integer of 32 bits: its upper and its lower 16.
    """
    graph, count = IntegerGraph(), front_end.n_frames
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
    state = (1, 2, CHANNELS)
    return graph.model(front_end, 1, {"noise": state}, {"next_noise": state})


def _samples(graph: IntegerGraph) -> str:
    """Return samples of 16 bits `(B, samples)`."""
    wave = graph.add("Cast", "waveform", to=TensorProto.DOUBLE)
    rounded = graph.add("Round", graph.add("Mul", wave, graph.number(2.0**15)))
    return graph.add("Clip", rounded, graph.number(-(2.0**15)), graph.number(2.0**15 - 1))


def _frames(graph: IntegerGraph, samples: str, stream: NDArray[np.int64], count: int) -> str:
    """Return the frames `(B, count, 480)` of a stream, whose entries are places of samples."""
    places = stream[np.arange(count)[:, None] * HOP + np.arange(FRAME)]
    return graph.add("Gather", samples, graph.indices(places), axis=1)


def _channels(graph: IntegerGraph, frames: str) -> str:
    """Return the magnitudes of the channels of frames, `(B, T, 40)`."""
    window, filters = tables()
    shaped = graph.floor(graph.add("Mul", frames, graph.number(window)), 2.0**-12)
    peak = graph.add("Unsqueeze", _peaks(graph, shaped), graph.ints(3))  # (B, T, 1, 1)
    # 2^shift, by which a frame is raised to 15 bits
    raise_by = _staircase(graph, peak, 2.0 ** np.arange(15), 2.0 ** np.arange(15, -1, -1)[:, None])
    raise_by = graph.add("Squeeze", raise_by, graph.ints(3))
    full = graph.wrapped(graph.add("Mul", shaped, raise_by))
    energy = filtered_energies(graph, full, filters.astype(np.float64))
    return graph.floor(graph.add("Div", _roots(graph, energy), raise_by))


def _peaks(graph: IntegerGraph, shaped: str) -> str:
    magnitudes = graph.add("Abs", shaped)
    wraps = graph.add("Greater", magnitudes, graph.number(2.0**15 - 0.5))
    wraps = graph.add("Cast", wraps, to=TensorProto.DOUBLE)
    until = graph.add("CumSum", wraps, graph.axis(2), reverse=1)
    after = graph.add("Less", until, graph.number(0.5))
    counted = graph.add("Where", after, magnitudes, graph.number(0.0))
    return graph.add("ReduceMax", counted, axes=[2], keepdims=1)


def _roots(graph: IntegerGraph, energy: str) -> str:
    """Return square roots, rounded; one that needs 16 bits is not rounded up to need 17."""
    root = graph.floor(graph.add("Sqrt", energy))
    rest = graph.add("Sub", energy, graph.add("Mul", root, root))
    up = graph.add("Greater", rest, root)
    up = graph.add("Cast", up, to=TensorProto.DOUBLE)
    most = graph.add("Equal", root, graph.number(2.0**16 - 1))
    bound = graph.add("Where", most, graph.number(2.0**16 - 1), graph.number(2.0**53))
    return graph.add("Min", graph.add("Add", root, up), bound)


def _noises(graph: IntegerGraph, channels: str, before: str, count: int) -> list[str]:
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


def _scaled(graph: IntegerGraph, channels: str) -> str:
    """Return channels with 10 fractional bits, as 32 bits hold them."""
    scaled = graph.add("Mul", channels, graph.number(2.0**10))
    over = graph.floor(scaled, 2.0**-32)
    return graph.add("Sub", scaled, graph.add("Mul", over, graph.number(2.0**32)))


def _features(graph: IntegerGraph, channels: str, noise: str) -> None:
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


def _gain(graph: IntegerGraph, noise: str) -> str:
    starts, rows = gain_steps()
    columns = _columns(graph, noise, starts, rows)
    value, slope, curve, unit = columns
    place = graph.floor(graph.add("Mul", noise, unit))
    place = graph.add("Sub", place, graph.number(1024.0))
    bend = graph.floor(graph.add("Mul", curve, place), 2.0**-5)
    rise = graph.add("Mul", slope, graph.number(32.0))
    rise = graph.add("Mul", graph.add("Add", bend, rise), place)
    return graph.add("Add", value, graph.nearest(graph.add("Mul", rise, graph.number(2.0**-15))))


def _logarithms(graph: IntegerGraph, values: str) -> str:
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


def _columns(graph: IntegerGraph, values: str, starts: Array, rows: Array) -> list[str]:
    """Return the columns of the row `rows[i]` for values from `starts[i - 1]` up to the next."""
    each = graph.add("Unsqueeze", values, graph.ints(3))
    found = _staircase(graph, each, starts, rows)
    names = [f"{found}_{column}" for column in range(rows.shape[1])]
    graph.split(found, names, axis=3)
    return [graph.add("Squeeze", name, graph.ints(3)) for name in names]


def _staircase(graph: IntegerGraph, values: str, starts: Array, rows: Array) -> str:
    """Return the rows of `_columns`, for integers `(B, T, n, 1)`: `(B, T, n, columns)`.

    A row is the sum of the first and the rises at the starts that a value has reached.
    """
    reached = graph.add("Greater", values, graph.number(starts - 0.5))
    reached = graph.add("Cast", reached, to=TensorProto.DOUBLE)
    rises = graph.add("MatMul", reached, graph.number(np.diff(rows, axis=0)))
    return graph.add("Add", rises, graph.number(rows[0]))
