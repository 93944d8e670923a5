"""Work on all cores comes back in order, and stops when it should."""

import os
import time

import pytest

from edgekws.audio.parallel import MANY, cores, in_parallel, spread
from edgekws.core.events import Event, quiet


def test_results_are_in_order_and_progress_ends_at_the_total() -> None:
    events: list[Event] = []
    results = in_parallel(lambda i: i * i, 25, events.append, "squares", step=10)
    assert results == [i * i for i in range(25)]
    told = [(event.text, event.done, event.total) for event in events]
    assert told == [("squares", done, 25) for done in (10, 20, 25)]
    assert {event.data["unit"] for event in events} == {"clips"}
    assert in_parallel(lambda i: i, 0, quiet, "nothing") == []


def test_a_failure_drops_what_has_not_begun() -> None:
    begun = []

    def task(i: int) -> None:
        begun.append(i)
        if i == 0:
            raise KeyboardInterrupt
        time.sleep(0.02)

    with pytest.raises(KeyboardInterrupt):
        in_parallel(task, 500, quiet, "tasks")
    assert len(begun) < 10 * cores() + 10


def test_much_work_alone_goes_to_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    with spread(os.getpgid, MANY - 1) as call:
        assert call is os.getpgid
    monkeypatch.setattr("edgekws.audio.parallel.cores", lambda: 2)
    with spread(os.getpgid, MANY) as call:
        numbers = set(in_parallel(lambda _: call(0), 8, quiet, "calls"))
    assert os.getpgid(0) not in numbers
    monkeypatch.setattr("edgekws.audio.parallel.cores", lambda: 1)
    with spread(os.getpgid, MANY) as call:
        assert call is os.getpgid
