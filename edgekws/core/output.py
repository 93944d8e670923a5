"""Output files at paths chosen by the user: written whole or not at all, devices never replaced.

A regular file is written under a temporary name in the same folder and renamed, so that a partial
file never has its name. Links are followed. Devices, pipes, sockets and the file behind standard
output are written to in place, never replaced.
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
    """Write a file atomically; create its parent folders.

    Args:
        path: The file.
        content: Its whole content.
        advice: What to do on failure, for the message.

    Raises:
        UsageError: `path` is a folder.
        MachineError: it cannot be written; no partial file is left.
    """
    with _opened(path, advice) as file:
        file.write(content)


def write_text(path: Path, text: str, advice: str = OTHER_OUTPUT) -> None:
    """Write a UTF-8 text file as `write_bytes` does, escaped as by `in_utf8`."""
    write_bytes(path, in_utf8(text).encode(), advice)


def in_utf8(text: str) -> str:
    r"""Return `text` with bytes that are not UTF-8 (from file names) as escapes.

    >>> in_utf8("да\udcff")
    'да\\udcff'
    """
    return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def whole_text(path: Path, advice: str = OTHER_OUTPUT) -> Iterator[TextIO]:
    """Yield a text file that gets its name when the block ends; otherwise as `write_text`."""
    with (
        _opened(path, advice) as file,
        io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="") as text,
    ):
        yield text


def check_output(path: Path, advice: str = OTHER_OUTPUT) -> None:
    """Check that a file can be written, before the work starts; create its folder.

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
    """Return whether an output is a folder, or is to become one: it is new and has no suffix."""
    return output.is_dir() or not (output.suffix or output.exists())


def check_form(
    output: Path, suffixes: Sequence[str], option: str = "--output", *, or_folder: bool = True
) -> None:
    """Check the suffix of an output, and that it can be written.

    Raises:
        UsageError: the suffix is not in `suffixes`, and `output` is not a folder with `or_folder`.
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
    """Return whether a path is a device, a pipe or a socket, or the file behind standard output.

    Raises:
        OSError: a symbolic link that forms a loop; a folder without permission.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return not plain or _standard_stream(status) is not None


def destination(path: Path) -> Path:
    """Return the file that is written: links are followed."""
    return Path(os.path.realpath(path))


@contextmanager
def _opened(path: Path, advice: str) -> "Iterator[io.BufferedWriter[_Target]]":
    _refuse_folder(path, advice)
    with writing(path, advice):
        in_place = is_stream(path)
    with _opened_in_place(path, advice) if in_place else _replaced(path, advice) as file:
        yield file


@contextmanager
def _opened_in_place(path: Path, advice: str) -> "Iterator[io.BufferedWriter[_Target]]":
    """Write to a device or a pipe, or to standard output at its current position."""
    with writing(path, advice):
        standard = _standard_stream(path.stat())
        raw = _Target(path, advice, path if standard is None else os.dup(standard), "w")
    with io.BufferedWriter(raw) as file:
        yield file


@contextmanager
def _replaced(path: Path, advice: str) -> "Iterator[io.BufferedWriter[_Target]]":
    """Write a temporary file in the same folder, and rename it at the end."""
    place = destination(path)
    with writing(path, advice):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            _check_writable(place)
        temporary, descriptor = _locked_temporary(place)
    try:
        with io.BufferedWriter(_Target(path, advice, os.dup(descriptor), "w")) as file:
            yield file
        with writing(path, advice):
            if place.exists():
                temporary.chmod(stat.S_IMODE(place.stat().st_mode))  # as if overwritten
            temporary.replace(place)
    except BaseException:
        temporary.unlink()
        raise
    finally:
        os.close(descriptor)


def _locked_temporary(place: Path) -> tuple[Path, int]:
    """Open the empty temporary file of `place`, locked until it is closed.

    Its name is derived from that of `place`, so that the next process overwrites what a killed one
    has left. The name gets a higher number while another process is writing the same file.
    """
    name = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:8]
    for number in itertools.count():
        temporary = place.with_name(f".edgekws-{name}-{number}.part")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), temporary.stat()):  # not renamed meanwhile
                os.ftruncate(descriptor, 0)
                break
        os.close(descriptor)
    return temporary, descriptor


class _Target(io.FileIO):
    """A file that reports write errors under the name that the user gave."""

    def __init__(self, path: Path, advice: str, file: Path | int, mode: str) -> None:
        self._path, self._advice = path, advice
        super().__init__(file, mode)

    def write(self, content: Any, /) -> int:
        with writing(self._path, self._advice):
            return super().write(content)


def _standard_stream(status: os.stat_result) -> int | None:
    """Return the descriptor of standard output or error if it goes to this file."""
    for number in _STANDARD:
        try:
            if os.path.samestat(status, os.fstat(number)):
                return number
        except OSError:  # closed
            continue
    return None


def _refuse_folder(path: Path, advice: str) -> None:
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, not a file; {advice}")


def _check_writable(path: Path) -> None:
    if not os.access(path, os.W_OK):
        raise PermissionError(f"writing to {path} is not allowed")
