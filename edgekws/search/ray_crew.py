"""Who does the units on a Ray cluster that runs: tasks, each with one core and one thread."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

from edgekws.about import PACKAGE
from edgekws.core.environment import ONE_THREAD, device_kind, library_versions
from edgekws.core.events import Event
from edgekws.core.source_code import whole_package
from edgekws.errors import MissingPartError, UsageError
from edgekws.search.crew import after_death, last_line
from edgekws.search.trial import Outcome, Unit

ANSWER_S = 5.0
"""How long a cluster may take to answer at its address."""
NODE_S = 120.0
"""How long a node may take to start a process and to import edgekws."""
CLOSE_S = 5.0

_START = "start one with: ray start --head"


@contextmanager
def connected(address: str | None = None) -> Iterator[int]:
    """Connect to a Ray cluster that runs, and yield the number of its CPUs; leave it running.

    `address` is `host:port`; without it counts `RAY_ADDRESS`, then the cluster of this machine.

    Raises:
        MissingPartError: ray is not installed; no cluster answers, or it has no CPU.
        UsageError: the address is none.
    """
    ray = _ray()
    asked = address or os.environ.get("RAY_ADDRESS") or "auto"
    _check_answers(asked)
    try:
        ray.init(address=asked, log_to_driver=False, logging_level=ERROR)
    except ConnectionError as error:
        if asked == "auto":
            raise MissingPartError(f"no Ray cluster runs on this machine; {_START}") from error
        raise _unreachable(asked, error) from error
    except (RuntimeError, ValueError) as error:
        raise _unreachable(asked, error) from error
    _set_talk(ray, False)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if not cpus:
            raise MissingPartError(f"{_shown(asked)}: the cluster has no CPU; add a node to it")
        yield cpus
    finally:
        ray.shutdown()
        _set_talk(ray, True)


class RayCrew:
    """Tasks of the Ray cluster that this process is connected to; each takes one CPU of it.

    A unit whose worker was killed is begun again, as by `LocalCrew`, and goes on from its last
    epoch where the nodes share the cache. On a node that does not, the folders of the cache are
    made under the same path, features and trainings begin there anew, with the same result, and
    the features stay. Every node needs the dataset under the same path. What a worker warns of is
    told when its unit is over; what it writes lies in Ray's own logs.
    """

    def __init__(self, size: int, cache: Path, shelf: Path, log: Path) -> None:
        """Look whether every node can do units; `log` gets the tracebacks of bugs.

        Raises:
            MissingPartError: this process is not connected, or a node lacks something.
        """
        ray = _ray()
        if not ray.is_initialized():  # Ray would start a cluster of its own
            raise MissingPartError("not connected to a Ray cluster; see edgekws.search.ray_crew")
        self.size = size
        self._places = (cache.absolute(), shelf.absolute(), Path.cwd())
        self._log = log
        self._running: dict[Any, Unit] = {}
        self._deaths: dict[str, int] = {}
        _check_nodes()
        self._task = ray.remote(num_cpus=1, max_retries=0, runtime_env=_environment())(_do)

    def submit(self, unit: Unit) -> None:
        """Give a unit to the cluster; it begins as soon as a CPU is free."""
        self._running[self._task.remote(unit, *self._places)] = unit

    def wait(self, timeout_s: float) -> list[Outcome | Event]:
        """Return the outcome of a unit and what its worker told, as soon as there is one."""
        if not self._running:
            time.sleep(timeout_s)
            return []
        ready, _ = _ray().wait(list(self._running), timeout=timeout_s)
        return [told for task in ready for told in self._hear(task)]

    def _hear(self, task: Any) -> Iterator[Outcome | Event]:
        from ray.exceptions import RayError, RayTaskError

        unit = self._running.pop(task)
        try:
            warnings, outcome = _ray().get(task)
        except RayTaskError as error:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            text = f"the worker ended in a bug: {last_line(self._log)}"
            yield Outcome(unit.trial.key, error=text)
        except RayError as error:
            told = after_death(self._deaths, unit.trial.key, type(error).__name__)
            yield told
            if isinstance(told, Event):
                self.submit(unit)
        else:
            yield from warnings
            yield outcome

    def close(self) -> None:
        """Kill what is in work; what was trained is there up to the last epoch."""
        ray = _ray()
        tasks = list(self._running)
        self._running.clear()
        for task in tasks:
            ray.cancel(task, force=True)
        if tasks:
            ray.wait(tasks, num_returns=len(tasks), timeout=CLOSE_S)


def _do(unit: Unit, cache: Path, shelf: Path, home: Path) -> tuple[list[Event], Outcome]:
    """Do a unit in a worker of the cluster; return the warnings, and what came of it."""
    from edgekws.search.worker import work

    if home.is_dir():  # a recipe may name its dataset from there
        os.chdir(home)
    warnings: list[Event] = []

    def emit(event: Event) -> None:
        if event.kind == "warning":
            warnings.append(event)

    outcome = work(unit, cache, shelf, emit)
    return warnings, outcome


def _environment() -> dict[str, Any]:
    """Return what Ray is to set for a worker: one thread, and where the source tree is."""
    found = dict(ONE_THREAD)
    found["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # a worker sees the GPUs that we see
    root = PACKAGE.parent
    if root.name not in ("site-packages", "dist-packages"):
        found["PYTHONPATH"] = f"{root}{os.pathsep}${{PYTHONPATH}}"
    return {"env_vars": found}


def _check_nodes() -> None:
    """Let each node with a CPU say what it runs: a result must not depend on the node."""
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray = _ray()
    ask = ray.remote(num_cpus=0, runtime_env=_environment())(_node)
    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    at = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    asked = [ask.options(scheduling_strategy=strategy).remote() for strategy in at]
    deadline, ours = time.monotonic() + NODE_S, _node()
    for node, task in zip(nodes, asked, strict=True):
        name = f"the Ray node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        try:
            theirs = ray.get(task, timeout=max(0.0, deadline - time.monotonic()))
        except GetTimeoutError as error:
            raise MissingPartError(f"{name} does not answer within {NODE_S:.0f} s") from error
        except RayError as error:
            raise MissingPartError(
                f"{name} cannot import edgekws ({_cause(error)}); install it there for "
                f"{sys.executable} or whichever Python its Ray runs"
            ) from error
        _compare(name, ours, theirs)


def _node() -> dict[str, str]:
    """Return what results depend on besides the trial: versions, device and our source code."""
    return library_versions() | {"device": device_kind(), "source of edgekws": whole_package()[:12]}


def _compare(name: str, ours: dict[str, str], theirs: dict[str, str]) -> None:
    for what, own in ours.items():
        if theirs.get(what) != own:
            raise MissingPartError(
                f"{name} has {what} {theirs.get(what)}, this machine {own}: results would depend "
                "on the node; install the same there"
            )


def _check_answers(asked: str) -> None:
    """Knock at the address: Ray itself would wait for many minutes where nothing answers."""
    if asked == "auto":  # Ray looks for the cluster of this machine, and finds none at once
        return
    if asked == "local":  # Ray's word for a cluster of its own
        raise UsageError(f"{_shown(asked)}: name a cluster that runs, or {_START}")
    if "://" in asked:
        raise UsageError(f"{_shown(asked)}: give host:port, on a machine of the cluster")
    host, _, port = asked.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"{_shown(asked)}: not an address; give host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except OSError as error:
        text = f"{_shown(asked)}: no Ray cluster answers at {asked} ({error}); {_START}"
        raise MissingPartError(text) from error


def _unreachable(asked: str, error: Exception) -> MissingPartError:
    said = f"{_shown(asked)}: Ray cannot connect ({_first_line(error)})"
    return MissingPartError(f"{said}; is this machine a node of the cluster?")


def _set_talk(ray: Any, wanted: bool) -> None:
    """Keep Ray from printing messages about a worker's death between our lines, JSON included.

    Ray has no public switch: `log_to_driver` and `RAY_LOG_TO_DRIVER` are for the workers' output.
    """
    ray._private.worker._worker_logs_enabled = wanted


def _shown(asked: str) -> str:
    return "--engine ray" if asked == "auto" else f"--ray-address {asked}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _cause(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise MissingPartError(
            "--engine ray: Ray is not installed; install it with: pip install 'edgekws[ray]'"
        ) from error
    return ray
