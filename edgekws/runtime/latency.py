"""Latency harness: ONNX models timed interleaved with a control, in several processes.

A standalone script that needs only numpy and onnxruntime: `python latency.py --spec spec.json`
prints JSON; the spec is the JSON of `Spec`.

The memory layout of weights, buffers and libraries shifts a model's times by a few percent for the
lifetime of its session or process. The time is therefore divided among successive processes, and
each process into epochs: in an epoch every model gets a new session, in random order and with
ballast of random size, followed by rounds of short blocks of calls, each round in random order. A
change of clock speed or load affects all models alike. Within a process, ratios are taken between
the medians of an epoch. Every figure is the geometric mean over the processes, and its 95 %
interval is Student's over the processes, on the logarithmic scale: it is meant to cover the result
of another run on the same machine.

Latency excludes waiting for a CPU: blocks in which the process waited are left out and counted. The
control is entered twice; if the interval of its ratio to itself is not within a few percent of 1,
the ratios are meaningless and are left out.
"""

import argparse
import ctypes
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
"""Approximate duration of a block, within `MIN_RUNS` and `MAX_RUNS` runs."""
MIN_RUNS, MAX_RUNS = 2, 20
ROUNDS = 8
"""Rounds per epoch."""
MIN_EPOCHS, MAX_EPOCHS = 2, 400
"""Epochs per process."""
ATTEMPTS = 3
PATIENCE = 3
"""Maximum multiple of its seconds that a process may take if it has to wait for a CPU."""
LEVEL = 0.03
"""The control is level if the interval of its ratio to itself lies within this share of 1."""
QUIET = 0.95
"""A block is quiet if the process had a CPU for at least this share of it."""
TRIM = 0.2
"""Share of the epochs trimmed at either end when their ratios are averaged."""
BALLAST_BYTES = 1 << 16
NO_ONNXRUNTIME = 6
"""Exit status if onnxruntime is missing."""
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's 97.5 % quantiles for 1 to 10 degrees of freedom."""

ISA_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip

Key = tuple[str, int]
"""The name of a model and its entry: 0, and 1 for the second entry of the control."""
Call = Callable[[], object]


@dataclass(frozen=True)
class Series:
    """Times of one entry in one process, in µs per run.

    `wall` is `(epochs, rounds, runs)`; `cpu` the mean of every block, `(epochs, rounds)`.
    """

    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]


Times = Mapping[Key, Series]
"""The times measured by one process."""


class LatencyError(Exception):
    """The measurement cannot be made; the message names the file and what was expected."""


@dataclass(frozen=True)
class Spec:
    """What to measure: files by name, and the name of the control.

    Several files under one name are a chain; each takes the first output of the previous one. A
    shared library (`.so`) is a model compiled from C, with the functions of `timing.c`.
    `bound` names the models that are called with I/O binding instead of plain `session.run`.
    `threads` is the number of intra-op threads of onnxruntime; `affinity` the CPUs to bind the
    process to, all if `None`; `warmup` the untimed runs of each new session; `processes` the number
    of processes per attempt, and `seconds` their total measuring time, without the time in which
    other programs have the CPU. If the control is not level, up to two more attempts follow.
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

    Returns `models` (by name: the fields of `_statistics`, `ratio`, `ratio_ci95`), `control`,
    `level`, `control_ratio` and `control_ratio_ci95` (the control's second entry over its first),
    `attempts`, `processes`, `fingerprint`. Intervals are 95 %; `ratio` is relative to the control,
    `None` if the control is not level.

    Raises:
        LatencyError: unknown control or CPU, too few processes, or a model that cannot be loaded
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
        times += [_measure_in_process(spec, len(times) + i) for i in range(spec.processes)]
        result = summary(times, spec)
    return result | {"attempts": attempts, "fingerprint": fingerprint(spec.threads)}


def _measure_in_process(spec: Spec, number: int) -> Times:
    """Measure in a new interpreter: one of `spec.processes`.

    Raises:
        LatencyError, ImportError: as `measure`.
    """
    part = replace(spec, seconds=spec.seconds / spec.processes, seed=spec.seed + number)
    flags = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *flags, str(Path(__file__).resolve()), "--part"]
    request = json.dumps(asdict(part)).encode()
    done = subprocess.run(command, input=request, capture_output=True, check=False)
    message = done.stderr.decode(errors="replace").strip()
    if done.returncode == NO_ONNXRUNTIME:
        raise ImportError(message)
    if done.returncode:
        raise LatencyError(message or f"a process died with {done.returncode}")
    return {
        (name, entry): Series(np.array(wall), np.array(cpu))
        for name, entry, wall, cpu in json.loads(done.stdout)
    }


def _measure_part(request: str) -> str:
    """Measure the models of a `Spec` (JSON) in this process, and return all times as JSON."""
    timer = _Timer(Spec(**json.loads(request)))
    timer.run()
    series = timer.series()
    return json.dumps(
        [[*key, s.wall.round(3).tolist(), s.cpu.tolist()] for key, s in series.items()]
    )


def fingerprint(threads: int) -> dict[str, Any]:
    """Return what a latency on this machine depends on, from `/proc` and package metadata."""
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
    """Return whether the control's ratio to itself is close enough to 1.

    >>> is_level((0.985, 1.02)), is_level((1.003, 1.009)), is_level((0.743, 1.112))
    (True, True, False)
    """
    return abs(ci95[0] - 1) <= LEVEL and abs(ci95[1] - 1) <= LEVEL


def mean_ratio(logs: NDArray[np.float64]) -> tuple[float, tuple[float, float]]:
    """Return the geometric mean of independent values, given as logarithms, and its 95 % interval.

    The interval is Student's on the logarithmic scale, and unbounded for a single value.

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
    """Return the ratio of `model` to `control`, with the 95 % interval.

    Both are medians in µs of the same independent units: processes, or the epochs of a single
    process (the interval then holds within that process only).

    >>> paired_ratio(np.array([10.0, 20, 30, 40]), np.array([5.0, 10, 15, 20]))
    (0.5, (0.5, 0.5))
    """
    return mean_ratio(np.log(model) - np.log(control))


def _trimmed_mean(values: NDArray[np.float64]) -> float:
    cut = int(TRIM * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _t975(freedom: int) -> float:
    """Return Student's 97.5 % quantile, beyond the table by a series expansion.

    The series is from Abramowitz and Stegun, 26.7.5.

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
        raise LatencyError("this system cannot bind a process to CPUs; remove affinity")
    here = sorted(os.sched_getaffinity(0))
    if not affinity or not set(affinity) <= set(here):
        raise LatencyError(f"affinity {list(affinity)}: this machine has the CPUs {here}")
    os.sched_setaffinity(0, affinity)


def open_session(path: str, threads: int, profile: str | None = None) -> Any:
    """Return an onnxruntime session on the CPU without spinning threads.

    `profile` is the prefix of the file that onnxruntime's profiler writes.

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
    # onnxruntime's exceptions have no common base but Exception; most are RuntimeErrors
    except tuple(_onnxruntime_errors()) as error:
        raise LatencyError(f"{path}: onnxruntime cannot load it: {error}") from error


def _onnxruntime_errors() -> list[type[Exception]]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    types = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
    return [*types, RuntimeError]


def random_feed(session: Any, path: str, seed: int) -> dict[str, NDArray[Any]]:
    """Return a fixed random input of the model's shape with batch 1, or one hop for a stream.

    Raises:
        LatencyError: an input is not float32, or has a free dimension other than the first.
    """
    rng = np.random.default_rng(seed)
    stream = json.loads(session.get_modelmeta().custom_metadata_map.get("stream", "{}"))
    states = stream.get("states", ())
    feed = {s["input"]: np.full(s["shape"], s["fill"], s["dtype"]) for s in states}
    for node in session.get_inputs():
        if node.name in feed:
            continue
        batch, *rest = node.shape or [1]
        if stream:
            rest[-1] = stream["hop_frames"]
        fixed = [n for n in rest if isinstance(n, int)]
        if node.type != "tensor(float)" or len(fixed) < len(rest):
            raise LatencyError(
                f"{path}: input {node.name} is {node.type} {node.shape};"
                " expected float32 with every dimension fixed but the first"
            )
        shape = [batch if isinstance(batch, int) else 1, *fixed]
        feed[node.name] = rng.standard_normal(shape, dtype=np.float32)
    return feed


def _chain(paths: Sequence[str], spec: Spec) -> Call:
    """Return the call that runs the models in sequence."""
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
    """Return the call of one model with I/O binding."""
    from onnxruntime import OrtValue

    if len(paths) > 1:
        raise LatencyError(f"{' → '.join(paths)}: a chain cannot be called with I/O binding")
    session = open_session(paths[0], spec.threads)
    feed = random_feed(session, paths[0], spec.seed)
    binding = session.io_binding()
    for name, value in feed.items():
        binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(value))
    names = [node.name for node in session.get_outputs()]
    for name, value in zip(names, session.run(names, feed), strict=True):
        binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(value))
    return lambda: session.run_with_iobinding(binding)


def _compiled(path: str) -> Call:
    """Return the call of a model that is compiled, with memory of its own."""
    library = ctypes.CDLL(path)
    library.kws_timing_bytes.restype = ctypes.c_size_t
    memory = ctypes.create_string_buffer(library.kws_timing_bytes())
    library.kws_timing_begin(memory)
    run = library.kws_timing_run
    run.argtypes, run.restype = (ctypes.c_void_p,), None
    reference = ctypes.byref(memory)  # keeps the memory
    return lambda: run(reference)


def _entry(key: Key, spec: Spec) -> Call:
    """Return the call of an entry, in a new session."""
    files = spec.models[key[0]]
    paths = [files] if isinstance(files, str) else list(files)
    if paths[0].endswith(".so"):
        return _compiled(paths[0])
    return _bound(paths, spec) if key[0] in spec.bound else _chain(paths, spec)


def _runs(call: Call, warmup: int) -> int:
    """Warm up a call, and return the number of runs per block."""
    wall, _ = _block(call, max(warmup, 1))
    typical_s = float(np.median(wall[len(wall) // 2 :])) * 1e-6
    return int(np.clip(np.ceil(BLOCK_S / typical_s), MIN_RUNS, MAX_RUNS))


def _block(run: Call, runs: int) -> tuple[list[float], float]:
    """Time `runs` calls in µs, after one that loads the model into the caches.

    Returns the wall times, and the mean CPU time of all threads together.
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


class _Timer:
    """Times epochs of all entries of a spec."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._parent = spec, os.getppid()
        self._keys: list[Key] = [(name, 0) for name in spec.models] + [(spec.control, 1)]
        self._rng = np.random.default_rng(spec.seed)
        self._runs: dict[str, int] = {}
        self._wall: dict[Key, list[list[list[float]]]] = {key: [] for key in self._keys}
        self._cpu: dict[Key, list[list[float]]] = {key: [] for key in self._keys}

    def run(self) -> None:
        """Time epochs for the seconds of the spec, or `PATIENCE` times that of wall time.

        Raises:
            LatencyError: the parent process has ended.
        """
        gc.collect()
        gc.disable()
        seconds = self._spec.seconds
        try:
            cpu_end = time.thread_time() + seconds
            wall_end = time.perf_counter() + PATIENCE * seconds
            for done in range(MAX_EPOCHS):
                over = time.thread_time() > cpu_end or time.perf_counter() > wall_end
                if done >= MIN_EPOCHS and over:
                    break
                if os.getppid() != self._parent:
                    raise LatencyError("the process that started the measurement has ended")
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
    """Return the result of `measure`, without attempts and fingerprint, from the times."""
    masks = [{k: _quiet_blocks(s, spec.threads) for k, s in process.items()} for process in times]
    medians = [
        {key: _medians(series, quiet[key]) for key, series in process.items()}
        for process, quiet in zip(times, masks, strict=True)
    ]
    first, second = (spec.control, 0), (spec.control, 1)
    control_ratio, control_ci95 = mean_ratio(_log_ratios(medians, (first,), (second,)))
    level = is_level(control_ci95)
    models = {}
    for name in spec.models:
        keys: tuple[Key, ...] = (first, second) if name == spec.control else ((name, 0),)
        ratio, ci95 = mean_ratio(_log_ratios(medians, (first, second), keys))
        runs = [_joined(process, quiet, keys) for process, quiet in zip(times, masks, strict=True)]
        models[name] = _statistics(runs, spec) | {
            "ratio": ratio if level else None,
            "ratio_ci95": ci95 if level else None,
        }
    return {
        "models": models,
        "control": spec.control,
        "level": level,
        "control_ratio": control_ratio,
        "control_ratio_ci95": control_ci95,
        "processes": len(times),
    }


def _log_ratios(
    medians: Sequence[Mapping[Key, NDArray[np.float64]]],
    below: Sequence[Key],
    above: Sequence[Key],
) -> NDArray[np.float64]:
    """Return the log ratio of `above` to `below` per process: the trimmed mean over its epochs.

    Two entries are combined by the geometric mean.
    """

    def logs(
        process: Mapping[Key, NDArray[np.float64]], keys: Sequence[Key]
    ) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.mean([np.log(process[key]) for key in keys], axis=0)
        return mean

    return np.array([_trimmed_mean(logs(p, above) - logs(p, below)) for p in medians])


def _quiet_blocks(series: Series, threads: int) -> NDArray[np.bool_]:
    """Return which blocks `(epochs, rounds)` count: those in which the process had a CPU.

    In an epoch without any, all count. With several threads, CPU time does not reveal waiting.
    """
    quiet = np.asarray(series.cpu >= QUIET * series.wall.mean(axis=2)) | (threads > 1)
    counted: NDArray[np.bool_] = quiet | ~quiet.any(axis=1, keepdims=True)
    return counted


def _medians(series: Series, quiet: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median run of every epoch, over the quiet blocks."""
    return np.array([np.median(wall[rows]) for wall, rows in zip(series.wall, quiet, strict=True)])


@dataclass(frozen=True)
class _ModelRuns:
    """One model in one process: the counted runs `(n,)`, and the number of all blocks."""

    wall_us: NDArray[np.float64]
    cpu_us: NDArray[np.float64]
    blocks: int
    left_out: int
    waited: float


def _joined(
    times: Times, quiet: Mapping[Key, NDArray[np.bool_]], keys: Sequence[Key]
) -> _ModelRuns:
    """Return the runs of all entries of one model."""
    wall = [times[key].wall[quiet[key]].ravel() for key in keys]
    cpu = [times[key].cpu[quiet[key]] for key in keys]
    spent = sum(times[key].cpu.mean() for key in keys) / sum(times[key].wall.mean() for key in keys)
    blocks = sum(quiet[key].size for key in keys)
    left_out = blocks - sum(int(quiet[key].sum()) for key in keys)
    return _ModelRuns(np.concatenate(wall), np.concatenate(cpu), blocks, left_out, 1 - float(spent))


def _statistics(parts: Sequence[_ModelRuns], spec: Spec) -> dict[str, Any]:
    """Return percentiles with intervals, CPU time, share of waiting, and data for plots.

    All but `waited` and `blocks` are over the counted blocks. `n` is the number of runs; `cpu_us`
    the median CPU time per run; `blocks` the number of blocks, of which `left_out` were spent
    waiting for a CPU; `waited` the share of time in which the processes were not running (one
    thread only); `quantiles_us` the percentiles 0 to 100; `process_us` the median of every process.
    """
    percentiles = np.log([np.percentile(part.wall_us, np.arange(101)) for part in parts])
    statistics: dict[str, Any] = {"n": sum(part.wall_us.size for part in parts)}
    for q in (50, 90, 99):
        statistics[f"p{q}_us"], statistics[f"p{q}_ci95"] = mean_ratio(percentiles[:, q])
    waited = float(np.mean([part.waited for part in parts]))
    return statistics | {
        "cpu_us": float(np.median(np.concatenate([part.cpu_us for part in parts]))),
        "blocks": sum(part.blocks for part in parts),
        "left_out": sum(part.left_out for part in parts),
        "waited": max(waited, 0.0) if spec.threads == 1 else None,
        "quantiles_us": [round(float(q), 3) for q in np.exp(percentiles.mean(axis=0))],
        "process_us": [round(float(median), 4) for median in np.exp(percentiles[:, 50])],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the models of `--spec` and print JSON; return 1 on failure, 6 without onnxruntime.

    The harness starts its processes with `--part`: a spec on standard input, times on output.
    """
    parser = argparse.ArgumentParser(description="Latency of ONNX models, interleaved, in JSON.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--spec", type=Path, help="JSON: models, control, threads …")
    mode.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        if options.part:
            print(_measure_part(sys.stdin.read()))
        else:
            spec = Spec(**json.loads(options.spec.read_text(encoding="utf-8")))
            print(json.dumps(measure(spec)))
    except (LatencyError, OSError, TypeError, json.JSONDecodeError) as error:
        print(error if options.part else f"{options.spec.name}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(error if options.part else f"onnxruntime cannot be used: {error}", file=sys.stderr)
        return NO_ONNXRUNTIME
    return 0


if __name__ == "__main__":
    sys.exit(main())
