"""Who does the units: worker processes on this machine, one unit each at a time."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Protocol

from edgekws.core.environment import ONE_THREAD, environ_set
from edgekws.core.events import Event
from edgekws.core.worker import end_with_parent, terminal_signals_blocked
from edgekws.search.trial import Outcome, Unit

DEATHS = 3
"""A unit whose worker was killed so often is given up."""


class Crew(Protocol):
    """Whoever does units. The sweep asks for nothing else, whatever the workers are."""

    @property
    def size(self) -> int:
        """How many units can be in work at once."""

    def submit(self, unit: Unit) -> None:
        """Begin a unit; at most `size` may be in work."""

    def wait(self, timeout_s: float) -> list[Outcome | Event]:
        """Return what has come within that time: outcomes, and what workers tell."""

    def close(self) -> None:
        """Stop, also what is in work."""


@dataclass
class _Member:
    process: SpawnProcess
    pipe: Connection
    unit: Unit | None = None


class LocalCrew:
    """Processes of this machine, each with one thread; one that dies is replaced.

    A unit whose worker was killed is begun again, up to `DEATHS` times, and goes on from its last
    epoch. What workers write on standard error goes into `log`.
    """

    def __init__(self, size: int, cache: Path, shelf: Path, log: Path) -> None:
        """Take the places that the workers share; processes start with the first unit."""
        self.size = size
        self._places = (cache, shelf, log)
        self._members: list[_Member] = []
        self._deaths: dict[str, int] = {}

    def submit(self, unit: Unit) -> None:
        """Give a unit to a worker that is free."""
        member = next((m for m in self._members if m.unit is None), None)
        if member is None:
            member = _start(*self._places)
            self._members.append(member)
        member.unit = unit
        with suppress(OSError):  # it is dead; `wait` will find out
            member.pipe.send(unit)

    def wait(self, timeout_s: float) -> list[Outcome | Event]:
        """Return outcomes and events, as soon as there are any."""
        pipes = {member.pipe: member for member in self._members if member.unit}
        if not pipes:
            time.sleep(timeout_s)
        ready = connection.wait(list(pipes), timeout_s)
        found: list[Outcome | Event] = []
        for pipe in ready:
            assert isinstance(pipe, Connection)
            found += self._hear(pipes[pipe])
        return found

    def _hear(self, member: _Member) -> Iterator[Outcome | Event]:
        try:
            told = member.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(member)
            return
        if isinstance(told, Outcome):
            member.unit = None
        yield told

    def _bury(self, member: _Member) -> Iterator[Outcome | Event]:
        """Replace a worker that died, and begin its unit again."""
        unit = member.unit
        assert unit is not None
        member.process.join()
        member.pipe.close()
        self._members.remove(member)
        key, code = unit.trial.key, member.process.exitcode or 0
        if code > 0:
            yield Outcome(key, error=f"the worker ended in a bug: {last_line(self._places[2])}")
            return
        told = after_death(self._deaths, key, f"signal {-code}")
        yield told
        if isinstance(told, Event):
            self.submit(unit)

    def close(self) -> None:
        """End all workers at once; what they trained is there up to the last epoch."""
        for member in self._members:
            member.pipe.close()
            if member.unit is not None:
                member.process.kill()
        for member in self._members:
            member.process.join()
        self._members.clear()


def after_death(deaths: dict[str, int], key: str, how: str) -> Outcome | Event:
    """Count that the worker of a trial was killed; return a warning, or at last that it fails.

    After the warning the trial is to be begun again.
    """
    deaths[key] = deaths.get(key, 0) + 1
    if deaths[key] < DEATHS:
        return Event("warning", f"a worker was killed ({how}); its trial is begun again")
    text = f"the worker was killed {DEATHS} times ({how}); is there enough memory?"
    return Outcome(key, error=text)


def last_line(log: Path) -> str:
    """Return the last line of a log, and where the rest is."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{lines[-1]} (all of it in {log})" if lines else f"exit without a word in {log}"


def _start(cache: Path, shelf: Path, log: Path) -> _Member:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, cache, shelf, log))
    with environ_set(ONE_THREAD), terminal_signals_blocked():
        process.start()
    theirs.close()
    return _Member(process, ours)


def _serve(pipe: Connection, cache: Path, shelf: Path, log: Path) -> None:
    """Do units until the sweep ends or dies."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)  # native code writes there too, and none of it on the terminal
    from edgekws.search.worker import work

    end_with_parent()

    def emit(event: Event) -> None:
        if event.kind == "warning":
            pipe.send(event)

    while True:
        try:
            unit = pipe.recv()
        except EOFError:
            return
        pipe.send(work(unit, cache, shelf, emit))
