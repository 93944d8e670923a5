"""The folders of a dataset, and the state of the files in them."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from edgekws.audio.folders import walk
from edgekws.errors import DataError


def existing(folder: Path) -> Path:
    """Return `folder` with `~` expanded.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.expanduser().is_dir():
        raise DataError(f"{folder}: no such folder, relative to {Path.cwd()}")
    return folder.expanduser()


def stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of the files under `folder`, except hidden ones, by name."""
    return sorted(_stamps(folder))


def _stamps(folder: Path) -> Iterable[tuple[str, int, int]]:
    for files in walk(folder, Counter()):
        for path in files:
            try:
                stat = path.stat()
            except OSError:  # a dangling or circular link is reported when it is read
                continue
            yield str(path)[len(str(folder)) :], stat.st_size, stat.st_mtime_ns
