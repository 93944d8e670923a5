"""Latency harness: ONNX models timed interleaved in one process, against a control.

Usable alone, with numpy and onnxruntime: `python latency.py --spec spec.json` prints JSON, where
the spec is the JSON of `Spec`.

Every model gets short blocks of plain `session.run` calls, the blocks in a random order that is
drawn anew each round, so that a change of clock speed or of load meets all models alike. The
control is entered twice; where it does not equal itself, the ratios say nothing and are left out.
"""

import argparse
import gc
import json
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

BLOCK_S = 1e-3
"""A block lasts about this long, within `MIN_RUNS` and `MAX_RUNS` runs."""
MIN_RUNS, MAX_RUNS = 2, 20
MIN_ROUNDS, MAX_ROUNDS = 8, 400
ATTEMPTS = 2
RESAMPLES = 500
LEVEL = 0.02
"""The control is level where its second entry is within this share of the first …"""
LEVEL_DOUBT = 0.05
"""… or no further than this while the 95 % interval holds equality."""

ISA_FLAGS = (
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "amx_int8",
    "asimd", "asimddp", "i8mm", "sve",
)  # fmt: skip

Blocks = NDArray[np.float64]
"""Run times in µs, `(rounds, runs)`."""


class LatencyError(Exception):
    """The measurement cannot be made; the message names the file and what was expected."""


@dataclass(frozen=True)
class Spec:
    """What to measure: files by name, and which of them is the control.

    `threads` are onnxruntime's intra-op threads; `affinity` the CPUs the process is bound to, all
    if `None`; `warmup` untimed runs a model; `seconds` the time of one attempt without start-up
    (a control that is not level costs a second attempt).
    """

    models: Mapping[str, str]
    control: str
    threads: int = 1
    affinity: Sequence[int] | None = None
    warmup: int = 20
    seconds: float = 2.0
    seed: int = 0


def measure(spec: Spec) -> dict[str, Any]:
    """Measure all models of `spec`; the process stays bound to `spec.affinity`.

    Returns `models` (a name: `p50_us`, `p90_us`, `p99_us`, `p50_ci95`, `n`, `ratio`,
    `ratio_ci95`), `control`, `level`, `control_ratio` and `control_ratio_ci95` (the control's
    second entry over its first), `attempts`, `fingerprint`. Intervals are 95 %, by bootstrap over
    rounds; `ratio` is the median over the control's, `None` where the control is not level.

    Raises:
        LatencyError: no such control or CPU, or a model that cannot be loaded or fed.
        ImportError: onnxruntime is not installed.
    """
    if spec.control not in spec.models:
        raise LatencyError(f"control {spec.control!r} is none of {', '.join(spec.models)}")
    _bind(spec.affinity)
    for attempt in range(1, ATTEMPTS + 1):
        result = _summary(_attempt(spec, spec.seed + attempt), spec)
        if result["level"]:
            break
    return result | {"attempts": attempt, "fingerprint": fingerprint(spec.threads)}


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

    >>> is_level(1.012, (1.003, 1.02)), is_level(1.03, (0.98, 1.08)), is_level(1.03, (1.01, 1.05))
    (True, True, False)
    """
    off = abs(ratio - 1)
    return off <= LEVEL or (ci95[0] <= 1 <= ci95[1] and off <= LEVEL_DOUBT)


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


def _session(path: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # onnxruntime's own exceptions share no base but Exception; RuntimeError holds most of them
    except tuple(_onnxruntime_errors()) as error:
        raise LatencyError(f"{path}: onnxruntime cannot load it: {error}") from error


def _onnxruntime_errors() -> list[type[Exception]]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
    return [*own, RuntimeError]


def _feed(session: Any, path: str, seed: int) -> dict[str, NDArray[Any]]:
    """Return a fixed random input of the model's own shape, batch 1, or of a stream's one hop."""
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


def _entry(path: str, spec: Spec) -> tuple[Callable[[], object], int]:
    """Return a warm model's call, and the runs that make a block."""
    session = _session(path, spec.threads)
    feed = _feed(session, path, spec.seed)

    def run() -> object:
        return session.run(None, feed)

    times = _block(run, max(spec.warmup, 1))
    typical_s = float(np.median(times[len(times) // 2 :])) * 1e-6
    return run, int(np.clip(np.ceil(BLOCK_S / typical_s), MIN_RUNS, MAX_RUNS))


def _block(run: Callable[[], object], runs: int) -> list[float]:
    """Time `runs` calls in µs, after one that brings the model back into the caches."""
    clock = time.perf_counter_ns
    run()
    times = []
    for _ in range(runs):
        start = clock()
        run()
        times.append((clock() - start) * 1e-3)
    return times


def _attempt(spec: Spec, seed: int) -> dict[tuple[str, int], Blocks]:
    """Time every model in rounds; `(control, 1)` is the control's second entry."""
    keys = [(name, 0) for name in spec.models] + [(spec.control, 1)]
    entries = {key: _entry(spec.models[key[0]], spec) for key in keys}
    times: dict[tuple[str, int], list[list[float]]] = {key: [] for key in keys}
    rng = np.random.default_rng(seed)
    gc.collect()
    gc.disable()
    try:
        deadline = time.perf_counter() + spec.seconds
        for done in range(MAX_ROUNDS):
            if done >= MIN_ROUNDS and time.perf_counter() > deadline:
                break
            for i in rng.permutation(len(keys)):
                times[keys[i]].append(_block(*entries[keys[i]]))
    finally:
        gc.enable()
    return {key: np.array(blocks) for key, blocks in times.items()}


def _summary(times: dict[tuple[str, int], Blocks], spec: Spec) -> dict[str, Any]:
    rounds = len(times[spec.control, 0])
    draws = np.random.default_rng(spec.seed).integers(0, rounds, (RESAMPLES, rounds))
    twice = [times[spec.control, 0], times[spec.control, 1]]
    pooled = {name: times[name, 0] for name in spec.models} | {spec.control: np.hstack(twice)}
    medians = {name: _medians(blocks, draws) for name, blocks in pooled.items()}
    own_ratio = float(np.median(twice[1]) / np.median(twice[0]))
    own_ci95 = _ci95(_medians(twice[1], draws) / _medians(twice[0], draws))
    level = is_level(own_ratio, own_ci95)
    models = {}
    for name, blocks in pooled.items():
        p50, p90, p99 = (float(q) for q in np.percentile(blocks, (50, 90, 99)))
        models[name] = {
            "p50_us": p50,
            "p90_us": p90,
            "p99_us": p99,
            "p50_ci95": _ci95(medians[name]),
            "n": blocks.size,
            "ratio": float(np.median(blocks) / np.median(pooled[spec.control])) if level else None,
            "ratio_ci95": _ci95(medians[name] / medians[spec.control]) if level else None,
        }
    return {
        "models": models,
        "control": spec.control,
        "level": level,
        "control_ratio": own_ratio,
        "control_ratio_ci95": own_ci95,
    }


def _medians(blocks: Blocks, draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """Medians over resampled rounds: `draws` is `(RESAMPLES, rounds)`, the same for all models."""
    return np.array([np.median(blocks[rounds]) for rounds in draws])


def _ci95(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


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
