"""Regular expressions of a recipe, matched against names within a time limit."""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from edgekws.errors import DataError

LIMIT_S = 1.0
"""Time for one name; a pattern that does not backtrack needs microseconds."""


class _TimeIsUp(BaseException):
    """Raised within the match, which looks for signals now and then."""


def first_group(pattern: str, name: str) -> str | None:
    """Return what the first group of `pattern` finds in `name`, `None` where nothing matches.

    Raises:
        DataError: the match takes longer than `LIMIT_S`; it names the file. Outside of the main
            thread, which alone is sent signals, it is not limited.
    """
    try:
        with _limited():
            match = re.search(pattern, name)
    except _TimeIsUp as error:
        raise DataError(
            f"speaker_pattern {pattern!r} did not come to an end within {LIMIT_S:g} s on the name "
            f"{name!r}: it tries every way to repeat a repetition; repeat single characters only, "
            "as in ^([^_]+)_"
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
