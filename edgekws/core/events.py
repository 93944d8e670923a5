"""Events that the engine and the steps emit while they run; the command line shows them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal[
    "run", "step", "progress", "note", "warning", "measured", "verdict", "done", "error"
]


@dataclass(frozen=True)
class Event:
    """One event of a run.

    `progress` events carry `done` and `total` of the task named by `text`; `data` holds values for
    programs (epoch losses, measurements) and the `unit` of the count.
    """

    kind: EventKind
    text: str
    done: int | None = None
    total: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


Emit = Callable[[Event], None]


def quiet(event: Event) -> None:
    """Ignore an event."""


def progress(emit: Emit, task: str, done: int, total: int, **data: Any) -> None:
    """Emit the progress of `task`."""
    emit(Event("progress", task, done, total, data))


def working(emit: Emit, task: str) -> None:
    """Emit the start of a `task` without measurable progress."""
    progress(emit, task, 0, 1)
