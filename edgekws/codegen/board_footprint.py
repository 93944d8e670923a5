"""Flash, RAM and instructions of a network, its front end and a spotter on a board."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.codegen import board, board_program, board_proof, board_runs, detector, reading
from edgekws.codegen.board_runs import Codes, Windows
from edgekws.codegen.ir import Network
from edgekws.core.contract import Contract
from edgekws.core.footprint import Footprint
from edgekws.core.scratch import scratch_folder


@dataclass(frozen=True)
class Setup:
    """How C is compiled for a CPU, and the board that stands for it."""

    cpu: str
    floats: bool
    flags: tuple[str, ...]
    clock_mhz: float

    @property
    def machine(self) -> str:
        """The board, as qemu names it."""
        return board.CPUS[self.cpu].board


@dataclass(frozen=True)
class Counts:
    """Instructions of the front end for each window, and of each inference of the network."""

    front_end: NDArray[np.int64]
    network: NDArray[np.int64]
    codes: Codes
    proven: int


def count(
    setup: Setup, model: onnx.ModelProto, contract: Contract, read: Network, windows: Windows
) -> Counts:
    """Run windows `(n, window_samples)` through front end and network, and prove every inference.

    Raises:
        UnsupportedError: the front end has no form in C.
        ParityError: a bit of a logit differs from onnxruntime's.
        MachineError: the compiler or the program fails.
    """
    with scratch_folder("board-proof") as scratch:
        folder = scratch / "source"
        board_program.write_proof(read, contract, folder, integer=not setup.floats)
        program = board.link(folder, setup.flags, scratch / "prove.elf")
        features = board_runs.run_front_end(program, setup.machine, contract.front_end, windows)
        streams = [board_runs.inferences(codes, read) for codes in features.codes]
        runs = board_runs.run_network(program, setup.machine, read, streams)
    proven = board_proof.require_equal(runs, model, read, streams, setup.cpu)
    return Counts(features.instructions, runs.instructions, features.codes, proven)


def footprint(
    setup: Setup,
    model: onnx.ModelProto,
    contract: Contract,
    manifest: dict[str, Any],
    windows: Windows,
) -> Footprint:
    """Return what a spotter takes and computes on `windows`, one behind the other, as a stream.

    The first window of the stream is left out of the averages: a windowed network is not run before
    its end.

    Raises:
        UnsupportedError: a layer, the front end or a setting has no form in C.
        ParityError, MachineError: as `count`.
    """
    read = reading.read(model)
    counts = count(setup, model, contract, read, windows)
    with scratch_folder("board-listener") as scratch:
        folder = scratch / "source"
        integer = not setup.floats
        board_program.write_listener(read, contract, manifest, folder, integer=integer)
        program = board.link(folder, setup.flags, scratch / "listen.elf")
        heard = board_runs.listen(program, setup.machine, windows.ravel())
    settings, front_end = detector.detector_settings(manifest), contract.front_end
    hop_s = settings.hop_samples / settings.sample_rate
    hop_frames = settings.hop_samples // front_end.hop_length
    per_hop = _per_hop(heard.instructions, hop_frames, front_end.n_frames, settings.every)
    return Footprint(
        cpu=setup.cpu,
        clock_mhz=setup.clock_mhz,
        floats=setup.floats,
        streaming=read.streaming,
        flash_bytes=program.flash,
        static_bytes=program.static_ram,
        stack_bytes=heard.stack_bytes,
        hop_s=hop_s,
        front_end_per_hop=float(counts.front_end.mean()) * hop_frames / front_end.n_frames,
        network_per_run=float(counts.network.mean()),
        runs_per_s=1 / hop_s if read.streaming else 1 / (hop_s * settings.every),
        per_s=float(per_hop.mean()) / hop_s,
        most_per_hop=float(per_hop.max()),
        audio_s=len(per_hop) * hop_s,
        clips=len(windows),
        inferences=counts.proven,
    )


def _per_hop(
    blocks: NDArray[np.int64], hop_frames: int, window_frames: int, every: int
) -> NDArray[np.int64]:
    """Return the instructions of each hop after the first window, up to a whole decision."""
    first = -(-window_frames // hop_frames)
    whole = blocks[: len(blocks) // hop_frames * hop_frames].reshape(-1, hop_frames).sum(axis=1)
    n = (len(whole) - first) // every * every
    hops: NDArray[np.int64] = whole[first : first + n]
    return hops


def read_bundle(bundle: Path) -> Path:
    """Return the network that a device runs on a stream."""
    streaming = bundle / "stream.onnx"
    return streaming if streaming.is_file() else bundle / "model.onnx"
