"""The end of a worker process: with the process that started it, not by the user's Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker
from threading import Thread

TERMINAL_SIGNALS = frozenset({signal.SIGINT, signal.SIGHUP})
"""Signals that a terminal sends to every process of a command at once."""


@contextmanager
def terminal_signals_blocked() -> Iterator[None]:
    """Block `TERMINAL_SIGNALS` in processes started in the block; their parent ends them."""
    resource_tracker.ensure_running()  # it unblocks SIGINT when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process when its `multiprocessing` parent has ended, even by SIGKILL.

    The operating system then closes a pipe between the two.
    """
    Thread(target=_end_after_parent, daemon=True).start()


def _end_after_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
