"""Files that a command writes where its user says: whole or not at all, and devices left alone.

A regular file is written beside its place and renamed, so that nothing half-written ever has its
name. A link is followed: what it points to is written. A device, a pipe, a socket and what standard
output goes to are written to as they are; they are never replaced.
"""

import fcntl
import hashlib
import io
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from edgekws.errors import UsageError, writing

OTHER_OUTPUT = "name another --output"
OTHER_CACHE = "point EDGEKWS_CACHE at a folder that can be written"
PICTURES = (".png", ".svg", ".pdf")

_STANDARD = (1, 2)


def write_bytes(path: Path, content: bytes, advice: str = OTHER_OUTPUT) -> None:
    """Write a file in one go; folders on the way to it are made.

    Args:
        path: Where.
        content: All of it.
        advice: What to do where that fails, for the message.

    Raises:
        UsageError: `path` is a folder.
        MachineError: it cannot be written; nothing of it is left.
    """
    with _opened(path, advice) as file:
        file.write(content)


def write_text(path: Path, text: str, advice: str = OTHER_OUTPUT) -> None:
    """Write a text file as `write_bytes` does, in UTF-8, names as `in_utf8` returns them."""
    write_bytes(path, in_utf8(text).encode(), advice)


def in_utf8(text: str) -> str:
    r"""Return `text` with the bytes of a file name that are not UTF-8 as their escapes.

    >>> in_utf8("да\udcff")
    'да\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def whole_text(path: Path, advice: str = OTHER_OUTPUT) -> Iterator[TextIO]:
    """Yield a text file that gets its name only when the block ends; as `write_text` otherwise."""
    with (
        _opened(path, advice) as file,
        io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="") as text,
    ):
        yield text


def check_output(path: Path, advice: str = OTHER_OUTPUT) -> None:
    """Find out before the work, not after it, whether a file can be written; make its folder.

    Raises:
        UsageError: `path` is a folder.
        MachineError: it cannot be written.
    """
    _refuse_folder(path, advice)
    with writing(path, advice):
        if not is_stream(path):
            place = destination(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            _check_writable(place if place.exists() else place.parent)
            if place.exists():
                _check_writable(place.parent)


def is_folder(output: Path) -> bool:
    """Tell whether an output is a folder for several files: it is one, or has no suffix yet."""
    return output.is_dir() or not (output.suffix or output.exists())


def check_form(
    output: Path, suffixes: Sequence[str], option: str = "--output", *, or_folder: bool = True
) -> None:
    """Refuse a file whose suffix names no form that is written, or that cannot be written.

    Raises:
        UsageError: the suffix is none of `suffixes`, and it is no folder where one will do.
        MachineError: it cannot be written.
    """
    if or_folder and is_folder(output):
        return
    if output.suffix.lower() not in suffixes:
        *most, last = suffixes
        what = "a folder, or a file that ends in" if or_folder else "a file that ends in"
        raise UsageError(f"{output}: {option} is {what} {', '.join(most)} or {last}")
    check_output(output, f"name another {option}")


def is_stream(path: Path) -> bool:
    """Tell whether a path is there and neither a regular file nor a folder, or is standard output.

    Raises:
        OSError: a link that leads round in a circle; a folder that must not be looked into.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return not plain or _standard(found) is not None


def destination(path: Path) -> Path:
    """Return where a regular file is written in the end: links are followed."""
    return Path(os.path.realpath(path))


@contextmanager
def _opened(path: Path, advice: str) -> "Iterator[io.BufferedWriter[_Target]]":
    _refuse_folder(path, advice)
    with writing(path, advice):
        through = is_stream(path)
    with _through(path, advice) if through else _beside(path, advice) as file:
        yield file


@contextmanager
def _through(path: Path, advice: str) -> "Iterator[io.BufferedWriter[_Target]]":
    """Write to a device or a pipe, and to standard output where it stands."""
    with writing(path, advice):
        standard = _standard(path.stat())
        raw = _Target(path, advice, path if standard is None else os.dup(standard), "w")
    with io.BufferedWriter(raw) as file:
        yield file


@contextmanager
def _beside(path: Path, advice: str) -> "Iterator[io.BufferedWriter[_Target]]":
    """Write a file of another name in the same folder, and rename it at the end."""
    place = destination(path)
    with writing(path, advice):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            _check_writable(place)
        fresh, held = _claimed(place)
    try:
        with io.BufferedWriter(_Target(path, advice, os.dup(held), "w")) as file:
            yield file
        with writing(path, advice):
            if place.exists():
                fresh.chmod(stat.S_IMODE(place.stat().st_mode))  # as if written over
            fresh.replace(place)
    except BaseException:
        fresh.unlink()
        raise
    finally:
        os.close(held)


def _claimed(place: Path) -> tuple[Path, int]:
    """Open the file in the making of `place`, empty, and keep others from it until it is closed.

    Its name follows from that of `place`: what a killed process has left is written over by the
    next one. The name has a higher number where another process is writing the same file.
    """
    name = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:8]
    for number in itertools.count():
        fresh = place.with_name(f".edgekws-{name}-{number}.part")
        held = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(held), fresh.stat()):  # not renamed meanwhile
                os.ftruncate(held, 0)
                break
        os.close(held)
    return fresh, held


class _Target(io.FileIO):
    """A file whose own errors are told with the name that the user gave."""

    def __init__(self, path: Path, advice: str, file: Path | int, mode: str) -> None:
        self._path, self._advice = path, advice
        super().__init__(file, mode)

    def write(self, content: Any, /) -> int:
        with writing(self._path, self._advice):
            return super().write(content)


def _standard(found: os.stat_result) -> int | None:
    """Return the number of the standard output that goes to a file."""
    for number in _STANDARD:
        try:
            if os.path.samestat(found, os.fstat(number)):
                return number
        except OSError:  # it is closed
            continue
    return None


def _refuse_folder(path: Path, advice: str) -> None:
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, not a file; {advice}")


def _check_writable(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise PermissionError(f"writing to {path} is not allowed")
