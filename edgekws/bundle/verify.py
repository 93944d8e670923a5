"""Check a bundle: checksums, what it declares, and golden clips in a clean interpreter."""

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
from edgekws.bundle.members import REQUIRED, SUMS, strangers
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
"""The installed runtime: the only code that a bundle is checked with."""


def score(bundle: Path, windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` of windows `(N, window_samples)` from the bundle itself.

    Its own `detect.py` runs, in an interpreter that holds neither torch nor edgekws: only for a
    bundle that was packed here.

    Raises:
        MachineError: the runtime failed; the message ends with what it said.
    """
    with named(bundle):
        return _score(_trusted, bundle / "detect.py", bundle, windows)[0]


def verify(bundle: Path) -> Verified:
    """Check a sealed bundle, a folder or a zip, without running any code of it.

    Its models are run in a process of their own, within limits of time and memory.

    Raises:
        DataError: a file is missing, added or changed, or does not fit the manifest; a model has
            operators that no bundle has, cannot be run or goes beyond the limits; the archive is
            damaged or not safe.
        ParityError: the installed runtime gives other logits than those written down.
    """
    with unpacked(bundle) as folder, named(bundle):
        return verify_folder(folder)


def verify_folder(folder: Path) -> Verified:
    """Check a bundle's folder as `verify` does; messages do not say which folder it is."""
    names = _check_sums(folder)
    contract, version = check_declared(folder)
    clips, difference = _check_golden(folder, contract, names)
    own = (folder / "detect.py").read_bytes()
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
        () if own == RUNTIME.read_bytes() else (note,),
    )


@contextmanager
def named(bundle: Path) -> Iterator[None]:
    """Put the bundle's path before the message of an error."""
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
        words = done.stderr.decode(errors="replace").strip()
        raise_if_disk_full(words)
        raise MachineError(f"its runtime failed: {words[-2000:]}")


def _check_sums(folder: Path) -> list[str]:
    if not (folder / SUMS).is_file():
        raise DataError(f"holds no {SUMS}: not a bundle, or not a complete one")
    for name in strangers(folder):
        if (folder / name).is_symlink():
            raise DataError(f"{name} is a link; a bundle holds plain files")
        raise DataError(f"{name} is no file of a bundle; remove it, or copy the bundle again")
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
    except ValueError as error:  # not UTF-8, or a line of another form
        raise DataError(f"{SUMS} cannot be read; copy the whole bundle again") from error


def _check_golden(folder: Path, contract: Contract, names: list[str]) -> tuple[int, float]:
    """Return the number of golden clips and the largest |Δlogit| on them."""
    rows = read_json(folder / "golden" / "golden.json")
    streaming = ["stream"] if detect.model_file(folder, "stream").is_file() else []
    keys = ["logits", *(f"{name}_logits" for name in streaming)]
    try:
        files = [f"golden/{row['file']}" for row in rows]
        written = np.array([[row[key] for row in rows] for key in keys], dtype=np.float32)
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"golden.json is not a list of clips and logits ({error})") from error
    if not files or written.shape != (len(keys), len(files), len(contract.labels)):
        raise DataError("golden.json does not hold a clip, or a logit for every label")
    if strange := sorted(set(files).difference(names)):
        raise DataError(f"golden.json names {strange[0]}, which is not among the bundle's files")
    windows = np.stack([_read_window(folder / file, contract) for file in files])
    found = np.stack(_score(confined.run, RUNTIME, folder, windows, *streaming))
    if found.shape != written.shape:
        raise DataError(f"gives logits {found.shape} on its golden clips, not {written.shape}")
    difference = float(np.abs(found - written).max())
    if not difference <= GOLDEN_TOLERANCE:  # also when it is not a number
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
            form = file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, RuntimeError) as error:  # the last: a chunk beyond the end
        why = str(error) or "damaged"
        raise DataError(f"golden clip {path.name} is not a WAV file ({why})") from error
    if form != expected or len(data) != 2 * front_end.window_samples:
        raise DataError(
            f"golden clip {path.name} has (Hz, channels, bytes, samples) {form}; the manifest "
            f"says {expected}"
        )
    return np.frombuffer(data, "<i2")
