"""What a network, its front end and a spotter compute on an emulated board, and in how many steps.

Every count of instructions is that of `codegen.board`: one by one, the same in every run.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.board import INSTRUCTIONS_PER_TICK, Program, run
from edgekws.codegen.ir import Network
from edgekws.core.scratch import scratch_folder
from edgekws.runtime.front_end import FrontEnd

_FRONT_END, _NETWORK, _RESET, _LOOP = range(4)
_EVENT_BYTES = 48

Windows = NDArray[np.int16]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class FrontEndRun:
    """Instructions of each window `(n,)`, and the quantized features `(n, frames, n_mels)`."""

    instructions: NDArray[np.int64]
    codes: Codes


@dataclass(frozen=True)
class NetworkRun:
    """Instructions of each inference `(n,)`, and the bits of its logits `(n, n_labels)`."""

    instructions: NDArray[np.int64]
    logits: NDArray[np.uint32]


@dataclass(frozen=True)
class Listened:
    """Instructions of each block of samples `(n,)`, the number of events, the deepest stack."""

    instructions: NDArray[np.int64]
    events: int
    stack_bytes: int


def run_front_end(
    program: Program, machine: str, front_end: FrontEnd, windows: Windows
) -> FrontEndRun:
    """Compute the features of windows `(n, window_samples)`."""
    request = struct.pack("<I", _FRONT_END)
    given = b"".join(request + window.astype("<i2").tobytes() for window in windows)
    rows = _rows(_run(program, machine, given), len(windows))
    codes = rows[:, 4:].reshape(len(windows), front_end.n_frames, front_end.n_mels)
    return FrontEndRun(_instructions(rows), codes)


def run_network(
    program: Program, machine: str, network: Network, streams: Iterable[Codes]
) -> NetworkRun:
    """Run a network on streams of features `(inferences, frames, n_mels)`, each from a reset on."""
    given, inferences = [], 0
    for stream in streams:
        given.append(struct.pack("<I", _RESET))
        given += [struct.pack("<I", _NETWORK) + codes.tobytes() for codes in stream]
        inferences += len(stream)
    rows = _rows(_run(program, machine, b"".join(given)), inferences)
    logits = np.ascontiguousarray(rows[:, 4:]).view("<u4")
    assert logits.shape[1] == network.n_labels
    return NetworkRun(_instructions(rows), logits)


def run_loop(program: Program, machine: str, turns: int) -> int:
    """Return the instructions that are counted in so many turns of a loop of two instructions."""
    (ticks,) = struct.unpack("<I", _run(program, machine, struct.pack("<II", _LOOP, turns)))
    return int(ticks) * INSTRUCTIONS_PER_TICK


def listen(program: Program, machine: str, samples: Windows) -> Listened:
    """Feed samples `(n,)` to a spotter, a block of one frame step after the other."""
    output = _run(program, machine, samples.astype("<i2").tobytes())
    ticks, events, at = list[int](), 0, 0
    while at < len(output) - 4:
        of_block, n = struct.unpack_from("<II", output, at)
        ticks.append(of_block)
        events += n
        at += 8 + n * _EVENT_BYTES
    (stack_bytes,) = struct.unpack_from("<I", output, at)
    counted = np.array(ticks, np.int64) * INSTRUCTIONS_PER_TICK
    return Listened(counted, events, stack_bytes)


def inferences(codes: Codes, network: Network) -> Codes:
    """Return a window `(T, n_mels)` as what inferences take, `(n, frames, n_mels)`.

    A streaming network takes hops, of which the last ends the window. What precedes the window in
    the first hop are the codes of silence.
    """
    missing = -len(codes) % network.frames
    whole = np.pad(codes, ((missing, 0), (0, 0)), constant_values=network.input.zero)
    return whole.reshape(-1, network.frames, network.n_mels)


def _run(program: Program, machine: str, given: bytes) -> bytes:
    with scratch_folder("board") as scratch:
        return run(program, machine, given, Path(scratch))


def _rows(output: bytes, n: int) -> Codes:
    return np.frombuffer(output, np.uint8).reshape(n, -1)


def _instructions(rows: Codes) -> NDArray[np.int64]:
    ticks = np.ascontiguousarray(rows[:, :4]).view("<u4")[:, 0]
    return ticks.astype(np.int64) * INSTRUCTIONS_PER_TICK
