"""A sweep of real trainings, whose worker and driver are killed: the same trials in the end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from edgekws.core.events import quiet
from edgekws.search.load import LoadedSweep
from edgekws.search.run import sweep
from edgekws.search.storage import Storage, file_url

PRUNING = "\n[pruning]\nrungs = [1, 2]\nkeep = 0.5\n"
LIMIT_S = 60


def outcome(folder: Path) -> dict[str, Any]:
    """Return key, state, scores and tables of every trial that is finished."""
    study = Storage(file_url(folder), "пробный").study
    ended = [t for t in study.trials if t.state.is_finished()]
    result = {t.user_attrs["key"]: (t.state, t.value, t.intermediate_values) for t in ended}
    assert len(result) == len(ended)
    return result


def workers(driver: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Wait for the workers of a sweep, and return them."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        children = psutil.Process(driver.pid).children()
        spawned = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if len(spawned) == 2:
            return spawned
        time.sleep(0.05)
    raise AssertionError("there are no workers")


def killed(command: list[str], environment: dict[str, str]) -> list[str]:
    """Start a sweep, kill one of its workers, and once a unit is done the sweep itself."""
    reported: list[str] = []
    spawned: list[psutil.Process] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            event = json.loads(line)
            reported.append(event.get("text", ""))
            if "combinations," in reported[-1]:
                spawned = workers(driver)
                spawned[0].kill()
            if event["event"] == "progress" and "sweep" in reported[-1]:
                spawned += psutil.Process(driver.pid).children()
                driver.send_signal(signal.SIGKILL)
                break
    _, alive = psutil.wait_procs(spawned, timeout=LIMIT_S)
    assert alive == []  # none goes on without its driver
    return reported


def test_kill_9_of_worker_and_driver_changes_nothing(
    write: Callable[..., LoadedSweep], tmp_path: Path, monkeypatch: Any
) -> None:
    loaded = write(("[8, 12, 16, 300]", "[8, 16]"), ("200, 400]", "200]"), more=PRUNING)
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "whole-cache"))
    sweep(loaded, runs=tmp_path / "whole", workers=1, emit=quiet)
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"EDGEKWS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": root}
    command = [sys.executable, "-m", "edgekws", "sweep", str(loaded.path), "--json"]
    command += ["--runs", str(tmp_path / "killed"), "--workers", "2"]
    reported = killed(command, environment)
    assert any("a worker was killed (signal 9)" in text for text in reported)
    folder = tmp_path / "killed" / "sweeps" / "пробный"
    before = outcome(folder)
    again = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert again.returncode == 0, again.stderr
    after = outcome(folder)
    assert before.items() <= after.items()
    assert after == outcome(tmp_path / "whole" / "sweeps" / "пробный")
    assert len(before) < len(after) == 4
    assert (folder / "report.html").is_file()
