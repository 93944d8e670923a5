"""One exception class per cause a user can act on, each with its exit code."""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_WHY = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "files may not be that large here",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "access is denied",
    errno.EPERM: "access is denied",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
}


class EdgekwsError(Exception):
    """Base of all errors that are shown as a message, not as a traceback."""

    exit_code = 1


class MachineError(EdgekwsError):
    """The machine failed: disk full, folder not writable, a native library crashed."""


class UsageError(EdgekwsError):
    """The command line does not make sense."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a recipe: where it stands, under which key, and what to do."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        """Return `file:line: key: message`."""
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class RecipeError(EdgekwsError):
    """The recipe is wrong; holds every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep `problems`; the message has one line each."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class UnsupportedError(EdgekwsError):
    """A layer or operator cannot take part in what the recipe asks; the message names it."""

    exit_code = 2


class BudgetError(EdgekwsError):
    """A limit of the budget is broken."""

    exit_code = 3


class ParityError(EdgekwsError):
    """A step that must not change what the network computes has changed it."""

    exit_code = 4


class DataError(EdgekwsError):
    """The data is missing, unreadable, empty or leaks between splits."""

    exit_code = 5


class MissingPartError(EdgekwsError):
    """An optional part is not installed, or a target cannot be reached."""

    exit_code = 6


@contextmanager
def writing(target: Path, advice: str) -> Iterator[None]:
    """Turn an `OSError` of the block into one that names what could not be written, and why.

    Args:
        target: What the block writes.
        advice: What to do about it, said at the end of the message.

    Raises:
        MachineError: the block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        space = "free some space, or " if error.errno in _FULL else ""
        raise MachineError(
            f"{target}: cannot be written ({reason(error, target)}); {space}{advice}"
        ) from error


def reason(error: OSError, of: Path | None = None) -> str:
    """Return in a line why the system refused, with the file where it lies elsewhere than `of`.

    `OSError`s of numpy have neither number nor file, those of `shutil.copytree` a list of files.
    """
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        source, *_, why = error.args[0][0]
        return f"{why}: {source}"
    text = _WHY.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    beside = place is None or (of is not None and place.parent == of.parent)
    return text if beside else f"{text}: {place}"
