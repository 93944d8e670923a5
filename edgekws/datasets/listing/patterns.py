"""Match regular expressions of a recipe against names within a time limit."""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from edgekws.errors import DataError

LIMIT_S = 1.0
"""Time limit per name; a pattern without backtracking needs microseconds."""


class _TimeIsUp(BaseException):
    """Raised within the match, which checks for signals regularly."""


def first_group(pattern: str, name: str) -> str | None:
    """Return the first group of `pattern` in `name`, `None` if it does not match.

    Raises:
        DataError: the match takes longer than `LIMIT_S`. There is no limit outside the main
            thread, because only that receives signals.
    """
    try:
        with _limited():
            match = re.search(pattern, name)
    except _TimeIsUp as error:
        raise DataError(
            f"speaker_pattern {pattern!r} did not finish within {LIMIT_S:g} s on the name "
            f"{name!r}: nested repetitions take too long; repeat only single characters, as in "
            "^([^_]+)_"
        ) from error
    return match.group(1) if match else None


@contextmanager
def _limited() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TimeIsUp
