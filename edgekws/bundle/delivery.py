"""Put a bundle where its user looks for it: in one step, and in place of a bundle only."""

import ctypes
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekws.bundle.members import CARD, MANIFEST, SUMS, strangers
from edgekws.bundle.pack import members, seal
from edgekws.errors import UsageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NOT_THERE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What kernels and file systems answer that cannot exchange two names."""


def obstacle(destination: Path) -> str | None:
    """Say what stands at `destination` and must not be replaced by a bundle; `None` if nothing.

    A bundle may be replaced, and an empty folder filled.
    """
    if destination.is_symlink():
        return f"is a link to {destination.readlink()}"
    if not destination.exists():
        return None
    if not destination.is_dir():
        return "is a file"
    if not any(destination.iterdir()):
        return None
    if foreign := next(filter(_is_kept, strangers(destination)), None):
        return f"holds {foreign}, which is no file of a bundle"
    missing = (name for name in (SUMS, CARD, MANIFEST) if not (destination / name).is_file())
    return next((f"is a folder that holds no {name}" for name in missing), None)


def _is_kept(stranger: str) -> bool:
    """Tell whether a stranger is worth keeping; what Python compiled of `detect.py` is not."""
    folder, _, name = stranger.rpartition("/")
    return stranger != "__pycache__" and (folder, name[-4:]) != ("__pycache__", ".pyc")


def deliver(folder: Path, destination: Path, card: str | None = None) -> None:
    """Copy a sealed bundle to `destination`, in place of the bundle that is there.

    `card` replaces its model card, which is no part of its identity.

    The two change places in one step where the file system can do so (renameat2), otherwise by
    two renames. What an interruption leaves is put right by `recover`, and by the next delivery.

    Raises:
        UsageError: something else than a bundle is there.
        OSError: the destination cannot be written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = _beside(destination)
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
    fresh, old = _beside(destination)
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
    """Put right what an interrupted delivery to `destination` has left beside it.

    Raises:
        OSError: it cannot be written there.
    """
    with locked(destination.parent):
        _recover(destination)


def copy_files(folder: Path, fresh: Path) -> None:
    """Copy the bundle's own files, and nothing else that lies among them."""
    for name in [*members(folder), SUMS]:
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, fresh / name)


def _beside(destination: Path) -> tuple[Path, Path]:
    """Return where the new bundle is copied to, and where the old one waits for its removal."""
    fresh, old = (destination.with_name(f".{destination.name}.edgekws-{x}") for x in ("new", "old"))
    return fresh, old


def _recover(destination: Path) -> None:
    fresh, old = _beside(destination)
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


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; say whether that can be done here."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    if renameat2(*names, _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_THERE:
        return False
    raise OSError(code, os.strerror(code), str(other))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep another process from putting something into `folder` at the same moment."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
