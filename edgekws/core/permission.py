"""What the user allowed this command to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ALLOW_COMMANDS = "--allow-commands"

_commands: ContextVar[bool] = ContextVar("commands", default=False)


@contextmanager
def commands_allowed(allowed: bool) -> Iterator[None]:
    """Allow programs that a recipe names to be run in the block, if `allowed`."""
    before = _commands.set(allowed)
    try:
        yield
    finally:
        _commands.reset(before)


def may_run_commands() -> bool:
    """Return whether programs that a recipe names may be run."""
    return _commands.get()
