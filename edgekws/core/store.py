"""Folders of the cache: built under another name, marked last, renamed, under a lock."""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgekws.errors import MachineError

MARKER = "complete"

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "it is read-only",
    errno.EACCES: "allow writing there",
    errno.EPERM: "allow writing there",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
}


def is_complete(target: Path) -> bool:
    """Tell whether `target` was built to the end."""
    return (target / MARKER).is_file()


def build_folder(target: Path, build: Callable[[Path], None]) -> Path:
    """Return `target`, calling `build(partial folder)` first unless it is complete.

    The partial folder stands beside the target. An interrupted or failed `build` leaves it, and
    the next one finds there what it had written, so `build` resumes or overwrites. A lock for each
    target keeps two processes from building the same; the second one waits.

    Raises:
        MachineError: the folder cannot be written, or the disk is full.
    """
    if is_complete(target):
        return target
    with _explained(target), _locked(target):
        if not is_complete(target):
            _build_locked(target, build)
    return target


def allocate(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Create a file for an array of `shape` and return it mapped for writing.

    Its blocks are reserved at once: a full disk is an `OSError` here, not a crash when the map is
    written to. An array without elements is not mapped.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with path.open("wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
    return open_array(path, dtype, shape)


def open_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array written through `allocate` for writing."""
    return _mapped(path, dtype, shape, "r+")


def read_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array written through `allocate` for reading.

    Whoever writes to it changes a private copy, never the file; torch warns of read-only arrays.
    """
    return _mapped(path, dtype, shape, "c")


def _mapped(path: Path, dtype: DTypeLike, shape: tuple[int, ...], mode: Any) -> NDArray[Any]:
    if not np.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode, shape=shape)


def _build_locked(target: Path, build: Callable[[Path], None]) -> None:
    partial = target.with_name(f"{target.name}.partial")
    partial.mkdir(exist_ok=True)
    build(partial)
    with (partial / MARKER).open("wb") as marker:
        os.fsync(marker.fileno())
    if target.exists():  # without a marker: not ours, or damaged
        shutil.rmtree(target)
    partial.rename(target)


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise
        raise MachineError(
            f"{error.filename or target}: {error.strerror}; {advice}, or point EDGEKWS_CACHE at "
            "a folder that can be written"
        ) from error
