"""Time per operator and memory of one model, from onnxruntime's profiler.

    python operator_times.py --spec spec.json

prints JSON; the spec is the JSON of `Spec`. It needs numpy, onnxruntime and `latency.py` in the
same folder.

The profiler reports whole microseconds, and recording them takes about as long as a small operator.
A node's time is therefore the mean distance from its start to the start of the next node, in which
rounding cancels; the caller subtracts the cost of the profiler.
"""

import argparse
import importlib
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Events = Sequence[Mapping[str, Any]]

DISTURBED = 1.5
"""A run longer than this multiple of the median was interrupted and is not counted."""


@dataclass(frozen=True)
class Spec:
    """The model, and the number of runs under the profiler."""

    model: str
    threads: int = 1
    warmup: int = 20
    runs: int = 200
    seed: int = 0


def measure(spec: Spec) -> dict[str, Any]:
    """Return `nodes` (`name`, `op`, `us`), `run_us` under the profiler, and resident memory.

    `session_kib` is the memory added by loading the model, `runs_kib` by loading and running it.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    importlib.import_module("onnxruntime")  # so that its memory does not count as the model's
    harness = _load_sibling("latency")
    before = _resident_kib()
    session = harness.open_session(spec.model, spec.threads)
    loaded = _resident_kib()
    feed = harness.random_feed(session, spec.model, spec.seed)
    for _ in range(max(spec.warmup, 1)):
        session.run(None, feed)
    memory = {"session_kib": loaded - before, "runs_kib": _resident_kib() - before}
    with tempfile.TemporaryDirectory(prefix="edgekws-operators-") as folder:
        session = harness.open_session(spec.model, spec.threads, f"{folder}/profile")
        for _ in range(spec.warmup + spec.runs):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    return node_times(events, spec.warmup) | memory


def node_times(events: Events, warmup: int) -> dict[str, Any]:
    """Return mean times of the nodes and of the run from a profile, without the warm-up runs."""
    starts: dict[str, list[int]] = {}
    operators: dict[str, str] = {}
    nodes = [e for e in events if e["cat"] == "Node" and e["name"].endswith("_kernel_time")]
    ends = [e for e in events if e["name"] == "SequentialExecutor::Execute"]
    for event in nodes:
        name = event["name"].removesuffix("_kernel_time")
        operators[name] = event["args"]["op_name"]
        starts.setdefault(name, []).append(event["ts"])
    table = np.array([times[warmup:] for times in starts.values()], float)  # (nodes, runs)
    last = np.array([e["ts"] + e["dur"] for e in ends[warmup:]], float)
    runs = np.array([e["dur"] for e in events if e["name"] == "model_run"][warmup:], float)
    quiet = runs <= DISTURBED * np.median(runs)
    spans = np.diff(np.vstack([table, last]), axis=0)[:, quiet].mean(axis=1)
    rows = [
        {"name": name, "op": op, "us": float(us)}
        for (name, op), us in zip(operators.items(), spans, strict=True)
    ]
    return {"nodes": rows, "run_us": float(runs[quiet].mean()), "runs": int(quiet.sum())}


def _resident_kib() -> float:
    """Return the resident memory of this process without mapped files (onnxruntime's code).

    NaN if the system does not report it.
    """
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return math.nan
    return next((float(line.split()[1]) for line in lines if line.startswith("RssAnon")), math.nan)


def _load_sibling(name: str) -> ModuleType:
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the model of `--spec` and print JSON; return 1 on failure, 6 without onnxruntime."""
    parser = argparse.ArgumentParser(description="Operator times of one ONNX model, in JSON.")
    parser.add_argument("--spec", type=Path, required=True, help="JSON: model, threads, runs …")
    path = parser.parse_args(arguments).spec
    try:
        print(json.dumps(measure(Spec(**json.loads(path.read_text(encoding="utf-8"))))))
    except (OSError, TypeError, ValueError) as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        print(f"onnxruntime cannot be used: {error}", file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
