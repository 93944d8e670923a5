"""Proof of an export to C: it is compiled, and run on the golden clips of its bundle."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.codegen.compiler import COMPILERS, Compiler, found
from edgekws.codegen.reference_cpu import difference_advice
from edgekws.core.scratch import scratch_folder
from edgekws.core.verified import Verified
from edgekws.errors import ParityError
from edgekws.lowering.stream_parity import StreamSession
from edgekws.runtime import detect

_PROGRAM = """
#include <stdio.h>
#include "kws.h"

int main(void)
{
    static kws_state state;
    static int16_t clip[KWS_WINDOW_SAMPLES];
    static float features[KWS_WINDOW_FRAMES * KWS_MEL_BANDS];
    float logits[KWS_LABELS];
    kws_init(&state);
    while (fread(clip, sizeof clip, 1, stdin) == 1) {
#if KWS_RUN_IN
        kws_front_end_run_in(clip, &state.scratch);
#else
        kws_front_end_reset(&state.scratch);
#endif
        kws_front_end_float(clip, KWS_WINDOW_FRAMES, features, &state.scratch);
        kws_logits(&state, clip, logits);
        fwrite(features, sizeof features, 1, stdout);
        fwrite(logits, sizeof logits, 1, stdout);
    }
    return 0;
}
"""

Floats = NDArray[np.float32]


def prove(written: Path, folder: Path) -> Verified:
    """Return the result of comparing the golden clips, bit for bit from the features on.

    Raises:
        ParityError: a bit of a logit, or a label, is another one.
        MachineError: the compiler fails.
    """
    contract, rows = read_contract(folder), read_json(folder / "golden" / "golden.json")
    files = sum(path.is_file() for path in written.rglob("*"))
    compiler = found()
    if compiler is None:
        note = f"there is no C compiler here ({', '.join(COMPILERS)}): run make test before use"
        return Verified(identity(folder), contract.labels, files, 0, 0.0, (note,))
    clips = [folder / "golden" / row["file"] for row in rows]
    expected = np.array([row.get("stream_logits", row["logits"]) for row in rows], np.float32)
    features, logits = _run(written, compiler, clips, read_contract(folder).input_shape)
    reference = np.stack(list(_reference(folder, features)))
    if different := int((reference != logits).any(axis=1).sum()):
        raise ParityError(
            f"{different} of {len(clips)} golden clips have other logits in C ({compiler.version}) "
            f"than in onnxruntime, from the same features; {difference_advice()}"
        )
    if (expected.argmax(axis=1) != logits.argmax(axis=1)).any():
        raise ParityError("a golden clip has another label in C than in the bundle")
    worst = float(np.abs(expected - logits).max())
    return Verified(identity(folder), contract.labels, files, len(clips), worst, ())


def _run(
    written: Path, compiler: Compiler, clips: list[Path], shape: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Return the features `(clips, T, n_mels)` and the logits `(clips, n_labels)` of the C."""
    with scratch_folder("c-proof") as scratch:
        shutil.copytree(written, scratch / "proof")
        (scratch / "proof" / "main.c").write_text(_PROGRAM)
        compiler.program(scratch / "proof", scratch / "run", ["-O2"])
        windows = b"".join(_samples(clip) for clip in clips)
        output = subprocess.run([scratch / "run"], input=windows, capture_output=True, check=True)
    numbers = np.frombuffer(output.stdout, np.float32).reshape(len(clips), -1)
    n_mels, frames = shape[-2:]
    features, logits = np.split(numbers, [n_mels * frames], axis=1)
    return features.reshape(-1, frames, n_mels), logits


def _samples(clip: Path) -> bytes:
    with clip.open("rb") as file:
        detect.read_wav_header(file)
        samples: NDArray[np.int16] = np.frombuffer(file.read(), "<i2").astype(np.int16)
    return samples.tobytes()


def _reference(folder: Path, features: Floats) -> Iterator[Floats]:
    """Yield the logits that onnxruntime computes from features `(clips, T, n_mels)`."""
    streaming = folder / "stream.onnx"
    if streaming.is_file():
        session = StreamSession(onnx.load(streaming))
        for clip in features:
            yield _streamed(session, np.ascontiguousarray(clip.T))
        return
    network = detect.session(folder / "model.onnx", threads=1)
    axes = (None,) * (len(network.get_inputs()[0].shape) - 2)
    for clip in features:
        (logits,) = network.run(None, {"features": np.ascontiguousarray(clip.T[axes])})
        yield logits[0]


def _streamed(session: StreamSession, clip: Floats) -> Floats:
    """Return the logits after a clip `(n_mels, T)`, fed hop by hop so that it ends with one."""
    session.reset()
    hop = session.stream.hop_frames
    whole = np.pad(clip, ((0, 0), (-clip.shape[1] % hop, 0)))
    hops = np.split(whole, whole.shape[1] // hop, axis=1)
    logits: Floats = np.concatenate([session.feed(frames) for frames in hops])[-1]
    return logits
