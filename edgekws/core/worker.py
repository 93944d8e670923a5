"""How a worker process ends: with the process that started it, and not by the user's Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker
from threading import Thread

FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGHUP})
"""Signals that a terminal sends to every process of a command at once."""


@contextmanager
def deaf_to_terminal() -> Iterator[None]:
    """Let processes started meanwhile not hear `FROM_TERMINAL`: who starts them ends them."""
    resource_tracker.ensure_running()  # which unblocks SIGINT when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process at once when the one that started it by `multiprocessing` has ended.

    The operating system closes a pipe between the two, however the parent ended, also by SIGKILL.
    """
    Thread(target=_end_after_parent, daemon=True).start()


def _end_after_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
