"""Scripts in processes of their own: whatever ends the one that started them ends them all."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from edgekws.core.child import child, run_child

LIMIT_S = 20
FAMILY = """
import os, subprocess, sys
last = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(60)"])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(last.pid))
os.rename(sys.argv[1] + ".new", sys.argv[1])
{then}
"""
DRIVER = """
import sys
from edgekws.core.child import run_child
run_child(*sys.argv[1:])
"""

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def write(text: str) -> str:
        (tmp_path / "script.py").write_text(text, encoding="utf-8")
        return str(tmp_path / "script.py")

    return write


def wait_for(path: Path, process: "subprocess.Popen[bytes]") -> int:
    """Wait for the number of a grandchild, and return it."""
    while not path.exists():
        assert process.poll() is None
    return int(path.read_text())


def test_it_runs_as_a_script_by_itself(script: Script) -> None:
    text = "import sys, os; print(__name__, sys.argv[1:], sys.argv[0] == __file__, sys.path[0])"
    done = run_child(script(f"{text}; print('no', file=sys.stderr); sys.exit(7)"), "a", "б")
    assert (done.returncode, done.stderr) == (7, b"no\n")
    words = done.stdout.decode().split()
    assert words[:4] == ["__main__", "['a',", "'б']", "True"]
    assert words[4] not in (str(Path.cwd()), str(Path(__file__).parent))


def test_a_signal_that_ends_it_is_told(script: Script) -> None:
    done = run_child(script("import os; os.kill(os.getpid(), 11)"))
    assert done.returncode == -signal.SIGSEGV


def test_one_that_takes_too_long_is_ended(script: Script) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_child(script("import time; time.sleep(60)"), limit_s=0.2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_goes_on_after_its_starter(
    script: Script, tmp_path: Path, number: signal.Signals
) -> None:
    """Not even what the child itself has started, while the child does not return to Python."""
    pid = tmp_path / "pid"
    command = [sys.executable, "-c", DRIVER, script(FAMILY.format(then="last.wait()")), str(pid)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as driver:
        last = psutil.Process(wait_for(pid, driver))
        started = psutil.Process(driver.pid).children(recursive=True)
        assert last in started
        assert len(started) == 2
        driver.send_signal(number)
        driver.wait(LIMIT_S)
        _, alive = psutil.wait_procs(started, timeout=LIMIT_S)
    for process in alive:
        process.kill()
    assert alive == []


def test_what_it_has_started_ends_with_it(script: Script, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with child(script(FAMILY.format(then="")), str(pid)) as process:
        last = psutil.Process(wait_for(pid, process))
        assert process.wait(LIMIT_S) == 0
    _, alive = psutil.wait_procs([last], timeout=LIMIT_S)
    assert alive == []


def test_ctrl_c_in_a_terminal_does_not_reach_it(script: Script) -> None:
    with child(script("import time; time.sleep(60)")) as process:
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
