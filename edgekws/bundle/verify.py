"""Verify a bundle: checksums, manifest, and golden clips in a clean interpreter."""

import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekws import about
from edgekws.bundle import confined
from edgekws.bundle.archive import MAX_BYTES, unpacked
from edgekws.bundle.declared import check_declared, read_json
from edgekws.bundle.members import REQUIRED, SUMS, foreign_paths
from edgekws.bundle.pack import identity, members
from edgekws.core.canonical import sha256_file
from edgekws.core.child import raise_if_disk_full, run_child
from edgekws.core.contract import Contract
from edgekws.core.scratch import scratch_folder
from edgekws.core.verified import Verified
from edgekws.errors import DataError, MachineError, ParityError
from edgekws.runtime import detect, score_windows

GOLDEN_TOLERANCE = 1e-4
RUNTIME = Path(detect.__file__)
"""The installed runtime, the only code that verification runs."""


def score(bundle: Path, windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of windows `(N, window_samples)` from the bundle itself.

    Of longer rows, the windows are the ends of streams.

    This runs the bundle's `detect.py`, in an interpreter without torch and edgekws; use it only on
    a bundle that was packed here.

    Raises:
        MachineError: the runtime failed; the message ends with its error.
    """
    with errors_named(bundle):
        return _score(_trusted, bundle / "detect.py", bundle, windows)[0]


def verify(bundle: Path) -> Verified:
    """Verify a sealed bundle, a folder or a zip, without running any of its code.

    Its models run in a separate process, within limits of time and memory.

    Raises:
        DataError: a file is missing, added or changed, or does not match the manifest; a model has
            operators that no bundle has, cannot be run or exceeds the limits; the archive is
            damaged or not safe.
        ParityError: the logits of the installed runtime differ from the recorded ones.
    """
    with unpacked(bundle) as folder, errors_named(bundle):
        return verify_folder(folder)


def verify_folder(folder: Path) -> Verified:
    """Verify a bundle's folder as `verify` does; messages do not name the folder."""
    names = _check_sums(folder)
    contract, version = check_declared(folder)
    clips, difference = _check_golden(folder, contract, names)
    runtime = (folder / "detect.py").read_bytes()
    note = (
        f"detect.py is another runtime version (bundle packed by edgekws {version}, this is "
        f"{about.version()}) and was not run: the installed one gave the golden logits"
    )
    return Verified(
        identity(folder),
        contract.labels,
        len(names),
        clips,
        difference,
        () if runtime == RUNTIME.read_bytes() else (note,),
    )


@contextmanager
def errors_named(bundle: Path) -> Iterator[None]:
    """Prefix the message of an error with the bundle's path."""
    try:
        yield
    except (DataError, MachineError, ParityError) as error:
        raise type(error)(f"{bundle}: {error}") from error


def _score(
    run: Callable[..., None],
    runtime: Path,
    bundle: Path,
    windows: NDArray[np.int16],
    *names: str,
) -> list[NDArray[np.float32]]:
    """Return the logits of the network, and of its streaming form if `stream` is in `names`."""
    with scratch_folder("verify") as scratch:
        source = scratch / "windows.npy"
        targets = [scratch / f"{name}.npy" for name in ("logits", *names)]
        np.save(source, windows)
        paths = (str(path.resolve()) for path in (runtime, bundle, source, *targets))
        run(score_windows.__file__, *paths)
        return [np.load(target) for target in targets]


def _trusted(script: str, *arguments: str) -> None:
    done = run_child(script, *arguments, flags=("-I", "-B"))
    if done.returncode:
        stderr = done.stderr.decode(errors="replace").strip()
        raise_if_disk_full(stderr)
        raise MachineError(f"its runtime failed: {stderr[-2000:]}")


def _check_sums(folder: Path) -> list[str]:
    if not (folder / SUMS).is_file():
        raise DataError(f"holds no {SUMS}: not a bundle, or not a complete one")
    for name in foreign_paths(folder):
        if (folder / name).is_symlink():
            raise DataError(f"{name} is a link; a bundle holds plain files")
        raise DataError(f"{name} is not a file of a bundle; remove it, or copy the bundle again")
    if sum((folder / name).stat().st_size for name in members(folder)) > MAX_BYTES:
        raise DataError(f"has more than the {MAX_BYTES // 2**20} MiB of any bundle")
    names, expected = members(folder), _read_sums(folder / SUMS)
    if missing := sorted({*expected, *REQUIRED}.difference(names)):
        raise DataError(f"{missing[0]} is missing; copy the whole bundle again")
    for name in names:
        if expected.get(name) != sha256_file(folder / name):
            raise DataError(f"{name} is not the file that was packed; copy it again")
    for model in ("frontend", "model"):
        if not detect.model_file(folder, model).is_file():
            raise DataError(f"{model}.onnx is missing; copy the whole bundle again")
    return names


def _read_sums(path: Path) -> dict[str, str]:
    try:
        pairs = [line.split("  ", 1) for line in path.read_text("utf-8").splitlines()]
        return {name: digest for digest, name in pairs}
    except ValueError as error:  # not UTF-8, or a malformed line
        raise DataError(f"{SUMS} cannot be read; copy the whole bundle again") from error


def _check_golden(folder: Path, contract: Contract, names: list[str]) -> tuple[int, float]:
    """Return the number of golden clips and the largest |Δlogit| on them."""
    rows = read_json(folder / "golden" / "golden.json")
    streaming = ["stream"] if detect.model_file(folder, "stream").is_file() else []
    keys = ["logits", *(f"{name}_logits" for name in streaming)]
    try:
        files = [f"golden/{row['file']}" for row in rows]
        expected = np.array([[row[key] for row in rows] for key in keys], dtype=np.float32)
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"golden.json is not a list of clips and logits ({error})") from error
    if not files or expected.shape != (len(keys), len(files), len(contract.labels)):
        raise DataError("golden.json does not hold a clip, or a logit for every label")
    if unknown := sorted(set(files).difference(names)):
        raise DataError(f"golden.json names {unknown[0]}, which is not among the bundle's files")
    windows = np.stack([_read_window(folder / file, contract) for file in files])
    logits = np.stack(_score(confined.run, RUNTIME, folder, windows, *streaming))
    if logits.shape != expected.shape:
        raise DataError(f"gives logits {logits.shape} on its golden clips, not {expected.shape}")
    difference = float(np.abs(logits - expected).max())
    if not difference <= GOLDEN_TOLERANCE:  # including NaN
        raise ParityError(
            f"logits on the golden clips differ by {difference:.2g}, more than "
            f"{GOLDEN_TOLERANCE:g}; build the bundle again on this machine to compare"
        )
    return len(files), difference


def _read_window(path: Path, contract: Contract) -> NDArray[np.int16]:
    front_end = contract.front_end
    expected = (front_end.sample_rate, 1, 2, front_end.window_samples)
    try:
        with wave.open(str(path), "rb") as file:
            header = (
                file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes(),
            )  # fmt: skip
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last: a chunk beyond the end
        reason = str(error) or "damaged"
        raise DataError(f"golden clip {path.name} is not a WAV file ({reason})") from error
    if header != expected or len(data) != 2 * front_end.window_samples:
        raise DataError(
            f"golden clip {path.name} has (Hz, channels, bytes, samples) {header}; the manifest "
            f"says {expected}"
        )
    return np.frombuffer(data, "<i2")
