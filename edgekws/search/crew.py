"""Workers: processes on this machine, each running one unit at a time."""

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
from edgekws.search.trial import Unit, UnitResult

DEATHS = 3
"""Give up a unit after its worker was killed this many times."""


class Crew(Protocol):
    """Workers that run units; the interface that a sweep needs."""

    @property
    def size(self) -> int:
        """The number of units that can run at once."""

    def submit(self, unit: Unit) -> None:
        """Start a unit; at most `size` may be running."""

    def wait(self, timeout_s: float) -> list[UnitResult | Event]:
        """Return the outcomes and events received within that time."""

    def close(self) -> None:
        """Stop all workers, including running units."""


@dataclass
class _Member:
    process: SpawnProcess
    pipe: Connection
    unit: Unit | None = None


class LocalCrew:
    """Processes on this machine, each with one thread; one that dies is replaced.

    If a worker is killed, its unit is restarted, up to `DEATHS` times, and resumes from its last
    epoch. Standard error of the workers goes to `log`.
    """

    def __init__(self, size: int, cache: Path, shelf: Path, log: Path) -> None:
        """Take the paths that the workers share; processes start with the first unit."""
        self.size = size
        self._places = (cache, shelf, log)
        self._members: list[_Member] = []
        self._deaths: dict[str, int] = {}

    def submit(self, unit: Unit) -> None:
        """Give a unit to a free worker."""
        member = next((m for m in self._members if m.unit is None), None)
        if member is None:
            member = _start(*self._places)
            self._members.append(member)
        member.unit = unit
        with suppress(OSError):  # it is dead; `wait` will find out
            member.pipe.send(unit)

    def wait(self, timeout_s: float) -> list[UnitResult | Event]:
        """Return outcomes and events when there are any."""
        pipes = {member.pipe: member for member in self._members if member.unit}
        if not pipes:
            time.sleep(timeout_s)
        ready = connection.wait(list(pipes), timeout_s)
        results: list[UnitResult | Event] = []
        for pipe in ready:
            assert isinstance(pipe, Connection)
            results += self._receive(pipes[pipe])
        return results

    def _receive(self, member: _Member) -> Iterator[UnitResult | Event]:
        try:
            message = member.pipe.recv()
        except (EOFError, OSError):
            yield from self._replace(member)
            return
        if isinstance(message, UnitResult):
            member.unit = None
        yield message

    def _replace(self, member: _Member) -> Iterator[UnitResult | Event]:
        """Replace a dead worker, and restart its unit."""
        unit = member.unit
        assert unit is not None
        member.process.join()
        member.pipe.close()
        self._members.remove(member)
        key, code = unit.trial.key, member.process.exitcode or 0
        if code > 0:
            yield UnitResult(key, error=f"the worker ended in a bug: {last_line(self._places[2])}")
            return
        result = after_death(self._deaths, key, f"signal {-code}")
        yield result
        if isinstance(result, Event):
            self.submit(unit)

    def close(self) -> None:
        """Kill all workers; trainings are saved up to their last epoch."""
        for member in self._members:
            member.pipe.close()
            if member.unit is not None:
                member.process.kill()
        for member in self._members:
            member.process.join()
        self._members.clear()


def after_death(deaths: dict[str, int], key: str, how: str) -> UnitResult | Event:
    """Count the death of a trial's worker; return a warning, or finally a failed outcome.

    After a warning, restart the trial.
    """
    deaths[key] = deaths.get(key, 0) + 1
    if deaths[key] < DEATHS:
        return Event("warning", f"a worker was killed ({how}); its trial is restarted")
    text = f"the worker was killed {DEATHS} times ({how}); is there enough memory?"
    return UnitResult(key, error=text)


def last_line(log: Path) -> str:
    """Return the last line of a log, and its path."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{lines[-1]} (full log: {log})" if lines else f"exit without output in {log}"


def _start(cache: Path, shelf: Path, log: Path) -> _Member:
    context = get_context("spawn")
    local, remote = context.Pipe()
    process = context.Process(target=_serve, args=(remote, cache, shelf, log))
    with environ_set(ONE_THREAD), terminal_signals_blocked():
        process.start()
    remote.close()
    return _Member(process, local)


def _serve(pipe: Connection, cache: Path, shelf: Path, log: Path) -> None:
    """Run units until the sweep ends or dies."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)  # native code writes there too; keep it off the terminal
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
