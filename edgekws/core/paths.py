"""Paths that a user names, and small files behind them: no name and no kind of file is a trap."""

import errno
import os
import stat
from pathlib import Path

from edgekws.errors import UsageError

MAX_BYTES = 1 << 20
"""Size of the largest recipe, sweep, budget or list of words."""

UNUSABLE = {
    errno.ELOOP: "its symbolic links go round in a circle",
    errno.ENAMETOOLONG: "the name is longer than a file system allows",
}
"""What is wrong with a name, by the system's error number."""


def path_problem(path: str | Path) -> str | None:
    """Say why nothing can be looked up under `path`, `None` where it can; it need not be there.

    >>> path_problem("no/such/file") is None
    True
    >>> path_problem("a" * 5000)
    'the name is longer than a file system allows'
    """
    if "\0" in str(path):
        return "a path cannot hold the character NUL"
    try:
        Path(path).expanduser().stat()
    except RuntimeError:
        return f"{Path(path).parts[0]} is the home of nobody known here; write the path in full"
    except UnicodeEncodeError:
        return "a path cannot hold half of a UTF-16 pair"
    except OSError as error:
        return UNUSABLE.get(error.errno or 0)
    return None


def user_path(text: str | Path) -> Path:
    """Return the path that a command was given, `~` expanded.

    Raises:
        UsageError: nothing can be looked up under it.
    """
    problem = path_problem(text)
    if problem:
        shown = str(text).replace("\0", "\\0")
        raise UsageError(f"{shown if len(shown) <= 80 else f'{shown[:79]}…'}: {problem}")
    return Path(text).expanduser()


def read_regular(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return what is in a regular file of `most` bytes at most.

    Raises:
        ValueError: it is a pipe, a device or a folder, or too large; the message says so.
        OSError: it cannot be read.
    """
    waiting_for_nobody = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, waiting_for_nobody), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file; name one")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"is larger than the {most // 1024:,} KiB that such a file may have")
    return data
