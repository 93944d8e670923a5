"""One exception class per cause that a user can act on, each with its exit code."""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is too large for this file system",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "access is denied",
    errno.EPERM: "access is denied",
    errno.ENOTDIR: "a file is in the place of a folder",
    errno.EEXIST: "a file is in the place of a folder",
}


class EdgekwsError(Exception):
    """Base class of errors that are shown as a message without a traceback."""

    exit_code = 1


class MachineError(EdgekwsError):
    """The machine failed: disk full, folder not writable, a native library crashed."""


class UsageError(EdgekwsError):
    """The command line is invalid."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One problem in a recipe: its location, the key, and what to do."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        """Return `file:line: key: message`."""
        return ": ".join(part for part in (self.where, self.key, self.message) if part)


class RecipeError(EdgekwsError):
    """The recipe is invalid; lists every problem, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Store `problems`; the message has one line for each."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class UnsupportedError(EdgekwsError):
    """A layer or operator is not supported by what the recipe requests; the message names it."""

    exit_code = 2


class BudgetError(EdgekwsError):
    """A limit of the budget is exceeded."""

    exit_code = 3


class ParityError(EdgekwsError):
    """A step changed what the network computes, but must not."""

    exit_code = 4


class DataError(EdgekwsError):
    """The data is missing, unreadable or empty, or leaks between splits."""

    exit_code = 5


class MissingPartError(EdgekwsError):
    """An optional part is not installed, or a target cannot be reached."""

    exit_code = 6


@contextmanager
def writing(target: Path, advice: str) -> Iterator[None]:
    """Convert an `OSError` of the block to an error that names the target and the reason.

    Args:
        target: What the block writes.
        advice: What to do, at the end of the message.

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
    """Return the reason of an error in one line, with the file if it is not in the folder of `of`.

    `OSError`s of numpy have neither number nor file; those of `shutil.copytree` list several files.
    """
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        source, *_, text = error.args[0][0]
        return f"{text}: {source}"
    text = _REASONS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    same_folder = place is None or (of is not None and place.parent == of.parent)
    return text if same_folder else f"{text}: {place}"
