"""What a dataset's fingerprint is made of: the code that makes it, and the state of its files."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from edgekws.audio.folders import walk
from edgekws.core.canonical import sha256_of
from edgekws.errors import DataError


@cache
def code_fingerprint(libraries: tuple[str, ...]) -> str:
    """Return a sha256 over the source of all modules of this folder and versions of `libraries`.

    Raises:
        importlib.metadata.PackageNotFoundError: one of `libraries` is not installed.
    """
    sources = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted(Path(__file__).parent.glob("*.py"))
    }
    return sha256_of([sources, {name: version(name) for name in libraries}])


def existing(folder: Path) -> Path:
    """Return `folder` with `~` expanded.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.expanduser().is_dir():
        raise DataError(f"{folder}: no such folder; it is looked for from {Path.cwd()}")
    return folder.expanduser()


def stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of the files under `folder`, hidden ones left out, by name."""
    return sorted(_stamps(folder))


def _stamps(folder: Path) -> Iterable[tuple[str, int, int]]:
    for files in walk(folder, Counter()):
        for path in files:
            try:
                stat = path.stat()
            except OSError:  # a link to nothing or to itself, which is told when it is read
                continue
            yield str(path)[len(str(folder)) :], stat.st_size, stat.st_mtime_ns
