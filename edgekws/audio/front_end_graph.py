"""The front end as an ONNX graph: waveform → normalised log-mel, in plain operators.

The Fourier transform is one step of Cooley and Tukey (1965) for real input, `n_fft = n1 * n2` with
`n2` a divisor of the hop. Sample `n2 * a + b` of a frame belongs to residue `b`:

1. a grouped convolution with a stride of one hop frames the signal, windows it, and transforms each
   residue over `a` (`n1` points);
2. a grouped 1 x 1 convolution, with one group per frequency of that transform, applies the twiddle
   factors and transforms over `b`, for the bins that a mel filter uses.

No single samples are gathered, and a dense transform would need six times the MACs.

A convolution over two frames has more overhead than arithmetic. The front end of a stream, which
processes a hop at a time, uses matrix products instead: see `hop_front_end_model`.
"""

import math
from dataclasses import dataclass

import numpy as np
import onnx

from edgekws.audio.front_end_options import add_options
from edgekws.audio.graph_writer import Array, Graph
from edgekws.core.contract import Normalization
from edgekws.runtime.front_end import LOG_FLOOR, FrontEnd, analysis_window, mel_filterbank

LANES = 16
"""Floats in the widest vector register of a CPU: the remainder of a buffer after full registers is
computed element by element, and may round differently."""


def front_end_model(front_end: FrontEnd, normalization: Normalization) -> onnx.ModelProto:
    """Return the graph `waveform` `(batch, window_samples)` → `features` `(batch, n_mels, T)`.

    Both are float32, samples in [-1, 1]; features are normalised by band. The batch is free.
    """
    plan = _plan(front_end, math.gcd(front_end.n_fft, front_end.hop_length))
    graph = Graph()
    blocks = _hop_blocks(graph, front_end, plan)  # (B, n2 * hop / n2, T + q - 1)
    residues = graph.add("Conv", blocks, graph.floats(_stage_one(front_end, plan)), group=plan.n2)
    slots = _by_slot(graph, residues, front_end.n_frames, plan)  # (B, slots * 2 * n2, 1, T)
    power, mel = _power(graph, slots, front_end, plan)  # (B, slots * bins, 1, T)
    floor = graph.floats(np.full(front_end.n_mels, _floor(front_end)))
    mels = graph.add("Conv", power, graph.floats(mel), floor)
    mels = graph.add("Reshape", mels, graph.ints(-1, front_end.n_mels, front_end.n_frames))
    levels = mels if front_end.compression == "pcen" else graph.add("Log", mels)
    _normalise(graph, add_options(graph, levels, front_end), normalization)
    return graph.model(front_end)


def hop_front_end_model(front_end: FrontEnd, normalization: Normalization) -> onnx.ModelProto:
    """Return the same graph as `front_end_model`, for a window of few frames: the hop of a stream.

    The batch holds hops. A hop's features do not depend on the rest of the batch, bit for bit: its
    logarithms fill whole registers, padded with bands that are sliced off again.

    With an option of the front end, the graph ends before it: it gives log-mel, or mel for PCEN,
    without the statistics of `normalization`. The runtime does the rest, along the stream.
    """
    if not front_end.is_plain:
        normalization = Normalization((0.0,) * front_end.n_mels, (1.0,) * front_end.n_mels)
    plan = _plan(front_end, front_end.n_fft)
    graph, n_mels, n_slots = Graph(), front_end.n_mels, len(plan.slots)
    frames = _frames(graph, front_end, plan)  # (B * T, n1, n2)
    window = analysis_window(front_end).reshape(plan.n1, plan.n2)
    frames = graph.add("Mul", frames, graph.floats(window))
    residues = graph.add("MatMul", graph.floats(_transform(plan).reshape(-1, plan.n1)), frames)
    slots = graph.add("Reshape", residues, graph.ints(-1, n_slots, 2 * plan.n2))
    spectra, mel = _spectra(graph, slots, front_end, plan)  # (B * T, slots * bins * 2)
    # (log x - mean) / std = log(x * exp(-mean)) / std, so that the mean is free.
    scale = np.exp(-np.array(normalization.mean))
    extra = -n_mels % (LANES // math.gcd(LANES, front_end.n_frames))
    bands = graph.floats(np.pad(mel * scale, ((0, 0), (0, extra))))
    floor = graph.floats(np.pad(_floor(front_end) * scale, (0, extra), constant_values=1))
    rows = graph.add("Gemm", graph.add("Mul", spectra, spectra), bands, floor)
    if front_end.compression == "log":
        std = np.pad(normalization.std, (0, extra), constant_values=1)
        rows = graph.add("Mul", graph.add("Log", rows), graph.floats(1 / std))
    rows = graph.add("Reshape", rows, graph.ints(-1, front_end.n_frames, n_mels + extra))
    if extra:
        rows = graph.add("Slice", rows, graph.ints(0), graph.ints(n_mels), graph.ints(2))
    graph.add("Transpose", rows, perm=[0, 2, 1], output="features")
    return graph.model(front_end)


def _floor(front_end: FrontEnd) -> float:
    """Return what is added to the mels."""
    return 0.0 if front_end.compression == "pcen" else LOG_FLOOR


@dataclass(frozen=True)
class _Bin:
    """One bin: the factors by which stage two multiplies `[A, B]` `(2 * n2,)` of its slot."""

    k: int
    real: Array
    imaginary: Array


@dataclass(frozen=True)
class _Plan:
    """The factors of `n_fft`, and the bins of each slot.

    For each residue, stage one computes the real spectrum over `n1` points. Slot `f` holds its
    frequency `f` as (A, B) = (real, imaginary) over the residues; slot 0 holds the two real
    frequencies, 0 and `n1 / 2`. `slots` maps a slot to its bins; unused slots are absent.
    """

    n1: int
    n2: int
    hop: int
    slots: dict[int, tuple[_Bin, ...]]

    @property
    def hops(self) -> int:
        """Hops that a frame spans, `q`."""
        return -(-self.n1 * self.n2 // self.hop)

    @property
    def bins(self) -> int:
        """Bins of the fullest slot; the others are padded with zeros."""
        return max(len(bins) for bins in self.slots.values())

    @property
    def macs(self) -> int:
        """Multiplications per frame in both stages."""
        stage_one = self.n2 * 2 * len(self.slots) * self.hops * self.hop // self.n2
        return stage_one + len(self.slots) * 2 * self.bins * 2 * self.n2


def _plan(front_end: FrontEnd, common: int) -> _Plan:
    """Return the cheapest split with an `n2` that divides `common`."""
    splits = [n2 for n2 in range(1, common + 1) if common % n2 == 0]
    return min((_split(front_end, n2) for n2 in splits), key=lambda plan: plan.macs)


def _split(front_end: FrontEnd, n2: int) -> _Plan:
    n1 = front_end.n_fft // n2
    slots: dict[int, list[_Bin]] = {}
    for k in np.flatnonzero(mel_filterbank(front_end).any(axis=0)).tolist():
        # A real signal's spectrum at n1 - f is the conjugate of that at f.
        frequency, sign = (k % n1, 1) if 2 * (k % n1) <= n1 else (n1 - k % n1, -1)
        angle = 2 * np.pi * k * np.arange(n2) / front_end.n_fft
        cos, sin, zeros = np.cos(angle), np.sin(angle), np.zeros(n2)
        if frequency == 0:
            entry = _Bin(k, np.r_[cos, zeros], np.r_[-sin, zeros])
        elif 2 * frequency == n1:
            entry = _Bin(k, np.r_[zeros, cos], np.r_[zeros, -sin])
        else:
            entry = _Bin(k, np.r_[cos, sign * sin], np.r_[-sin, sign * cos])
        slots.setdefault(frequency if 2 * frequency < n1 else 0, []).append(entry)
    return _Plan(n1, n2, front_end.hop_length, {f: tuple(b) for f, b in sorted(slots.items())})


def _hop_blocks(graph: Graph, front_end: FrontEnd, plan: _Plan) -> str:
    """Cut the signal into hops, samples of one residue side by side, time last."""
    hop, n2 = plan.hop, plan.n2
    length = front_end.n_frames + plan.hops - 1
    signal, missing = "waveform", length * hop - front_end.window_samples
    if missing > 0:  # meets the zeros that pad stage one to whole hops
        signal = graph.add("Pad", signal, graph.ints(0, 0, 0, missing))
    elif missing < 0:
        signal = graph.add("Slice", signal, graph.ints(0), graph.ints(length * hop), graph.ints(1))
    # Two transpositions of rows are several times faster than one of samples.
    rows = graph.add("Reshape", signal, graph.ints(-1, length, hop))
    columns = graph.add("Transpose", rows, perm=[0, 2, 1])
    split = graph.add("Reshape", columns, graph.ints(-1, hop // n2, n2, length))
    residues = graph.add("Transpose", split, perm=[0, 2, 1, 3])
    return graph.add("Reshape", residues, graph.ints(-1, hop, length))


def _stage_one(front_end: FrontEnd, plan: _Plan) -> Array:
    """Weights `(n2 * slots * 2, hop / n2, q)`: window times real DFT over `n1` points."""
    n1, n2 = plan.n1, plan.n2
    window = analysis_window(front_end).reshape(n1, n2)
    taps = np.einsum("fpa,ab->bfpa", _transform(plan), window).reshape(n2, -1, n1)
    per_hop = plan.hop // n2
    filled = np.zeros((*taps.shape[:2], plan.hops * per_hop))
    filled[..., :n1] = taps
    # Sample n2 * a + b of a frame lies in hop a // per_hop, at index a % per_hop of residue b.
    return filled.reshape(-1, plan.hops, per_hop).swapaxes(1, 2)


def _transform(plan: _Plan) -> Array:
    """Return the real DFT over `n1` points, `(slots, 2, n1)`."""
    points = np.arange(plan.n1)
    transform = np.zeros((len(plan.slots), 2, plan.n1))
    for row, frequency in enumerate(plan.slots):
        angle = 2 * np.pi * frequency * points / plan.n1
        transform[row] = np.cos(angle), -np.sin(angle)
        if frequency == 0 and plan.n1 % 2 == 0:
            transform[row, 1] = np.cos(np.pi * points)
    return transform


def _by_slot(graph: Graph, residues: str, n_frames: int, plan: _Plan) -> str:
    parts = 2 * len(plan.slots)
    split = graph.add("Reshape", residues, graph.ints(-1, plan.n2, parts, n_frames))
    slots = graph.add("Transpose", split, perm=[0, 2, 1, 3])
    return graph.add("Reshape", slots, graph.ints(-1, parts * plan.n2, 1, n_frames))


def _power(graph: Graph, slots: str, front_end: FrontEnd, plan: _Plan) -> tuple[str, Array]:
    """Add stage two; return the power of every bin, and the mel filters in that order of bins."""
    weights, mel = _stage_two(front_end, plan)
    squares = []
    for part in weights:
        kernel = graph.floats(part.reshape(-1, 2 * plan.n2, 1, 1))
        spectrum = graph.add("Conv", slots, kernel, group=len(plan.slots))
        squares.append(graph.add("Mul", spectrum, spectrum))
    return graph.add("Add", *squares), mel.reshape(front_end.n_mels, -1, 1, 1)


def _stage_two(front_end: FrontEnd, plan: _Plan) -> tuple[Array, Array]:
    """Weights `(2, slots, bins, 2 * n2)`, and the mel filters `(n_mels, slots, bins)`."""
    shape = (len(plan.slots), plan.bins)
    weights = np.zeros((2, *shape, 2 * plan.n2))
    mel = np.zeros((front_end.n_mels, *shape))
    bank = mel_filterbank(front_end)
    for row, bins in enumerate(plan.slots.values()):
        for column, entry in enumerate(bins):
            weights[:, row, column] = entry.real, entry.imaginary
            mel[:, row, column] = bank[:, entry.k]
    return weights, mel


def _frames(graph: Graph, front_end: FrontEnd, plan: _Plan) -> str:
    """Gather the frames from the signal, in rows of as many samples as the hop allows."""
    row = math.gcd(front_end.n_fft, front_end.hop_length)
    reach = front_end.n_fft + (front_end.n_frames - 1) * front_end.hop_length
    first = np.arange(front_end.n_frames)[:, None] * (front_end.hop_length // row)
    places = first + np.arange(front_end.n_fft // row)
    signal = "waveform"
    if reach < front_end.window_samples:
        signal = graph.add("Slice", signal, graph.ints(0), graph.ints(reach), graph.ints(1))
    rows = graph.add("Reshape", signal, graph.ints(-1, reach // row, row))
    frames = graph.add("Gather", rows, graph.ints(*places.ravel().tolist()), axis=1)
    return graph.add("Reshape", frames, graph.ints(-1, plan.n1, plan.n2))


def _spectra(graph: Graph, slots: str, front_end: FrontEnd, plan: _Plan) -> tuple[str, Array]:
    """Add stage two to slots `(frames, slots, 2 * n2)`.

    Returns the real and imaginary parts of every bin, one row per frame, and the mel filters
    `(slots * bins * 2, n_mels)` for their squares.
    """
    weights, mel = _stage_two(front_end, plan)
    kernel = weights.transpose(1, 3, 2, 0).reshape(len(plan.slots), 2 * plan.n2, -1)
    by_slot = graph.add("Transpose", slots, perm=[1, 0, 2])
    parts = graph.add("MatMul", by_slot, graph.floats(kernel))  # (slots, frames, bins * 2)
    by_frame = graph.add("Transpose", parts, perm=[1, 0, 2])
    filters = np.repeat(mel.reshape(front_end.n_mels, -1), 2, axis=1).T
    return graph.add("Reshape", by_frame, graph.ints(-1, len(filters))), filters


def _normalise(graph: Graph, log_mel: str, normalization: Normalization) -> None:
    mean, std = np.array(normalization.mean)[:, None], np.array(normalization.std)[:, None]
    scaled = graph.add("Mul", log_mel, graph.floats(1 / std))
    graph.add("Add", scaled, graph.floats(-mean / std), output="features")
