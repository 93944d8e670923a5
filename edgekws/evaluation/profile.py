"""Where the time of a model goes, and which of two is faster: measured interleaved on this host."""

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
from edgekws.targets.host import Target

OPERATOR_RUNS = 500
_JSON = TypeAdapter(dict[str, Any])


def profile(paths: Sequence[Path], target: Target, emit: Emit) -> Profile:
    """Profile models, bundles or a run, all interleaved in the same processes.

    Raises:
        UsageError: no path, or a run beside others.
        DataError: no model there.
        MachineError: the harness failed; the message holds its last words.
    """
    if not paths:
        raise UsageError("profile needs a model, a bundle or a run")
    load = os.getloadavg()[0]
    if load >= core_count():
        emit(Event("warning", f"load {load:.1f}: other programs run, and widen every interval"))
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder("floor"))
        named = subjects(paths, stack)
        entries = _entries(named, _floor(folder))
        emit(Event("note", f"measuring {len(entries)} entries for {target.seconds:g} s …"))
        told = _harness(entries, _key(0, "network", "session.run"), target)
        timings = [_timing(told, key, named) for key in entries]
        emit(Event("note", "profiling operators …"))
        inside = [_operators(one, target, timings) for one in named]
        weights = [_weight(one, made, emit) for one, (_, made) in zip(named, inside, strict=True)]
    return Profile(
        subjects=tuple(one.name for one in named),
        timings=tuple(timings),
        operators=tuple(operators for made, _ in inside for operators in made),
        weights=tuple(weights),
        ratios=tuple(_ratios(named, timings)) if told["level"] else (),
        control=named[0].name,
        level=told["level"],
        control_ratio=told["control_ratio"],
        control_ratio_ci95=tuple(told["control_ratio_ci95"]),
        processes=told["processes"],
        attempts=told["attempts"],
        settings=target.model_dump(mode="json"),
        fingerprint=latency.fingerprint(target.threads)
        | {"load": load, "versions": library_versions()},
    )


def _key(subject: int, what: What, how: How) -> str:
    return f"{subject}|{what}|{how}"


def _entries(named: Sequence[Subject], floor: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of every entry: what each subject has, and the floor."""
    found: dict[str, tuple[Path, ...]] = {}
    for i, one in enumerate(named):
        found[_key(i, "network", "session.run")] = (one.model,)
        found[_key(i, "network", "I/O binding")] = (one.model,)
        if one.front_end is not None:
            found[_key(i, "front end", "session.run")] = (one.front_end,)
            found[_key(i, "audio → label", "session.run")] = (one.front_end, one.model)
    found[_key(-1, "floor", "session.run")] = (floor,)
    found[_key(-1, "floor", "I/O binding")] = (floor,)
    return found


def _floor(folder: Path) -> Path:
    """Write a graph of one node that does next to nothing."""
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
        **target.model_dump(mode="json", exclude={"kind"}),
    }
    limit_s = 300 + 6 * target.seconds * (1 + len(entries))
    told = run_in_clean_process(Path(latency.__file__), spec, limit_s)
    return _JSON.validate_json(told)


def _timing(told: Mapping[str, Any], key: str, named: Sequence[Subject]) -> Timing:
    index, what, how = key.split("|")
    subject = named[int(index)].name if int(index) >= 0 else "floor"
    values = {name: told["models"][key][name] for name in _MEASURED}
    made: dict[str, Any] = {"subject": subject, "what": what, "how": how}
    made |= {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Timing(**made)


_MEASURED = [field.name for field in fields(Timing)][3:]


def _median(timings: Sequence[Timing], subject: str, what: What) -> float:
    return next(
        t.p50_us for t in timings if (t.subject, t.what, t.how) == (subject, what, "session.run")
    )


def _operators(
    one: Subject, target: Target, timings: Sequence[Timing]
) -> tuple[list[Operators], dict[str, Any]]:
    """Return the operators of network and front end, and what the profiler told of the network."""
    call_us = _median(timings, "floor", "floor")
    files: dict[What, Path] = {"network": one.model}
    if one.front_end is not None:
        files["front end"] = one.front_end
    made, told = [], {}
    for what, file in files.items():
        spec = {"model": str(file.resolve()), "threads": target.threads, "runs": OPERATOR_RUNS}
        spec |= {"warmup": target.warmup, "seed": target.seed}
        told[what] = _JSON.validate_json(
            run_in_clean_process(Path(operator_times.__file__), spec, 300 + 10 * target.seconds)
        )
        median = _median(timings, one.name, what)
        made.append(operators(one.name, what, told[what], median, call_us))
    return made, told["network"]


def operators(
    subject: str, what: What, told: Mapping[str, Any], p50_us: float, call_us: float
) -> Operators:
    """Return times of the nodes that sum to the median without the call.

    What the profiler adds is taken to be the same for every node, so that what is left of all of
    them is the time that they take without it.
    """
    raw = np.array([node["us"] for node in told["nodes"]])
    inside = max(p50_us - call_us, 0.0)
    profiler_us = max((raw.sum() - inside) / max(len(raw), 1), 0.0)
    net = np.clip(raw - profiler_us, 0.0, None)
    net *= inside / net.sum() if net.sum() else 0.0
    nodes = tuple(
        Node(node["name"], node["op"], float(us), float(us / p50_us))
        for node, us in zip(told["nodes"], net, strict=True)
    )
    return Operators(subject, what, min(call_us, p50_us), float(profiler_us), told["runs"], nodes)


def _weight(one: Subject, told: Mapping[str, Any], emit: Emit) -> Weight:
    """Return the counts of a network; a warning says where it cannot be counted."""
    model, contract = read_model(one.model)
    window_s = contract.front_end.window_s if contract else 1.0
    try:
        for note in counting_notes(one.name, model, contract):
            emit(Event("warning", note))
        found = count(one.model, window_s)
    except UnsupportedError as error:
        emit(Event("warning", f"{one.name} is not counted: {error}"))
        found = ()
    return Weight(one.name, found, told["session_kib"], told["runs_kib"])


def _ratios(named: Sequence[Subject], timings: Sequence[Timing]) -> list[Ratio]:
    """Return the ratio of every other subject to the first, network and end to end."""
    found = []
    whats: tuple[What, ...] = ("network", "front end", "audio → label")
    for one in named[1:]:
        for what in whats:
            theirs = _processes(timings, named[0].name, what)
            own = _processes(timings, one.name, what)
            if theirs is not None and own is not None:
                ratio, ci95 = latency.paired_ratio(theirs, own)
                verdict = judged(ci95)
                found.append(Ratio(one.name, named[0].name, what, ratio, ci95, verdict))
    return found


def _processes(timings: Sequence[Timing], subject: str, what: What) -> NDArray[np.float64] | None:
    for one in timings:
        if (one.subject, one.what, one.how) == (subject, what, "session.run"):
            return np.array(one.process_us)
    return None
