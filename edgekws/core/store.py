"""Folders of the cache: built under another name, marked last, renamed, under a lock."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgekws.core.canonical import sha256_file
from edgekws.core.events import Emit, Event
from edgekws.core.output import OTHER_CACHE
from edgekws.errors import UsageError, writing

MARKER = "complete"
"""Written last: a JSON file with the size and sha256 of every other file of the folder."""

_WRITE_ERRORS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOTDIR,
        errno.EEXIST,
    }
)
"""Error numbers for a folder or a file that cannot be created or written."""

_IN_USE = "in-use.lock"
"""In the cache folder; every process that uses the cache holds a shared lock on it."""

_user: ContextVar[str] = ContextVar("recipe", default="")
"""The name of the current recipe, empty if there is none."""

_Members = dict[str, list[Any]]
"""Size and sha256 of each file by its relative path."""

_verified: dict[Path, tuple[tuple[object, ...], ...]] = {}
"""The file states of every folder that this process has hashed."""


def is_complete(target: Path) -> bool:
    """Return whether `target` was built completely; its content is not checked."""
    return (target / MARKER).is_file()


def is_intact(target: Path, emit: Emit) -> bool:
    """Return whether `target` is complete and its content unchanged.

    A process hashes every file once, and again if size, times or inode have changed. A damaged
    folder is removed with a warning, so that it is rebuilt when needed.
    """
    with _explained(target):
        if not is_complete(target):
            return False
        if _damaged(target) is None:
            return True
        with _locked(target):
            return _intact_or_removed(target, emit)


def build_folder(
    target: Path, build: Callable[[Path], None], emit: Emit, resumes: Collection[str] = ()
) -> Path:
    """Return `target`, after `build(partial folder)` unless it exists and is intact.

    The partial folder lies beside the target. An interrupted or failed `build` leaves it; the next
    one finds only the files named in `resumes` in it, at any depth. A lock per target keeps two
    processes from building the same folder; the second one waits.

    Raises:
        MachineError: the folder cannot be written, or the disk is full.
    """
    if not is_intact(target, emit):
        with _explained(target), _locked(target):
            if not _intact_or_removed(target, emit):
                _build_locked(target, build, resumes)
    _note_use(target)
    return target


def growing_folder(target: Path) -> Path:
    """Return a folder of the cache for files that are each complete by themselves.

    Its marker lists none of them, so they are not checked.

    Raises:
        MachineError: it cannot be created.
    """
    with _explained(target), _locked(target):
        target.mkdir(exist_ok=True)
        (target / MARKER).write_text("{}", encoding="utf-8")
    _note_use(target)
    return target


def discard(target: Path) -> None:
    """Remove a folder of the cache, so that it is rebuilt when needed.

    Raises:
        MachineError: it cannot be removed.
    """
    with _explained(target), _locked(target):
        _remove(target)


@contextmanager
def used_by(recipe: str, cache: Path) -> Iterator[None]:
    """Protect a cache from pruning, and record beside each folder that `recipe` uses it.

    Neither happens in a cache that cannot be written.
    """
    before = _user.set(recipe)
    with ExitStack() as stack:
        stack.callback(_user.reset, before)
        with suppress(OSError):
            fcntl.flock(stack.enter_context(_in_use(cache)), fcntl.LOCK_SH)
        yield


def entries_of(cache: Path) -> Iterator[Path]:
    """Yield the complete folders of a cache, and the partial ones of interrupted builds."""
    for lock in cache.glob("*/*.lock"):
        target = lock.with_suffix("")
        yield from (path for path in (target, _partial(target)) if path.is_dir())


def last_use(entry: Path) -> tuple[float, tuple[str, ...]]:
    """Return the time of a folder's last use, in seconds since the epoch, and its recipes."""
    lock = _lock(_target(entry))
    try:
        names = lock.read_text(encoding="utf-8").splitlines()
        return lock.stat().st_mtime, tuple(sorted(set(names)))
    except (OSError, UnicodeDecodeError):
        return entry.stat().st_mtime, ()


@contextmanager
def exclusive_use(cache: Path) -> Iterator[None]:
    """Lock a cache against all other processes.

    Raises:
        UsageError: another process is using it.
        MachineError: the cache cannot be written.
    """
    with writing(cache, OTHER_CACHE):
        lock = _in_use(cache)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{cache} is in use by another command; wait for it") from error
        yield


def _in_use(cache: Path) -> BinaryIO:
    cache.mkdir(parents=True, exist_ok=True)
    return (cache / _IN_USE).open("ab")


def _note_use(target: Path) -> None:
    """Add the current recipe to the lock file, and update the file's time."""
    name, path = _user.get().encode(), _lock(target)
    with suppress(OSError), path.open("a+b") as lock:  # nothing is recorded if it is not writable
        lock.seek(0)
        if name and name not in lock.read().split(b"\n"):
            lock.write(name + b"\n")
        os.utime(path)


def allocate(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Create a file for an array of `shape` and map it for writing.

    Its blocks are reserved at once: a full disk raises `OSError` here instead of crashing on a
    later write to the map. An array without elements is not mapped.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with path.open("wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)
    return open_array(path, dtype, shape)


def open_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array created by `allocate` for writing."""
    return _mapped(path, dtype, shape, "r+")


def read_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array created by `allocate` for reading.

    It is copy-on-write, because torch warns about read-only arrays; the file never changes.
    """
    return _mapped(path, dtype, shape, "c")


def _mapped(path: Path, dtype: DTypeLike, shape: tuple[int, ...], mode: Any) -> NDArray[Any]:
    if not np.prod(shape):
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode, shape=shape)


def _intact_or_removed(target: Path, emit: Emit) -> bool:
    """Return whether `target` is intact, and remove it if damaged; the caller holds its lock."""
    if not is_complete(target):
        return False
    damaged = _damaged(target)
    if damaged is not None:
        text = f"{target}: {damaged} was changed in the cache; it is removed and rebuilt"
        emit(Event("warning", text))
        _remove(target)
    return damaged is None


def _build_locked(target: Path, build: Callable[[Path], None], resumes: Collection[str]) -> None:
    partial = _partial(target)
    if partial.is_symlink() or not partial.is_dir():
        _remove(partial)
        partial.mkdir()
    _empty(partial, resumes)
    build(partial)
    with (partial / MARKER).open("w", encoding="utf-8") as marker:
        json.dump(_members(partial), marker, ensure_ascii=False)
        marker.flush()
        os.fsync(marker.fileno())
    _remove(target)  # without a marker: not ours
    partial.rename(target)
    _verified[target] = _state(target)


def _remove(path: Path) -> None:
    """Remove a folder, or the file or link in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _empty(partial: Path, resumes: Collection[str]) -> None:
    """Remove what an interrupted build has left, except the files to resume from."""
    for folder, folders, files in os.walk(partial, topdown=False):
        for name in files:
            if name not in resumes:
                Path(folder, name).unlink()
        for name in folders:
            path = Path(folder, name)
            if path.is_symlink():
                path.unlink()
            elif not any(path.iterdir()):
                path.rmdir()


def _files(folder: Path) -> list[Path]:
    """Return every file of a folder except its marker, sorted."""
    marker = folder / MARKER
    return sorted(path for path in folder.rglob("*") if path != marker and not path.is_dir())


def _members(folder: Path) -> _Members:
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, sha256_file(path)]
        for path in _files(folder)
    }


def _state(folder: Path) -> tuple[tuple[object, ...], ...]:
    """Return the name, size, times and inode of every file of a folder."""
    stats = ((path, path.stat()) for path in (*_files(folder), folder / MARKER))
    return tuple((path, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, s in stats)


def _damaged(target: Path) -> str | None:
    """Return the first changed file of a complete folder, or `None`."""
    present = {path.relative_to(target).as_posix(): path for path in _files(target)}
    for name, path in present.items():
        if not path.is_file():  # a pipe, a device, a link to nothing
            return name
    state = _state(target)
    if _verified.get(target) == state:
        return None
    try:
        expected = json.loads((target / MARKER).read_text(encoding="utf-8"))
        recorded = {str(name): tuple(entry) for name, entry in expected.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return MARKER
    if different := sorted(recorded.keys() ^ present.keys()):
        return different[0]
    for name, path in present.items():
        if recorded[name] != (path.stat().st_size, sha256_file(path)):
            return name
    _verified[target] = state
    return None


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock(target: Path) -> Path:
    return target.with_name(f"{target.name}.lock")


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.partial")


def _target(entry: Path) -> Path:
    """Return the target of a partial folder."""
    return entry.with_name(entry.name.removesuffix(".partial"))


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Raise `MachineError` if building failed because `target` cannot be written."""
    try:
        yield
    except OSError as error:
        if not _is_write_error(error, target):
            raise
        with writing(target, OTHER_CACHE):
            raise


def _is_write_error(error: OSError, target: Path) -> bool:
    """Return whether an error is from writing `target`, not from reading the sources."""
    if error.errno is None:  # numpy's and shutil's own errors, for truncated writes
        return type(error) in (OSError, shutil.Error)
    if error.errno not in _WRITE_ERRORS:
        return False
    if not isinstance(error.filename, str | bytes):
        return True
    place = Path(os.fsdecode(error.filename))
    return place.is_relative_to(target.parent) or target.is_relative_to(place)
