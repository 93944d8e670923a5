"""Deliver a bundle to its destination: atomically, and replacing nothing but a bundle."""

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekws.bundle.members import CARD, MANIFEST, SUMS, foreign_paths
from edgekws.bundle.pack import members, seal
from edgekws.errors import UsageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of kernels and file systems that cannot exchange two names."""


def obstacle(destination: Path) -> str | None:
    """Return why `destination` must not be replaced by a bundle, or `None` if it may be.

    A bundle may be replaced, and an empty folder may be filled.
    """
    if destination.is_symlink():
        return f"is a link to {destination.readlink()}"
    if not destination.exists():
        return None
    if not destination.is_dir():
        return "is a file"
    if not any(destination.iterdir()):
        return None
    if foreign := next(filter(_is_worth_keeping, foreign_paths(destination)), None):
        return f"holds {foreign}, which is not a file of a bundle"
    missing = (name for name in (SUMS, CARD, MANIFEST) if not (destination / name).is_file())
    return next((f"is a folder that holds no {name}" for name in missing), None)


def _is_worth_keeping(path: str) -> bool:
    """Return whether a foreign file must not be deleted; the bytecode of `detect.py` may be."""
    folder, _, name = path.rpartition("/")
    return path != "__pycache__" and (folder, name[-4:]) != ("__pycache__", ".pyc")


def deliver(folder: Path, destination: Path, card: str | None = None) -> None:
    """Copy a sealed bundle to `destination`, replacing a bundle there.

    `card` replaces its model card, which is not part of its identity.

    The two are exchanged atomically if the file system supports it (renameat2), otherwise by two
    renames. `recover` and the next delivery clean up after an interruption.

    Raises:
        UsageError: the destination is not a bundle.
        OSError: the destination cannot be written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = _temporary_folders(destination)
    with locked(destination.parent):
        _recover(destination)
        if what := obstacle(destination):
            raise UsageError(f"{destination} {what}; move it away")
        try:
            copy_files(folder, fresh)
            if card is not None:
                seal(fresh, card)
            _put(fresh, destination, old)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            if destination.exists():
                shutil.rmtree(old, ignore_errors=True)


def replace_folder(folder: Path, destination: Path) -> None:
    """Copy a folder that is no bundle to `destination`, in place of what is there.

    Raises:
        OSError: the destination cannot be written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = _temporary_folders(destination)
    with locked(destination.parent):
        _recover(destination)
        try:
            shutil.copytree(folder, fresh)
            _put(fresh, destination, old)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            if destination.exists():
                shutil.rmtree(old, ignore_errors=True)


def recover(destination: Path) -> None:
    """Clean up after an interrupted delivery to `destination`.

    Raises:
        OSError: the parent folder cannot be written.
    """
    with locked(destination.parent):
        _recover(destination)


def copy_files(folder: Path, fresh: Path) -> None:
    """Copy the files of a bundle, and nothing else in its folder."""
    for name in [*members(folder), SUMS]:
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, fresh / name)


def _temporary_folders(destination: Path) -> tuple[Path, Path]:
    """Return the folders of the new bundle before, and of the old one after the exchange."""
    fresh, old = (destination.with_name(f".{destination.name}.edgekws-{x}") for x in ("new", "old"))
    return fresh, old


def _recover(destination: Path) -> None:
    fresh, old = _temporary_folders(destination)
    if old.exists() and not destination.exists():
        old.rename(destination)
    for leftover in (fresh, old):
        if leftover.exists():
            shutil.rmtree(leftover)


def _put(fresh: Path, destination: Path, old: Path) -> None:
    if not destination.exists() or not any(destination.iterdir()):
        fresh.rename(destination)
    elif not _exchange(fresh, destination):
        destination.rename(old)
        try:
            fresh.rename(destination)
        except OSError:
            old.rename(destination)
            raise


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two paths atomically; return False if the system does not support it."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second))
    if renameat2(*names, _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_SUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(second))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder` against deliveries by other processes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
