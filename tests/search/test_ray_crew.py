"""A sweep on a real Ray cluster ends as one of local processes does, also when killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from edgekws.cli.app import app
from edgekws.core.events import Event, quiet
from edgekws.errors import EdgekwsError, MissingPartError, UsageError
from edgekws.search import ray_crew
from edgekws.search.crew import after_death
from edgekws.search.load import LoadedSweep
from edgekws.search.ray_crew import RayCrew, connected
from edgekws.search.run import sweep
from tests.search.test_kill import outcome

LIMIT_S = 120
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""With this Ray takes 127.0.0.1 for the address of the machine, on Linux too."""
START = (
    *("start", "--head", "--num-cpus=2", "--port=0", "--object-store-memory=80000000"),
    *("--include-dashboard=false", "--include-log-monitor=false", "--no-monitor"),
    "--disable-usage-stats",
)
PRUNING = "\n[pruning]\nrungs = [1]\nkeep = 0.5\n"

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


def processes(folder: Path) -> list[psutil.Process]:
    """Return the processes of the cluster that keeps its files in a folder, workers too."""
    own = [p for p in psutil.process_iter() if str(folder) in " ".join(_command(p))]
    below = [child for process in own for child in process.children(recursive=True)]
    return list({process.pid: process for process in own + below}.values())


def _command(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
        return words
    except psutil.Error:
        return []


def working(folder: Path) -> list[psutil.Process]:
    """Return the workers of the cluster that do a unit."""
    return [p for p in processes(folder) if "ray::_do" in " ".join(_command(p))]


def within_limit(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """The folder of a cluster with two CPUs, which only this machine can reach."""
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="ray-"))  # a path of a socket must be short
    ray = str(Path(sys.executable).with_name("ray"))
    try:
        subprocess.run(
            [ray, *START, "--temp-dir", str(folder)],
            env=os.environ | LOOPBACK,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        yield folder
    finally:
        left = processes(folder)
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=LIMIT_S)
        shutil.rmtree(folder)
    assert processes(folder) == []


def killed(command: list[str], environment: dict[str, str], cluster: Path) -> list[str]:
    """Start a sweep, kill a worker, and once a unit is done the sweep itself; return its words."""
    reported: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as driver:
        assert driver.stdout is not None
        for line in driver.stdout:
            event = json.loads(line)
            reported.append(event.get("text", ""))
            if "combinations," in reported[-1]:
                within_limit(lambda: bool(working(cluster)))
                working(cluster)[0].kill()
            if event["event"] == "progress" and "sweep" in reported[-1]:
                driver.send_signal(signal.SIGKILL)
                break
    return reported


def models(cache: Path) -> dict[str, bytes]:
    """Return the networks that trials have trained to their end."""
    done = [marker.parent for marker in (cache / "steps").glob("*/complete")]
    files = [file for folder in done for file in sorted(folder.rglob("*.safetensors"))]
    result = [file for file in files if not file.name.startswith("training.")]  # with times
    return {str(file.relative_to(cache)): file.read_bytes() for file in result}


@needs_ray
def test_kill_9_of_a_ray_worker_and_of_the_driver_changes_nothing(
    write: Callable[..., LoadedSweep], tmp_path: Path, monkeypatch: Any, cluster: Path
) -> None:
    loaded = write(("[8, 12, 16, 300]", "[8, 16]"), ("[160, 200, 400]", "[200]"), more=PRUNING)
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "local-cache"))
    sweep(loaded, runs=tmp_path / "local", workers=1, emit=quiet)
    root = str(Path(__file__).parents[2])
    environment = os.environ | LOOPBACK
    environment |= {"EDGEKWS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": root}
    address = (cluster / "ray_current_cluster").read_text()
    command = [sys.executable, "-m", "edgekws", "sweep", str(loaded.path), "--json"]
    command += ["--runs", str(tmp_path / "ray"), "--engine", "ray", "--ray-address", address]
    reported = killed(command, environment, cluster)
    assert any("a worker was killed (WorkerCrashedError); its trial" in text for text in reported)
    within_limit(lambda: not working(cluster))  # none goes on without its driver
    again = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (again.returncode, again.stderr) == (0, b"")
    assert outcome(tmp_path / "ray/sweeps/пробный") == outcome(tmp_path / "local/sweeps/пробный")
    assert models(tmp_path / "cache") == models(tmp_path / "local-cache") != {}
    assert processes(cluster)  # the sweep leaves it running


@needs_ray
@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("127.0.0.1:1", MissingPartError, r"no Ray cluster answers at .*:1 .*ray start --head"),
        ("ray://127.0.0.1:1", UsageError, "give host:port, on a machine of the cluster"),
        ("nonsense", UsageError, "--ray-address nonsense: not an address; give host:port"),
        ("local", UsageError, "name a cluster that runs, or start one with: ray start --head"),
    ],
)
def test_an_address_without_a_cluster_is_told(
    address: str, error: type[EdgekwsError], message: str, monkeypatch: Any
) -> None:
    with pytest.raises(error, match=message), connected(address):
        pass
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(error, match=message), connected():
        pass


@needs_ray
def test_no_cluster_is_started(tmp_path: Path, monkeypatch: Any) -> None:
    from ray._private import services

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "find_gcs_addresses", cache(set))
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _: None)
    with pytest.raises(MissingPartError, match=r"no Ray cluster runs on this .*ray start --head"):
        connected().__enter__()
    with pytest.raises(MissingPartError, match="not connected to a Ray cluster"):
        RayCrew(1, tmp_path, tmp_path, tmp_path / "log")


def test_without_ray_it_says_how_to_install_it(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPartError, match=r"pip install 'edgekws\[ray\]'"):
        connected().__enter__()


def test_a_node_that_runs_something_else_is_told() -> None:
    ours = ray_crew._node()
    assert {"python", "torch", "device", "source of edgekws"} <= ours.keys()
    ray_crew._compare("the node", ours, dict(ours))
    message = "the node has torch 1.0, this machine .*install the same there"
    with pytest.raises(MissingPartError, match=message):
        ray_crew._compare("the node", ours, ours | {"torch": "1.0"})


def test_a_unit_whose_worker_is_killed_again_and_again_is_given_up() -> None:
    deaths: dict[str, int] = {}
    reported = [after_death(deaths, "key", "why") for _ in range(3)]
    assert [type(one) for one in reported[:2]] == [Event, Event]
    assert getattr(reported[2], "error", None) == (
        "the worker was killed 3 times (why); is there enough memory?"
    )


def test_an_address_goes_with_the_engine(write: Callable[..., LoadedSweep]) -> None:
    command = ["sweep", str(write().path), "--dry-run", "--ray-address", "127.0.0.1:1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert "--ray-address goes with --engine ray" in done.output
