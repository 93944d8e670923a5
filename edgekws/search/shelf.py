"""The features that a sweep keeps on disk: the oldest are removed beyond a limit."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "in-use"


@contextmanager
def in_use(folder: Path) -> Iterator[Path]:
    """Yield the folder for features of one front end, protected from `trim`."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            os.utime(lock.fileno())
            if (folder / _LOCK).exists():  # it was not removed while we waited
                yield folder
                return


def trim(shelf: Path, limit_gib: float) -> None:
    """Remove folders, least recently used first, until the rest is within the limit."""
    if not shelf.is_dir():
        return
    folders = [folder for folder in shelf.iterdir() if folder.is_dir()]
    sizes = {folder: _bytes(folder) for folder in folders}
    total = sum(sizes.values())
    for folder in sorted(folders, key=_last_used):
        if total <= limit_gib * 2**30:
            return
        if _remove(folder):
            total -= sizes[folder]


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # a worker has just renamed it
            continue
    return total


def _last_used(folder: Path) -> float:
    try:
        return (folder / _LOCK).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(folder: Path) -> bool:
    with (folder / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        gone = folder.with_name(f".{folder.name}.gone")
        folder.rename(gone)  # a process waiting for the lock finds nothing, and starts over
        shutil.rmtree(gone)
    return True
