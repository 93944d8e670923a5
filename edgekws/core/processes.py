"""Call a function in other processes, for work that holds the GIL: many short calls of numpy."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from edgekws.core import _calls
from edgekws.core.child import child
from edgekws.errors import MachineError

A = TypeVar("A")
R = TypeVar("R")

_FLAGS = ("-I", "-B")


@contextmanager
def in_processes(task: Callable[[A], R], count: int) -> Iterator[Callable[[A], R]]:
    """Yield `task` for threads to call; it runs in `count` processes, which end with the block.

    A call waits for an idle process. `task`, its argument and its result are pickled. Unlike those
    of `multiprocessing`, the processes do not import the script that started them, which therefore
    needs no guard.

    Raises:
        EdgekwsError: as raised by `task`, in the thread that called it.
        MachineError: a process died.
    """
    idle: SimpleQueue[_Worker] = SimpleQueue()

    def call(argument: A) -> R:
        worker = idle.get()
        try:
            succeeded, result = worker.call(argument)
        finally:
            idle.put(worker)
        if not succeeded:
            raise result
        return result  # type: ignore[no-any-return]

    with ExitStack() as stack:
        for _ in range(count):
            idle.put(_started(task, stack))
        yield call


class _Worker(NamedTuple):
    """A process that runs `_calls.py`, and the two ends of its pipes."""

    process: "subprocess.Popen[bytes]"
    calls: "Connection"
    replies: "Connection"

    def call(self, argument: object) -> tuple[bool, Any]:
        """Return whether the call succeeded, and its result or error."""
        self.send(argument)
        try:
            reply: tuple[bool, Any] = self.replies.recv()
        except (OSError, EOFError) as error:
            raise self._died() from error
        return reply

    def send(self, value: object) -> None:
        try:
            self.calls.send(value)
        except OSError as error:
            raise self._died() from error

    def _died(self) -> MachineError:
        assert self.process.stderr is not None
        words = self.process.stderr.read().decode(errors="replace").strip()
        reason = words[-2000:] or "killed, or out of memory; run the command again"
        return MachineError(f"a process of this command died: {reason}")


def _started(task: Callable[[Any], Any], stack: ExitStack) -> _Worker:
    pipe = subprocess.PIPE
    process = stack.enter_context(
        child(_calls.__file__, flags=_FLAGS, stdin=pipe, stdout=pipe, stderr=pipe)
    )
    assert process.stdin is not None
    assert process.stdout is not None
    calls = stack.enter_context(Connection(os.dup(process.stdin.fileno()), readable=False))
    replies = stack.enter_context(Connection(os.dup(process.stdout.fileno()), writable=False))
    worker = _Worker(process, calls, replies)
    worker.send(sys.path)
    worker.send(task)
    return worker
