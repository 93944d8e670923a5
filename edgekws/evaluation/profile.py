"""Where a model spends its time, and which of two is faster: measured interleaved on this host."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from edgekws.core.clean_process import run_in_clean_process
from edgekws.core.environment import core_count, library_versions
from edgekws.core.events import Emit, Event
from edgekws.core.scratch import scratch_folder
from edgekws.engine.measure import count
from edgekws.errors import UnsupportedError, UsageError
from edgekws.evaluation.models import counting_notes, read_model
from edgekws.evaluation.profile_subjects import Subject, subjects
from edgekws.evaluation.profiled import (
    How,
    Node,
    Operators,
    Profile,
    Ratio,
    Timing,
    Weight,
    What,
    judged,
)
from edgekws.runtime import latency, operator_times
from edgekws.targets import c_host, host

Target = host.Target | c_host.Target
TARGETS: dict[str, type[Target]] = {"host": host.Target, "c_host": c_host.Target}

OPERATOR_RUNS = 500
_JSON = TypeAdapter(dict[str, Any])


def profile(paths: Sequence[Path], target: Target, emit: Emit) -> Profile:
    """Profile models, bundles or a run, all interleaved in the same processes.

    On `c_host`, what has a form in C is also timed compiled.

    Raises:
        UsageError: no path, or a run together with other paths.
        DataError: no model there.
        MissingPartError: the target needs a C compiler, and there is none.
        MachineError: the harness failed; the message contains the end of its output.
    """
    if not paths:
        raise UsageError("profile needs a model, a bundle or a run")
    load = os.getloadavg()[0]
    if load >= core_count():
        emit(
            Event("warning", f"load {load:.1f}: other programs are running and widen the intervals")
        )
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder("floor"))
        profiled = subjects(paths, stack)
        entries = _entries(profiled, _floor(folder))
        if isinstance(target, c_host.Target):
            entries |= _compiled(entries, target, folder, emit)
        emit(Event("note", f"measuring {len(entries)} entries for {target.seconds:g} s …"))
        latencies = _harness(entries, _key(0, "network", "session.run"), target)
        timings = [_timing(latencies, key, profiled) for key in entries]
        emit(Event("note", "profiling operators …"))
        operator_reports = [_operators(subject, target, timings) for subject in profiled]
        weights = [
            _weight(subject, report, emit)
            for subject, (_, report) in zip(profiled, operator_reports, strict=True)
        ]
    return Profile(
        subjects=tuple(subject.name for subject in profiled),
        timings=tuple(timings),
        operators=tuple(operators for report, _ in operator_reports for operators in report),
        weights=tuple(weights),
        ratios=tuple(_ratios(profiled, timings)) if latencies["level"] else (),
        control=profiled[0].name,
        level=latencies["level"],
        control_ratio=latencies["control_ratio"],
        control_ratio_ci95=tuple(latencies["control_ratio_ci95"]),
        processes=latencies["processes"],
        attempts=latencies["attempts"],
        settings=target.model_dump(mode="json"),
        fingerprint=target.fingerprint() | {"load": load, "versions": library_versions()},
    )


def _key(subject: int, what: What, how: How) -> str:
    return f"{subject}|{what}|{how}"


def _entries(profiled: Sequence[Subject], floor: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of every entry: those of each subject, and the floor."""
    entries: dict[str, tuple[Path, ...]] = {}
    for i, subject in enumerate(profiled):
        entries[_key(i, "network", "session.run")] = (subject.model,)
        entries[_key(i, "network", "I/O binding")] = (subject.model,)
        if subject.front_end is not None:
            entries[_key(i, "front end", "session.run")] = (subject.front_end,)
            entries[_key(i, "audio → label", "session.run")] = (subject.front_end, subject.model)
    entries[_key(-1, "floor", "session.run")] = (floor,)
    entries[_key(-1, "floor", "I/O binding")] = (floor,)
    return entries


def _compiled(
    entries: Mapping[str, tuple[Path, ...]], target: c_host.Target, folder: Path, emit: Emit
) -> dict[str, tuple[Path, ...]]:
    """Return entries for what has a form in C, and emit a note on what has none."""
    plain = {key: entries[key] for key in entries if key.endswith("|session.run")}
    del plain[_key(-1, "floor", "session.run")]
    compiled = {}
    for key, (files, form) in target.compiled(plain, folder).items():
        if files == plain[key]:
            emit(Event("note", f"{files[-1]}: {form}"))
        else:
            compiled[key.replace("session.run", "C")] = files
    return compiled


def _floor(folder: Path) -> Path:
    """Write a graph with a single trivial node."""
    import onnx
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, str(folder / "floor.onnx"))
    return folder / "floor.onnx"


def _harness(
    entries: Mapping[str, tuple[Path, ...]], control: str, target: Target
) -> dict[str, Any]:
    spec = {
        "models": {key: [str(p.resolve()) for p in paths] for key, paths in entries.items()},
        "control": control,
        "bound": [key for key in entries if key.endswith("I/O binding")],
        **target.harness_settings(),
    }
    limit_s = 300 + 6 * target.seconds * (1 + len(entries))
    output = run_in_clean_process(Path(latency.__file__), spec, limit_s)
    return _JSON.validate_json(output)


def _timing(latencies: Mapping[str, Any], key: str, profiled: Sequence[Subject]) -> Timing:
    index, what, how = key.split("|")
    subject = profiled[int(index)].name if int(index) >= 0 else "floor"
    values = {name: latencies["models"][key][name] for name in _MEASURED}
    timing: dict[str, Any] = {"subject": subject, "what": what, "how": how}
    timing |= {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Timing(**timing)


_MEASURED = [field.name for field in fields(Timing)][3:]


def _median(timings: Sequence[Timing], subject: str, what: What) -> float:
    return next(
        t.p50_us for t in timings if (t.subject, t.what, t.how) == (subject, what, "session.run")
    )


def _operators(
    subject: Subject, target: Target, timings: Sequence[Timing]
) -> tuple[list[Operators], dict[str, Any]]:
    """Return the operators of network and front end, and the profiler's report on the network."""
    call_us = _median(timings, "floor", "floor")
    files: dict[What, Path] = {"network": subject.model}
    if subject.front_end is not None:
        files["front end"] = subject.front_end
    rows, reports = [], {}
    for what, file in files.items():
        spec = {"model": str(file.resolve()), "threads": target.threads, "runs": OPERATOR_RUNS}
        spec |= {"warmup": target.warmup, "seed": target.seed}
        reports[what] = _JSON.validate_json(
            run_in_clean_process(Path(operator_times.__file__), spec, 300 + 10 * target.seconds)
        )
        median = _median(timings, subject.name, what)
        rows.append(operators(subject.name, what, reports[what], median, call_us))
    return rows, reports["network"]


def operators(
    subject: str, what: What, report: Mapping[str, Any], p50_us: float, call_us: float
) -> Operators:
    """Return the times of the nodes, scaled to sum to the median minus the call.

    The profiler's overhead is assumed to be the same for every node, and is subtracted.
    """
    raw = np.array([node["us"] for node in report["nodes"]])
    inside = max(p50_us - call_us, 0.0)
    profiler_us = max((raw.sum() - inside) / max(len(raw), 1), 0.0)
    net = np.clip(raw - profiler_us, 0.0, None)
    net *= inside / net.sum() if net.sum() else 0.0
    nodes = tuple(
        Node(node["name"], node["op"], float(us), float(us / p50_us))
        for node, us in zip(report["nodes"], net, strict=True)
    )
    return Operators(subject, what, min(call_us, p50_us), float(profiler_us), report["runs"], nodes)


def _weight(subject: Subject, report: Mapping[str, Any], emit: Emit) -> Weight:
    """Return the counts of a network; warn if it cannot be counted."""
    model, contract = read_model(subject.model)
    window_s = contract.front_end.window_s if contract else 1.0
    try:
        for note in counting_notes(subject.name, model, contract):
            emit(Event("warning", note))
        measurements = count(subject.model, window_s)
    except UnsupportedError as error:
        emit(Event("warning", f"{subject.name} cannot be counted: {error}"))
        measurements = ()
    return Weight(subject.name, measurements, report["session_kib"], report["runs_kib"])


def _ratios(profiled: Sequence[Subject], timings: Sequence[Timing]) -> list[Ratio]:
    """Return the ratio of every other subject to the first, network and end to end."""
    ratios = []
    whats: tuple[What, ...] = ("network", "front end", "audio → label")
    for subject in profiled[1:]:
        for what in whats:
            reference = _processes(timings, profiled[0].name, what)
            times = _processes(timings, subject.name, what)
            if reference is not None and times is not None:
                ratio, ci95 = latency.paired_ratio(reference, times)
                verdict = judged(ci95)
                ratios.append(Ratio(subject.name, profiled[0].name, what, ratio, ci95, verdict))
    return ratios


def _processes(timings: Sequence[Timing], subject: str, what: What) -> NDArray[np.float64] | None:
    for timing in timings:
        if (timing.subject, timing.what, timing.how) == (subject, what, "session.run"):
            return np.array(timing.process_us)
    return None
