"""A function runs in other processes: results, errors, a death, and no import of the caller."""

import os
import subprocess
import sys
from functools import partial
from operator import add
from pathlib import Path

import psutil
import pytest

from edgekws.audio.opening import length_s
from edgekws.audio.parallel import in_parallel
from edgekws.core.events import quiet
from edgekws.core.processes import in_processes
from edgekws.errors import DataError, MachineError

SCRIPT = """
from operator import neg
from edgekws.core.processes import in_processes
print("once")
with in_processes(neg, 1) as call:
    print(call(4))
"""


def test_threads_share_the_processes() -> None:
    with in_processes(partial(add, 10), 2) as call:
        assert in_parallel(call, 50, quiet, "sums") == [10 + i for i in range(50)]


def test_they_end_with_the_block() -> None:
    with in_processes(os.getpgid, 1) as call:
        number = call(0)
        assert number not in (os.getpid(), os.getpgid(0))
    assert not psutil.pid_exists(number)


def test_an_error_for_users_is_raised_and_the_next_call_succeeds(tmp_path: Path) -> None:
    with in_processes(length_s, 1) as call:
        for _ in range(2):
            with pytest.raises(DataError, match=r"missing\.wav: no such file"):
                call(tmp_path / "missing.wav")


def test_what_is_printed_is_no_reply() -> None:
    with in_processes(print, 1) as call:
        assert call("text") is None


def test_a_bug_is_shown_and_a_death_reported() -> None:
    with in_processes(int, 1) as call, pytest.raises(MachineError, match="Traceback") as raised:
        call("text")
    assert "died: Traceback" in str(raised.value)
    assert "ValueError" in str(raised.value)
    with in_processes(os._exit, 1) as call:
        for _ in range(2):
            with pytest.raises(MachineError, match="died: killed, or out of memory"):
                call(3)


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("once\n-4\n", "")
