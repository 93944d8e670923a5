"""Workers on an existing Ray cluster: tasks, each with one core and one thread."""

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
from edgekws.search.trial import Unit, UnitResult

ANSWER_S = 5.0
"""How long a cluster may take to answer at its address."""
NODE_S = 120.0
"""How long a node may take to start a process and to import edgekws."""
CLOSE_S = 5.0

_START = "start one with: ray start --head"


@contextmanager
def connected(address: str | None = None) -> Iterator[int]:
    """Connect to a running Ray cluster, and yield the number of its CPUs; leave it running.

    `address` is `host:port`; by default `RAY_ADDRESS`, then the cluster of this machine.

    Raises:
        MissingPartError: ray is not installed; no cluster answers, or it has no CPU.
        UsageError: the address is invalid.
    """
    ray = _ray()
    cluster = address or os.environ.get("RAY_ADDRESS") or "auto"
    _check_reachable(cluster)
    try:
        ray.init(address=cluster, log_to_driver=False, logging_level=ERROR)
    except ConnectionError as error:
        if cluster == "auto":
            raise MissingPartError(f"no Ray cluster runs on this machine; {_START}") from error
        raise _unreachable(cluster, error) from error
    except (RuntimeError, ValueError) as error:
        raise _unreachable(cluster, error) from error
    _set_log_output(ray, False)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if not cpus:
            raise MissingPartError(f"{_shown(cluster)}: the cluster has no CPU; add a node to it")
        yield cpus
    finally:
        ray.shutdown()
        _set_log_output(ray, True)


class RayCrew:
    """Tasks on the Ray cluster that this process is connected to; each takes one CPU.

    If a worker is killed, its unit is restarted, as by `LocalCrew`, and resumes from its last
    epoch if the nodes share the cache. A node with its own cache creates its folders at the same
    path and starts features and trainings from scratch, with the same result; the features stay.
    Every node needs the dataset at the same path. Warnings of a worker are reported when its unit
    ends; its output is in Ray's own logs.
    """

    def __init__(self, size: int, cache: Path, shelf: Path, log: Path) -> None:
        """Check that every node can run units; `log` gets the tracebacks of bugs.

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
        """Submit a unit to the cluster; it starts when a CPU is free."""
        self._running[self._task.remote(unit, *self._places)] = unit

    def wait(self, timeout_s: float) -> list[UnitResult | Event]:
        """Return the outcome of the next finished unit and its worker's warnings."""
        if not self._running:
            time.sleep(timeout_s)
            return []
        ready, _ = _ray().wait(list(self._running), timeout=timeout_s)
        return [result for task in ready for result in self._receive(task)]

    def _receive(self, task: Any) -> Iterator[UnitResult | Event]:
        from ray.exceptions import RayError, RayTaskError

        unit = self._running.pop(task)
        try:
            warnings, outcome = _ray().get(task)
        except RayTaskError as error:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            text = f"the worker ended in a bug: {last_line(self._log)}"
            yield UnitResult(unit.trial.key, error=text)
        except RayError as error:
            result = after_death(self._deaths, unit.trial.key, type(error).__name__)
            yield result
            if isinstance(result, Event):
                self.submit(unit)
        else:
            yield from warnings
            yield outcome

    def close(self) -> None:
        """Kill running units; trainings are saved up to their last epoch."""
        ray = _ray()
        tasks = list(self._running)
        self._running.clear()
        for task in tasks:
            ray.cancel(task, force=True)
        if tasks:
            ray.wait(tasks, num_returns=len(tasks), timeout=CLOSE_S)


def _do(unit: Unit, cache: Path, shelf: Path, home: Path) -> tuple[list[Event], UnitResult]:
    """Run a unit in a worker of the cluster; return its warnings and outcome."""
    from edgekws.search.worker import work

    if home.is_dir():  # the dataset's path in a recipe may be relative to it
        os.chdir(home)
    warnings: list[Event] = []

    def emit(event: Event) -> None:
        if event.kind == "warning":
            warnings.append(event)

    outcome = work(unit, cache, shelf, emit)
    return warnings, outcome


def _environment() -> dict[str, Any]:
    """Return the environment of a worker: one thread, and the path of the source tree."""
    variables = dict(ONE_THREAD)
    variables["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # a worker sees the GPUs that we see
    root = PACKAGE.parent
    if root.name not in ("site-packages", "dist-packages"):
        variables["PYTHONPATH"] = f"{root}{os.pathsep}${{PYTHONPATH}}"
    return {"env_vars": variables}


def _check_nodes() -> None:
    """Check that all nodes with a CPU run the same software, as results must not depend on them."""
    from ray.exceptions import GetTimeoutError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray = _ray()
    ask = ray.remote(num_cpus=0, runtime_env=_environment())(_node)
    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    at = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    replies = [ask.options(scheduling_strategy=strategy).remote() for strategy in at]
    deadline, local = time.monotonic() + NODE_S, _node()
    for node, task in zip(nodes, replies, strict=True):
        name = f"the Ray node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        try:
            remote = ray.get(task, timeout=max(0.0, deadline - time.monotonic()))
        except GetTimeoutError as error:
            raise MissingPartError(f"{name} does not answer within {NODE_S:.0f} s") from error
        except RayError as error:
            raise MissingPartError(
                f"{name} cannot import edgekws ({_cause(error)}); install it there for "
                f"{sys.executable} or whichever Python its Ray runs"
            ) from error
        _compare(name, local, remote)


def _node() -> dict[str, str]:
    """Return what results depend on other than the trial: versions, device and source code."""
    return library_versions() | {"device": device_kind(), "source of edgekws": whole_package()[:12]}


def _compare(name: str, local: dict[str, str], remote: dict[str, str]) -> None:
    for what, expected in local.items():
        if remote.get(what) != expected:
            raise MissingPartError(
                f"{name} has {what} {remote.get(what)}, this machine {expected}: results would "
                "depend on the node; install the same there"
            )


def _check_reachable(cluster: str) -> None:
    """Check that the address answers: Ray itself would wait for many minutes."""
    if cluster == "auto":  # Ray looks for the cluster of this machine, and finds none at once
        return
    if cluster == "local":  # Ray's word for a cluster of its own
        raise UsageError(f"{_shown(cluster)}: name a cluster that runs, or {_START}")
    if "://" in cluster:
        raise UsageError(f"{_shown(cluster)}: give host:port, on a machine of the cluster")
    host, _, port = cluster.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"{_shown(cluster)}: not an address; give host:port")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except OSError as error:
        text = f"{_shown(cluster)}: no Ray cluster answers at {cluster} ({error}); {_START}"
        raise MissingPartError(text) from error


def _unreachable(cluster: str, error: Exception) -> MissingPartError:
    said = f"{_shown(cluster)}: Ray cannot connect ({_first_line(error)})"
    return MissingPartError(f"{said}; is this machine a node of the cluster?")


def _set_log_output(ray: Any, wanted: bool) -> None:
    """Stop Ray from printing messages about dead workers into our output, including JSON.

    Ray has no public switch: `log_to_driver` and `RAY_LOG_TO_DRIVER` only affect worker output.
    """
    ray._private.worker._worker_logs_enabled = wanted


def _shown(cluster: str) -> str:
    return "--engine ray" if cluster == "auto" else f"--ray-address {cluster}"


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
