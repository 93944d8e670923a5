"""Paths given by a user, and the small files behind them, read safely."""

import errno
import os
import stat
from pathlib import Path

from edgekws.errors import UsageError

MAX_BYTES = 1 << 20
"""Maximum size of a recipe, sweep, budget or word list."""

UNUSABLE = {
    errno.ELOOP: "its symbolic links form a loop",
    errno.ENAMETOOLONG: "the name is longer than a file system allows",
}
"""The problem with a path, by the system's error number."""


def path_problem(path: str | Path) -> str | None:
    """Return why `path` cannot be used, or `None` if it can; it need not exist.

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
        return f"{Path(path).parts[0]} is not the home of a known user; write the full path"
    except UnicodeEncodeError:
        return "a path cannot hold half of a UTF-16 pair"
    except OSError as error:
        return UNUSABLE.get(error.errno or 0)
    return None


def user_path(text: str | Path) -> Path:
    """Return a path given on the command line, `~` expanded.

    Raises:
        UsageError: it cannot be used as a path.
    """
    problem = path_problem(text)
    if problem:
        shown = str(text).replace("\0", "\\0")
        raise UsageError(f"{shown if len(shown) <= 80 else f'{shown[:79]}…'}: {problem}")
    return Path(text).expanduser()


def read_regular(path: Path, most: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises:
        ValueError: it is not a regular file, or too large.
        OSError: it cannot be read.
    """
    nonblocking = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)  # a pipe would block until written to
    with os.fdopen(os.open(path, nonblocking), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file; name one")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"is larger than the limit of {most // 1024:,} KiB for this kind of file")
    return data
