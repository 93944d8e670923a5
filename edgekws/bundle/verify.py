"""Check a bundle: checksums, and golden clips through its own runtime in a clean interpreter."""

import json
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws.bundle.pack import SUMS, members
from edgekws.core.canonical import sha256_file
from edgekws.errors import DataError, MachineError, ParityError
from edgekws.runtime import score_windows

GOLDEN_TOLERANCE = 1e-4


def score(bundle: Path, windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of windows `(N, window_samples)` from the bundle itself.

    Its `detect.py` runs in an interpreter of its own that holds neither torch nor edgekws.

    Raises:
        MachineError: the runtime failed; the message ends with what it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "windows.npy"), Path(scratch, "logits.npy")
        np.save(source, windows)
        command = [sys.executable, "-I", "-B", score_windows.__file__]
        command += [str(path.resolve()) for path in (bundle, source, target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MachineError(f"{bundle}: its runtime failed: {done.stderr.strip()[-2000:]}")
        logits: NDArray[np.float32] = np.load(target)
    return logits


def verify(bundle: Path) -> float:
    """Check a sealed bundle; return the largest |Δlogit| on its golden clips.

    Raises:
        DataError: a file is missing, added or changed.
        ParityError: the runtime gives other logits than those written down.
    """
    _check_sums(bundle)
    rows = json.loads((bundle / "golden" / "golden.json").read_text("utf-8"))
    windows = np.stack([_read_window(bundle / "golden" / row["file"]) for row in rows])
    written = np.array([row["logits"] for row in rows], dtype=np.float32)
    difference = float(np.abs(score(bundle, windows) - written).max())
    if difference > GOLDEN_TOLERANCE:
        raise ParityError(
            f"{bundle}: logits on the golden clips differ by {difference:.2g}, more than "
            f"{GOLDEN_TOLERANCE:g}; build the bundle again on this machine to compare"
        )
    return difference


def _check_sums(bundle: Path) -> None:
    sums = bundle / SUMS
    if not sums.is_file():
        raise DataError(f"{bundle} holds no {SUMS}: not a bundle, or not a complete one")
    lines = (line.split("  ", 1) for line in sums.read_text("utf-8").splitlines())
    expected = {name: digest for digest, name in lines}
    if missing := sorted(set(expected) - set(members(bundle))):
        raise DataError(f"{bundle}: {missing[0]} is missing; copy the whole bundle again")
    for name in members(bundle):
        if expected.get(name) != sha256_file(bundle / name):
            raise DataError(f"{bundle}: {name} is not the file that was packed; copy it again")


def _read_window(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")
