"""The speed of a task, and its remaining time."""

import time
from collections.abc import Callable
from threading import Event as Stopped
from threading import Thread

from edgekws.core import figures
from edgekws.core.events import Event


class Pace:
    """The pace of a task since its first report, which need not be its start."""

    def __init__(self, task: str, done: int) -> None:
        """Start with a task of which `done` is finished."""
        self.task, self._from = task, done
        self._started = self._told = time.monotonic()

    def goes_on(self, task: str, done: int) -> bool:
        """Return whether this is still the same task, not a new one of the same name."""
        return task == self.task and done >= self._from

    def left(self, done: int, total: int) -> str:
        """Return the remaining time, empty while it is unknown."""
        if done <= self._from:
            return ""
        passed = time.monotonic() - self._started
        return figures.duration(passed * (total - done) / (done - self._from)) + " left"

    def is_due(self, every_s: float) -> bool:
        """Return whether that much time has passed since this last returned true."""
        due = time.monotonic() - self._told >= every_s
        if due:
            self._told = time.monotonic()
        return due


class Heartbeat:
    """Calls `beat` from a thread every `every_s`, with the time that has passed, until stopped."""

    def __init__(self, every_s: float, beat: Callable[[float], None]) -> None:
        """Start."""
        self._every_s, self._beat = every_s, beat
        self._started, self._stopped = time.monotonic(), Stopped()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self._beat(time.monotonic() - self._started)

    def stop(self) -> None:
        """Stop; `beat` is no longer called when this returns."""
        self._stopped.set()
        self._thread.join()


def counted(event: Event) -> str:
    """Format the progress of a task: epoch and loss of a training, or else what is counted.

    >>> counted(Event("progress", "training", 31, 150, {"epoch": 3, "epochs": 15, "loss": 0.4216}))
    'training epoch 3/15, loss 0.42'
    >>> counted(Event("progress", "evaluate", 1200, 4000, {"unit": "clips"}))
    'evaluate 1200/4000 clips'
    >>> counted(Event("progress", "latency of all forms", 0, 1))
    'latency of all forms …'
    """
    data = event.data
    if "epoch" in data and "loss" in data:
        return f"{event.text} epoch {data['epoch']}/{data['epochs']}, loss {data['loss']:.2f}"
    if not event.done and event.total == 1:
        return f"{event.text} …"
    return f"{event.text} {event.done or 0}/{event.total or 1} {data.get('unit', '')}".rstrip()
