"""Proof of a page: Node.js runs its WebAssembly on the golden clips of its bundle."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.codegen import reading, wasm
from edgekws.codegen.reference_cpu import difference_advice
from edgekws.core.scratch import scratch_folder
from edgekws.core.verified import Verified
from edgekws.errors import MachineError, ParityError
from edgekws.lowering.stream_parity import StreamSession
from edgekws.runtime import detect, web

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Computed:
    """What a module computed: of clips quantized features `(clips, T, n_mels)` and logits
    `(clips, n_labels)`, and the logits of runs of the network.
    """

    features: Bytes
    logits: Floats
    run_logits: Floats


class Reference:
    """What onnxruntime computes for the network that a page holds, from quantized features."""

    def __init__(self, folder: Path) -> None:
        """Load the network of the bundle in `folder`: the streaming one if there is one."""
        streaming = folder / "stream.onnx"
        model = onnx.load(streaming if streaming.is_file() else folder / "model.onnx")
        quantization = reading.read(model).input
        self._scale, self._zero = quantization.scale, quantization.zero
        self.stream = StreamSession(model) if streaming.is_file() else None
        self._window = detect.session(folder / "model.onnx", threads=1)

    def clip(self, features: Bytes) -> Floats:
        """Return the logits `(n_labels,)` of a window `(T, n_mels)`."""
        if self.stream is None:
            return self.run(features)
        hop = self.stream.stream.hop_frames
        self.stream.reset()
        missing = np.full((-len(features) % hop, features.shape[1]), self._zero, np.uint8)
        hops = np.split(np.concatenate([missing, features]), (len(missing) + len(features)) // hop)
        return [self.run(frames) for frames in hops][-1]

    def run(self, features: Bytes) -> Floats:
        """Return the logits `(n_labels,)` of one run: a window, or the next hop of a stream."""
        values = ((features.astype(np.int32) - self._zero).astype(np.float32) * self._scale).T
        if self.stream is not None:
            hop: Floats = self.stream.feed(np.ascontiguousarray(values))[0]
            return hop
        axes = (None,) * (len(self._window.get_inputs()[0].shape) - 2)
        inputs = {"features": np.ascontiguousarray(values[axes])}
        logits: Floats = self._window.run(None, inputs)[0][0]
        return logits


def prove(written: Path, folder: Path) -> Verified:
    """Return the result of comparing the golden clips, bit for bit from the features on.

    Raises:
        ParityError: a bit of a logit, or a label, is another one.
        MachineError: Node.js fails.
    """
    contract, rows = read_contract(folder), read_json(folder / "golden" / "golden.json")
    if wasm.node() is None:
        note = f"there is no Node.js here, so the page is not proven: {wasm.INSTALL_NODE}"
        return Verified(identity(folder), contract.labels, 1, 0, 0.0, (note,))
    clips = np.stack([_samples(folder / "golden" / row["file"]) for row in rows])
    simd, scalar = compute(written, folder, clips)
    reference = Reference(folder)
    expected = np.stack([reference.clip(features) for features in simd.features])
    if simd.features.tobytes() != scalar.features.tobytes():
        raise ParityError("the modules with and without SIMD have other features; please report it")
    for name, computed in (("with", simd), ("without", scalar)):
        if different := int((computed.logits != expected).any(axis=1).sum()):
            raise ParityError(
                f"{different} of {len(clips)} golden clips have other logits in WebAssembly {name} "
                f"SIMD than in onnxruntime, from the same features; {difference_advice()}"
            )
    recorded = np.array([row.get("stream_logits", row["logits"]) for row in rows], np.float32)
    if (recorded.argmax(axis=1) != expected.argmax(axis=1)).any():
        raise ParityError("a golden clip has another label on the page than in the bundle")
    worst = float(np.abs(recorded - expected).max())
    return Verified(identity(folder), contract.labels, 1, len(clips), worst, ())


def compute(
    page: Path, folder: Path, clips: NDArray[np.int16], runs: Bytes | None = None
) -> tuple[Computed, Computed]:
    """Return what the modules of a page compute, with SIMD and without.

    Args:
        page: The page.
        folder: Its bundle.
        clips: Windows `(clips, window_samples)`.
        runs: What the network takes in its runs, `(runs, frames, n_mels)`, quantized.

    Raises:
        MachineError: Node.js fails; the message ends with its last line.
    """
    contract = read_contract(folder)
    shape = (len(clips), *contract.input_shape[-2:][::-1])
    frames = np.zeros(0, np.uint8) if runs is None else runs
    with scratch_folder("web-proof") as scratch:
        (scratch / "proof.js").write_text(web.text(*web.PROOF), encoding="utf-8")
        (scratch / "clips").write_bytes(clips.tobytes())
        (scratch / "frames").write_bytes(frames.tobytes())
        _node([scratch / "proof.js", page, scratch / "clips", scratch / "frames", scratch / "out"])
        output = np.fromfile(scratch / "out", np.uint8)
    halves = np.split(output, 2)
    n_runs = 0 if runs is None else len(runs)
    return _parts(halves[0], shape, n_runs), _parts(halves[1], shape, n_runs)


def _node(arguments: Sequence[Path]) -> None:
    program = wasm.node()
    assert program is not None
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line]
        raise MachineError(f"{program} cannot run the page: {(lines or ['no message'])[0]}")


def _parts(output: Bytes, shape: tuple[int, ...], n_runs: int) -> Computed:
    """Split the output of a module; `shape` is that of the features of all clips."""
    clips, size = shape[0], int(np.prod(shape[1:]))
    labels = (len(output) - clips * size) // (4 * (clips + n_runs))
    rows, runs = np.split(output, [clips * (size + 4 * labels)])
    features, logits = np.split(rows.reshape(clips, -1), [size], axis=1)
    return Computed(
        np.ascontiguousarray(features).reshape(shape),
        np.ascontiguousarray(logits).view(np.float32),
        runs.copy().view(np.float32).reshape(n_runs, labels),
    )


def _samples(clip: Path) -> NDArray[np.int16]:
    with clip.open("rb") as file:
        detect.read_wav_header(file)
        return np.frombuffer(file.read(), "<i2").astype(np.int16)
