"""One exception class per cause a user can act on, each with its exit code."""

from collections.abc import Sequence
from dataclasses import dataclass


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
