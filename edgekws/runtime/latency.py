"""Latency harness: ONNX models timed interleaved against a control, in several processes.

Usable alone, with numpy and onnxruntime: `python latency.py --spec spec.json` prints JSON, where
the spec is the JSON of `Spec`.

Where weights, buffers and libraries come to lie in memory shifts a model's times by a few percent
for as long as its session, or its process, lives. So the time is cut into processes, one after the
other, and each of them into epochs: in an epoch every model gets a new session, in a random order
and beside ballast of random size, then rounds of short blocks of calls, each round in a random
order. A change of clock speed or of load meets all models alike. Within a process, ratios are those
of the medians of an epoch. Every figure is the geometric mean of what the processes gave, and its
95 % interval is Student's over the processes, on the logarithmic scale: what another run of the
same machine would give is what it is to hold.

A latency is that of a model on a CPU that it has: blocks in which the process waited for one are
left out and counted. The control is entered twice; where the interval of its own ratio is not
within a few percent of 1, the ratios say nothing and are left out.
"""

import argparse
import gc
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

BLOCK_S = 1e-3
"""A block lasts about this long, within `MIN_RUNS` and `MAX_RUNS` runs."""
MIN_RUNS, MAX_RUNS = 2, 20
ROUNDS = 8
"""Rounds of an epoch."""
MIN_EPOCHS, MAX_EPOCHS = 2, 400
"""Epochs of a process."""
ATTEMPTS = 3
PATIENCE = 3
"""A process that has to wait for a CPU may take so many times its seconds."""
LEVEL = 0.03
"""The control is level where the interval of its own ratio lies within this share of 1."""
QUIET = 0.95
"""A block is quiet where the process ran on a CPU for this share of it, or more."""
TRIM = 0.2
"""Share of the epochs that is left out at either end when their ratios are averaged."""
BALLAST_BYTES = 1 << 16
NO_ONNXRUNTIME = 6
"""The exit status that says so."""
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's 97.5 % quantiles for 1 to 10 degrees of freedom."""

ISA_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip

Key = tuple[str, int]
"""A model by name; the control has a second entry, 1."""
Call = Callable[[], object]


@dataclass(frozen=True)
class Series:
    """Times of one entry in one process, in µs a run.

    `wall` is `(epochs, rounds, runs)`, `cpu` the mean of every block, `(epochs, rounds)`.
    """

    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]


Times = Mapping[Key, Series]
"""What one process gave."""


class LatencyError(Exception):
    """The measurement cannot be made; the message names the file and what was expected."""


@dataclass(frozen=True)
class Spec:
    """What to measure: files by name, and which of them is the control.

    Several files under one name are a chain, each fed with the first output of the one before.
    `bound` names the models that are called with I/O binding, not with plain `session.run`.
    `threads` are onnxruntime's intra-op threads; `affinity` the CPUs the process is bound to, all
    if `None`; `warmup` untimed runs of each new session; `processes` those of one attempt, and
    `seconds` the time that they measure, together, not counting that in which other programs have
    the CPU (a control that is not level is measured on in as many again, twice at most).
    """

    models: Mapping[str, str | Sequence[str]]
    control: str
    threads: int = 1
    affinity: Sequence[int] | None = None
    warmup: int = 20
    seconds: float = 2.0
    processes: int = 6
    seed: int = 0
    bound: Sequence[str] = ()


def measure(spec: Spec) -> dict[str, Any]:
    """Measure all models of `spec`; this process stays bound to `spec.affinity`.

    Returns `models` (a name: the fields that `_told` gives, `ratio`, `ratio_ci95`), `control`,
    `level`, `control_ratio` and `control_ratio_ci95` (the control's second entry over its first),
    `attempts`, `processes`, `fingerprint`. Intervals are 95 %; `ratio` is to the control, `None`
    where the control is not level.

    Raises:
        LatencyError: no such control or CPU, too few processes, or a model that cannot be loaded
            or fed.
        ImportError: onnxruntime is not installed.
    """
    for role, name in (("control", spec.control), *(("bound", name) for name in spec.bound)):
        if name not in spec.models:
            raise LatencyError(f"{role} {name!r} is none of {', '.join(spec.models)}")
    if spec.processes < 2:
        raise LatencyError(f"processes = {spec.processes}: an interval needs 2 or more")
    _bind(spec.affinity)
    times: list[Times] = []
    attempts, result = 0, dict[str, Any](level=False)
    while attempts < ATTEMPTS and not result["level"]:
        attempts += 1
        times += [_in_a_process(spec, len(times) + i) for i in range(spec.processes)]
        result = summary(times, spec)
    return result | {"attempts": attempts, "fingerprint": fingerprint(spec.threads)}


def _in_a_process(spec: Spec, number: int) -> Times:
    """Return what a fresh interpreter measures: the part of one of `spec.processes`.

    Raises:
        LatencyError, ImportError: as `measure`.
    """
    part = replace(spec, seconds=spec.seconds / spec.processes, seed=spec.seed + number)
    flags = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *flags, str(Path(__file__).resolve()), "--part"]
    given = json.dumps(asdict(part)).encode()
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    words = done.stderr.decode(errors="replace").strip()
    if done.returncode == NO_ONNXRUNTIME:
        raise ImportError(words)
    if done.returncode:
        raise LatencyError(words or f"a process died with {done.returncode}")
    return {
        (name, entry): Series(np.array(wall), np.array(cpu))
        for name, entry, wall, cpu in json.loads(done.stdout)
    }


def _part(given: str) -> str:
    """Measure in this process what the JSON of a `Spec` asks, and return all times as JSON."""
    timed = _Timed(Spec(**json.loads(given)))
    timed.go_on()
    series = timed.series()
    return json.dumps(
        [[*key, s.wall.round(3).tolist(), s.cpu.tolist()] for key, s in series.items()]
    )


def fingerprint(threads: int) -> dict[str, Any]:
    """Tell what a latency on this machine depends on; reads `/proc` and imports nothing heavy."""
    text = _read("/proc/cpuinfo")
    fields = [line.partition(":") for line in text.splitlines()]
    info = {key.strip(): value.strip() for key, _, value in reversed(fields)}
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return {
        "cpu": info.get("model name") or info.get("Model") or platform.processor() or "unknown",
        "isa": [flag for flag in ISA_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "onnxruntime": _version("onnxruntime"),
        "numpy": _version("numpy"),
        "threads": threads,
    }


def is_level(ci95: Sequence[float]) -> bool:
    """Say whether a control that measured so many times itself is fit to compare with.

    >>> is_level((0.985, 1.02)), is_level((1.003, 1.009)), is_level((0.743, 1.112))
    (True, True, False)
    """
    return abs(ci95[0] - 1) <= LEVEL and abs(ci95[1] - 1) <= LEVEL


def mean_ratio(logs: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    """Return the geometric mean of independent values, given as logarithms, and its 95 % interval.

    The interval is Student's on the logarithmic scale; of a single value it is not known.

    >>> mean_ratio(np.log([0.5, 0.5, 0.5])), mean_ratio(np.log([4.0]))[1][0]
    ((0.5, (0.5, 0.5)), 0.0)
    """
    n = len(logs)
    middle = float(logs.mean())
    half = _t975(n - 1) * float(logs.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    low, high = math.exp(middle - half), math.exp(min(middle + half, 700.0))
    return round(math.exp(middle), 12), (round(low, 12), round(high, 12))


def paired_ratio(
    control: NDArray[np.float64], model: NDArray[np.float64]
) -> tuple[float, tuple[float, float]]:
    """Return how many times as long `model` takes as `control`, with the 95 % interval.

    Both are medians in µs of the same independent units: processes, or where there is but one, its
    epochs (the interval then holds within that process only).

    >>> paired_ratio(np.array([10.0, 20, 30, 40]), np.array([5.0, 10, 15, 20]))
    (0.5, (0.5, 0.5))
    """
    return mean_ratio(np.log(model) - np.log(control))


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    cut = int(TRIM * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _t975(freedom: int) -> float:
    """Return Student's 97.5 % quantile; beyond the table from its series.

    The series is that of Abramowitz and Stegun 26.7.5.

    >>> _t975(5), round(_t975(17), 3), round(_t975(100), 3)
    (2.571, 2.109, 1.984)
    """
    if freedom <= len(T975):
        return T975[freedom - 1]
    z = 1.959964
    far = (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + far


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _bind(affinity: Sequence[int] | None) -> None:
    if affinity is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise LatencyError("this system cannot bind a process to CPUs; leave affinity out")
    here = sorted(os.sched_getaffinity(0))
    if not affinity or not set(affinity) <= set(here):
        raise LatencyError(f"affinity {list(affinity)}: this machine has the CPUs {here}")
    os.sched_setaffinity(0, affinity)


def open_session(path: str, threads: int, profile: str | None = None) -> Any:
    """Return an onnxruntime session on the CPU, not spinning.

    `profile` begins the name of the file into which onnxruntime's own profiler writes.

    Raises:
        LatencyError: onnxruntime cannot load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # onnxruntime's own exceptions share no base but Exception; RuntimeError holds most of them
    except tuple(_onnxruntime_errors()) as error:
        raise LatencyError(f"{path}: onnxruntime cannot load it: {error}") from error


def _onnxruntime_errors() -> list[type[Exception]]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
    return [*own, RuntimeError]


def random_feed(session: Any, path: str, seed: int) -> dict[str, NDArray[Any]]:
    """Return a fixed random input of the model's own shape, batch 1, or of a stream's one hop.

    Raises:
        LatencyError: an input is not float32, or has a free dimension besides the first.
    """
    rng = np.random.default_rng(seed)
    stream = json.loads(session.get_modelmeta().custom_metadata_map.get("stream", "{}"))
    states = stream.get("states", ())
    feed = {s["input"]: np.full(s["shape"], s["fill"], s["dtype"]) for s in states}
    for one in session.get_inputs():
        if one.name in feed:
            continue
        batch, *rest = one.shape or [1]
        if stream:
            rest[-1] = stream["hop_frames"]
        fixed = [n for n in rest if isinstance(n, int)]
        if one.type != "tensor(float)" or len(fixed) < len(rest):
            raise LatencyError(
                f"{path}: input {one.name} is {one.type} {one.shape};"
                " expected float32 with every dimension fixed but the first"
            )
        shape = [batch if isinstance(batch, int) else 1, *fixed]
        feed[one.name] = rng.standard_normal(shape, dtype=np.float32)
    return feed


def _chain(paths: Sequence[str], spec: Spec) -> Call:
    """Return the call that runs the models one after the other."""
    sessions = [open_session(path, spec.threads) for path in paths]
    feed = random_feed(sessions[0], paths[0], spec.seed)
    if len(sessions) == 1:
        return lambda: sessions[0].run(None, feed)
    rest = [(s, s.get_inputs()[0].name, len(s.get_inputs()[0].shape)) for s in sessions[1:]]

    def run() -> object:
        value = sessions[0].run(None, feed)[0]
        for session, name, axes in rest:
            if value.ndim < axes:  # (batch, n_mels, T) → (batch, 1, n_mels, T)
                value = value[:, None]
            value = session.run(None, {name: value})[0]
        return value.argmax()

    return run


def _bound(paths: Sequence[str], spec: Spec) -> Call:
    """Return the call of one model whose inputs and outputs lie bound in memory."""
    from onnxruntime import OrtValue

    if len(paths) > 1:
        raise LatencyError(f"{' → '.join(paths)}: a chain cannot be called with I/O binding")
    session = open_session(paths[0], spec.threads)
    feed = random_feed(session, paths[0], spec.seed)
    binding = session.io_binding()
    for name, value in feed.items():
        binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(value))
    names = [one.name for one in session.get_outputs()]
    for name, value in zip(names, session.run(names, feed), strict=True):
        binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(value))
    return lambda: session.run_with_iobinding(binding)


def _entry(key: Key, spec: Spec) -> Call:
    """Return the call of a new session; a bad model tells its name."""
    named = spec.models[key[0]]
    paths = [named] if isinstance(named, str) else list(named)
    return _bound(paths, spec) if key[0] in spec.bound else _chain(paths, spec)


def _runs(call: Call, warmup: int) -> int:
    """Warm a call up, and return the runs that make a block of it."""
    wall, _ = _block(call, max(warmup, 1))
    typical_s = float(np.median(wall[len(wall) // 2 :])) * 1e-6
    return int(np.clip(np.ceil(BLOCK_S / typical_s), MIN_RUNS, MAX_RUNS))


def _block(run: Call, runs: int) -> tuple[list[float], float]:
    """Time `runs` calls in µs, after one that brings the model back into the caches.

    Returns the wall times, and the mean CPU time of all threads.
    """
    clock = time.perf_counter_ns
    run()
    times = []
    cpu = time.process_time_ns()
    for _ in range(runs):
        start = clock()
        run()
        times.append((clock() - start) * 1e-3)
    return times, (time.process_time_ns() - cpu) * 1e-3 / runs


class _Timed:
    """The epochs that were timed so far."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._parent = spec, os.getppid()
        self._keys: list[Key] = [(name, 0) for name in spec.models] + [(spec.control, 1)]
        self._rng = np.random.default_rng(spec.seed)
        self._runs: dict[str, int] = {}
        self._wall: dict[Key, list[list[list[float]]]] = {key: [] for key in self._keys}
        self._cpu: dict[Key, list[list[float]]] = {key: [] for key in self._keys}

    def go_on(self) -> None:
        """Time epochs until they took the seconds of the spec, or the patience is over.

        Raises:
            LatencyError: whoever started this process is gone.
        """
        gc.collect()
        gc.disable()
        seconds = self._spec.seconds
        try:
            running, there = time.thread_time() + seconds, time.perf_counter() + PATIENCE * seconds
            for done in range(MAX_EPOCHS):
                over = time.thread_time() > running or time.perf_counter() > there
                if done >= MIN_EPOCHS and over:
                    break
                if os.getppid() != self._parent:
                    raise LatencyError("nobody waits for the measurement any more")
                self._epoch()
        finally:
            gc.enable()

    def series(self) -> dict[Key, Series]:
        """Return all times."""
        return {
            key: Series(np.array(self._wall[key]), np.array(self._cpu[key])) for key in self._keys
        }

    def _epoch(self) -> None:
        calls, ballast = {}, []
        for i in self._rng.permutation(len(self._keys)):
            key = self._keys[i]
            ballast.append(bytearray(int(self._rng.integers(1, BALLAST_BYTES))))
            calls[key] = _entry(key, self._spec)
            runs = _runs(calls[key], self._spec.warmup)
            self._runs.setdefault(key[0], runs)
        for key in self._keys:
            self._wall[key].append([])
            self._cpu[key].append([])
        for _ in range(ROUNDS):
            for i in self._rng.permutation(len(self._keys)):
                key = self._keys[i]
                wall, cpu = _block(calls[key], self._runs[key[0]])
                self._wall[key][-1].append(wall)
                self._cpu[key][-1].append(cpu)


def summary(times: Sequence[Times], spec: Spec) -> dict[str, Any]:
    """Return what `measure` does, but for attempts and fingerprint, from the times themselves."""
    quiet = [{k: _quiet_blocks(s, spec.threads) for k, s in one.items()} for one in times]
    medians = [
        {key: _medians(series, kept[key]) for key, series in one.items()}
        for one, kept in zip(times, quiet, strict=True)
    ]
    first, second = (spec.control, 0), (spec.control, 1)
    own_ratio, own_ci95 = mean_ratio(_log_ratios(medians, (first,), (second,)))
    level = is_level(own_ci95)
    models = {}
    for name in spec.models:
        keys: tuple[Key, ...] = (first, second) if name == spec.control else ((name, 0),)
        ratio, ci95 = mean_ratio(_log_ratios(medians, (first, second), keys))
        models[name] = _told(
            [_joined(one, kept, keys) for one, kept in zip(times, quiet, strict=True)], spec
        ) | {
            "ratio": ratio if level else None,
            "ratio_ci95": ci95 if level else None,
        }
    return {
        "models": models,
        "control": spec.control,
        "level": level,
        "control_ratio": own_ratio,
        "control_ratio_ci95": own_ci95,
        "processes": len(times),
    }


def _log_ratios(
    medians: Sequence[Mapping[Key, NDArray[np.float64]]],
    below: Sequence[Key],
    above: Sequence[Key],
) -> NDArray[np.float64]:
    """Return of every process the log ratio of entries to others: the trimmed mean of its epochs.

    Of two entries the geometric mean counts.
    """

    def logs(one: Mapping[Key, NDArray[np.float64]], keys: Sequence[Key]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.mean([np.log(one[key]) for key in keys], axis=0)
        return mean

    return np.array([_trimmed_mean(logs(one, above) - logs(one, below)) for one in medians])


def _quiet_blocks(one: Series, threads: int) -> NDArray[np.bool_]:
    """Return which blocks `(epochs, rounds)` count: those in which the process had a CPU.

    Of an epoch without any, all count. With several threads the CPU time says nothing of waiting.
    """
    quiet = np.asarray(one.cpu >= QUIET * one.wall.mean(axis=2)) | (threads > 1)
    kept: NDArray[np.bool_] = quiet | ~quiet.any(axis=1, keepdims=True)
    return kept


def _medians(one: Series, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median run of every epoch, over the blocks that count."""
    return np.array([np.median(wall[rows]) for wall, rows in zip(one.wall, kept, strict=True)])


@dataclass(frozen=True)
class _Counted:
    """Of one model in one process: the runs that count `(n,)`, and all blocks."""

    wall_us: NDArray[np.float64]
    cpu_us: NDArray[np.float64]
    blocks: int
    left_out: int
    waited: float


def _joined(times: Times, kept: Mapping[Key, NDArray[np.bool_]], keys: Sequence[Key]) -> _Counted:
    """Return the entries of one model together."""
    wall = [times[key].wall[kept[key]].ravel() for key in keys]
    cpu = [times[key].cpu[kept[key]] for key in keys]
    spent = sum(times[key].cpu.mean() for key in keys) / sum(times[key].wall.mean() for key in keys)
    blocks = sum(kept[key].size for key in keys)
    left_out = blocks - sum(int(kept[key].sum()) for key in keys)
    return _Counted(np.concatenate(wall), np.concatenate(cpu), blocks, left_out, 1 - float(spent))


def _told(parts: Sequence[_Counted], spec: Spec) -> dict[str, Any]:
    """Return percentiles with intervals, CPU time, share of waiting, and the raw material.

    All but `waited` and `blocks` are of the blocks that count. `n` are the runs; `cpu_us` is the
    median CPU time a run; `blocks` how many there were, of which `left_out` were spent waiting for
    a CPU; `waited` the share of the time in which the processes were not running (one thread only);
    `quantiles_us` the percentiles 0 to 100; `process_us` the median of every process.
    """
    percentiles = np.log([np.percentile(part.wall_us, np.arange(101)) for part in parts])
    told: dict[str, Any] = {"n": sum(part.wall_us.size for part in parts)}
    for q in (50, 90, 99):
        told[f"p{q}_us"], told[f"p{q}_ci95"] = mean_ratio(percentiles[:, q])
    waited = float(np.mean([part.waited for part in parts]))
    return told | {
        "cpu_us": float(np.median(np.concatenate([part.cpu_us for part in parts]))),
        "blocks": sum(part.blocks for part in parts),
        "left_out": sum(part.left_out for part in parts),
        "waited": max(waited, 0.0) if spec.threads == 1 else None,
        "quantiles_us": [round(float(q), 3) for q in np.exp(percentiles.mean(axis=0))],
        "process_us": [round(float(median), 4) for median in np.exp(percentiles[:, 50])],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what `--spec` asks and print JSON; 1 if it cannot be done, 6 without onnxruntime.

    `--part` is how the harness starts its processes: a spec on standard input, times on output.
    """
    parser = argparse.ArgumentParser(description="Latency of ONNX models, interleaved, in JSON.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--spec", type=Path, help="JSON: models, control, threads …")
    what.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    try:
        if asked.part:
            print(_part(sys.stdin.read()))
        else:
            spec = Spec(**json.loads(asked.spec.read_text(encoding="utf-8")))
            print(json.dumps(measure(spec)))
    except (LatencyError, OSError, TypeError, json.JSONDecodeError) as error:
        print(error if asked.part else f"{asked.spec.name}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(error if asked.part else f"onnxruntime cannot be used: {error}", file=sys.stderr)
        return NO_ONNXRUNTIME
    return 0


if __name__ == "__main__":
    sys.exit(main())
