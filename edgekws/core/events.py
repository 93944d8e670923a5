"""What the engine and the steps tell while they run; the command line shows it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal[
    "run", "step", "progress", "note", "warning", "measured", "verdict", "done", "error"
]


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `progress` events carry `done` and `total` of the task named by `text`; `data` holds what a
    machine may want (epoch losses, measurements), and the `unit` of what is counted.
    """

    kind: EventKind
    text: str
    done: int | None = None
    total: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


Emit = Callable[[Event], None]


def quiet(event: Event) -> None:
    """Take an event and say nothing."""


def progress(emit: Emit, task: str, done: int, total: int, **data: Any) -> None:
    """Emit the progress of `task`."""
    emit(Event("progress", task, done, total, data))


def working(emit: Emit, task: str) -> None:
    """Emit that `task` has begun, of which nobody can tell how far it is."""
    progress(emit, task, 0, 1)
