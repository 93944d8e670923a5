"""Latency harness: ONNX models timed interleaved in one process, against a control.

Usable alone, with numpy and onnxruntime: `python latency.py --spec spec.json` prints JSON, where
the spec is the JSON of `Spec`.

Where a session's weights and buffers come to lie in memory shifts its times by a few percent for
as long as it lives. So the time is cut into epochs: in each, every model gets a new session, in a
random order and beside ballast of random size, then rounds of short blocks of calls, each round in
a random order. A change of clock speed or of load meets all models alike. Ratios are those of the
medians within an epoch, and their intervals come from resampling epochs. The control is entered
twice; where it does not equal itself, the ratios say nothing and are left out.
"""

import argparse
import gc
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
MIN_EPOCHS, MAX_EPOCHS = 8, 400
ATTEMPTS = 3
PATIENCE = 3
"""An attempt that has to wait for a CPU may take so many times the seconds of the spec."""
RESAMPLES = 500
LEVEL = 0.02
"""The control is level within this share, and where its interval holds equality."""
QUIET = 0.95
"""A round is quiet where the process ran on a CPU for this share of it, or more."""
TRIM = 0.2
"""Share of the epochs that is left out at either end when their ratios are averaged."""
BALLAST_BYTES = 1 << 16
Z = 1.96

ISA_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip

Key = tuple[str, int]
"""A model by name; the control has a second entry, 1."""
Call = Callable[[], object]


@dataclass(frozen=True)
class Series:
    """Times of one entry in µs a run: `wall` `(epochs, rounds, runs)`, `cpu` `(epochs, rounds)`."""

    wall: NDArray[np.float64]
    cpu: NDArray[np.float64]


class LatencyError(Exception):
    """The measurement cannot be made; the message names the file and what was expected."""


@dataclass(frozen=True)
class Spec:
    """What to measure: files by name, and which of them is the control.

    Several files under one name are a chain, each fed with the first output of the one before.
    `bound` names the models that are called with I/O binding, not with plain `session.run`.
    `threads` are onnxruntime's intra-op threads; `affinity` the CPUs the process is bound to, all
    if `None`; `warmup` untimed runs of each new session; `seconds` the time of one attempt, not
    counting that in which other programs have the CPU (a control that is not level is measured on
    for as long again, twice at most).
    """

    models: Mapping[str, str | Sequence[str]]
    control: str
    threads: int = 1
    affinity: Sequence[int] | None = None
    warmup: int = 20
    seconds: float = 2.0
    seed: int = 0
    bound: Sequence[str] = ()


def measure(spec: Spec) -> dict[str, Any]:
    """Measure all models of `spec`; the process stays bound to `spec.affinity`.

    Returns `models` (a name: the fields that `_told` gives, `ratio`, `ratio_ci95`), `control`,
    `level`, `control_ratio` and `control_ratio_ci95` (the control's second entry over its first),
    `attempts`, `epochs`, `fingerprint`. Intervals are 95 %; `ratio` is to the control, `None`
    where the control is not level.

    Raises:
        LatencyError: no such control or CPU, or a model that cannot be loaded or fed.
        ImportError: onnxruntime is not installed.
    """
    for role, name in (("control", spec.control), *(("bound", name) for name in spec.bound)):
        if name not in spec.models:
            raise LatencyError(f"{role} {name!r} is none of {', '.join(spec.models)}")
    _bind(spec.affinity)
    timed = _Timed(spec)
    attempts, result = 0, dict[str, Any](level=False)
    while attempts < ATTEMPTS and not result["level"]:
        attempts += 1
        timed.go_on(spec.seconds)
        result = summary(timed.series(), spec)
    return result | {"attempts": attempts, "fingerprint": fingerprint(spec.threads)}


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


def is_level(ratio: float, ci95: Sequence[float]) -> bool:
    """Say whether a control that measured `ratio` times itself is fit to compare with.

    >>> is_level(1.004, (0.997, 1.01)), is_level(1.012, (1.003, 1.02)), is_level(1.03, (0.9, 1.1))
    (True, False, False)
    """
    return abs(ratio - 1) <= LEVEL and ci95[0] <= 1 <= ci95[1]


def paired_ratio(
    control: NDArray[np.float64], model: NDArray[np.float64], seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Return how many times as long `model` takes as `control`, with the 95 % interval.

    Both are medians of the same epochs, in µs. The estimate is the trimmed mean of the log ratios
    (epochs that a burst of load has hit do not count); the interval is that of the bootstrap over
    epochs, widened as few epochs ask for (Hesterberg 2015, "What teachers should know about the
    bootstrap", expanded percentile interval).

    >>> paired_ratio(np.array([10.0, 20, 30, 40]), np.array([5.0, 10, 15, 20]))
    (0.5, (0.5, 0.5))
    """
    logs = np.log(model) - np.log(control)
    n = len(logs)
    draws = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    middle = float(_trimmed_mean(logs[None])[0])
    low, high = np.percentile(_trimmed_mean(logs[draws]), (2.5, 97.5))
    wider = _expansion(n)
    bounds = np.exp([middle + wider * (low - middle), middle + wider * (high - middle)])
    return round(math.exp(middle), 12), (round(float(bounds[0]), 12), round(float(bounds[1]), 12))


def _trimmed_mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    cut = int(TRIM * rows.shape[1])
    means: NDArray[np.float64] = np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1)
    return means


def _expansion(n: int) -> float:
    """Return by how much the interval of `n` values is too narrow.

    Student's quantile is taken from its series (Abramowitz and Stegun 26.7.5).

    >>> round(_expansion(8), 2), round(_expansion(100), 2)
    (1.29, 1.02)
    """
    left = max(n - 1, 1)
    t = Z + (Z**3 + Z) / (4 * left) + (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * left**2)
    return t / Z * math.sqrt(n / left)


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
        self._spec = spec
        self._keys: list[Key] = [(name, 0) for name in spec.models] + [(spec.control, 1)]
        self._rng = np.random.default_rng(spec.seed)
        self._runs: dict[str, int] = {}
        self._wall: dict[Key, list[list[list[float]]]] = {key: [] for key in self._keys}
        self._cpu: dict[Key, list[list[float]]] = {key: [] for key in self._keys}

    def go_on(self, seconds: float) -> None:
        """Time epochs until they took so many seconds of a CPU, or the patience is over."""
        gc.collect()
        gc.disable()
        try:
            running, there = time.thread_time() + seconds, time.perf_counter() + PATIENCE * seconds
            for done in range(MAX_EPOCHS):
                over = time.thread_time() > running or time.perf_counter() > there
                if done >= MIN_EPOCHS and over:
                    break
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


def summary(times: Mapping[Key, Series], spec: Spec) -> dict[str, Any]:
    """Return what `measure` does, but for attempts and fingerprint, from the times themselves."""
    quiet = _quiet_rounds(times, spec.threads)
    medians = {key: _medians(one, quiet) for key, one in times.items()}
    first, second = medians[spec.control, 0], medians[spec.control, 1]
    own_ratio, own_ci95 = paired_ratio(first, second, spec.seed)
    level = is_level(own_ratio, own_ci95)
    both = np.sqrt(first * second)
    models = {}
    for name in spec.models:
        pooled, epoch_us = times[name, 0], medians[name, 0]
        ratio, ci95 = paired_ratio(both, epoch_us, spec.seed)
        if name == spec.control:
            pooled, epoch_us, ratio, ci95 = _joined(pooled, times[name, 1]), both, 1.0, (1.0, 1.0)
        models[name] = _told(pooled, epoch_us, spec) | {
            "ratio": ratio if level else None,
            "ratio_ci95": ci95 if level else None,
        }
    return {
        "models": models,
        "control": spec.control,
        "level": level,
        "control_ratio": own_ratio,
        "control_ratio_ci95": own_ci95,
        "epochs": len(first),
    }


def _joined(one: Series, other: Series) -> Series:
    return Series(
        np.concatenate([one.wall, other.wall], axis=1), np.concatenate([one.cpu, other.cpu], axis=1)
    )


def _quiet_rounds(times: Mapping[Key, Series], threads: int) -> NDArray[np.bool_]:
    """Return which rounds `(epochs, rounds)` count: all models' or none's.

    Those in which the process had to wait do not, but where an epoch has hardly another. With
    several threads the CPU time says nothing of waiting.
    """
    wall = sum(one.wall.sum(axis=2) for one in times.values())
    cpu = sum(one.cpu * one.wall.shape[2] for one in times.values())
    quiet = np.asarray(cpu >= QUIET * wall) | (threads > 1)
    few = quiet.sum(axis=1, keepdims=True) < quiet.shape[1] / 2
    kept: NDArray[np.bool_] = quiet | few
    return kept


def _medians(one: Series, rounds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median run of every epoch, over the rounds that count."""
    return np.array([np.median(wall[kept]) for wall, kept in zip(one.wall, rounds, strict=True)])


def _told(one: Series, epoch_us: NDArray[np.float64], spec: Spec) -> dict[str, Any]:
    """Return percentiles with intervals, CPU time, share of waiting, and the raw material.

    `cpu_us` is the median CPU time a run; `waited` the share of the time in which the process was
    not running (one thread only); `quantiles_us` the percentiles 0 to 100; `epoch_us` the median
    of every epoch.
    """
    epochs = len(one.wall)
    draws = np.random.default_rng(spec.seed).integers(0, epochs, (RESAMPLES, epochs))
    drawn = np.array([np.percentile(one.wall[rows], (50, 90, 99)) for rows in draws])
    bounds = np.percentile(drawn, (2.5, 97.5), axis=0)
    quantiles = np.percentile(one.wall, np.arange(101))
    told: dict[str, Any] = {"n": one.wall.size}
    for i, q in enumerate((50, 90, 99)):
        told[f"p{q}_us"] = float(quantiles[q])
        told[f"p{q}_ci95"] = (float(bounds[0, i]), float(bounds[1, i]))
    waited = 1 - float(one.cpu.mean() / one.wall.mean())
    return told | {
        "cpu_us": float(np.median(one.cpu)),
        "waited": max(waited, 0.0) if spec.threads == 1 else None,
        "quantiles_us": [round(float(q), 3) for q in quantiles],
        "epoch_us": [round(float(median), 4) for median in epoch_us],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what `--spec` asks and print JSON; 1 if it cannot be done, 6 without onnxruntime."""
    parser = argparse.ArgumentParser(description="Latency of ONNX models, interleaved, in JSON.")
    parser.add_argument("--spec", type=Path, required=True, help="JSON: models, control, threads …")
    path = parser.parse_args(arguments).spec
    try:
        result = measure(Spec(**json.loads(path.read_text(encoding="utf-8"))))
    except (LatencyError, OSError, TypeError, json.JSONDecodeError) as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"onnxruntime cannot be used: {error}", file=sys.stderr)
        return 6
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
