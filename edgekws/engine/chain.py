"""Run one step of the chain, or find that it has been run before."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import Artifact, Contract
from edgekws.core.details import Kinds
from edgekws.core.environment import core_count, device_kind, library_versions
from edgekws.core.events import Emit
from edgekws.core.job import STATES, Job
from edgekws.core.protocols import Step, Target
from edgekws.core.source_code import closure, modules_of
from edgekws.core.store import build_folder, discard
from edgekws.engine.data import Source
from edgekws.engine.listening import listen
from edgekws.recipe.model import Recipe

SCHEMA = 2
"""Of `result.json`; to be raised when its form changes."""


@dataclass(frozen=True)
class Done:
    """A step that has been run: its artifact, what it told, how long it took."""

    artifact: Artifact
    details: dict[str, Any]
    kinds: Kinds
    seconds: float
    cached: bool


@dataclass(frozen=True)
class Bench:
    """What all steps of a run share; `stop_after` is that of `core.job.Job`."""

    source: Source
    seed: int
    threads: int
    device: str
    cache: Path
    emit: Emit
    target: Target
    stop_after: int | None = None


def resolved(recipe: Recipe) -> Recipe:
    """Return the recipe with what this machine, the target and the budget decide filled in.

    These are the threads and the device of training, what the target's instruction set asks of the
    steps, and the false alarms for which thresholds are chosen. All of it changes the result; named
    in a recipe, it is the same on every machine.
    """
    host = recipe.target.fingerprint()
    isa = frozenset((host["machine"], *host["isa"]))
    changes = {
        "threads": recipe.threads or core_count(),
        "device": recipe.device or device_kind(),
        "steps": tuple(step.resolved(isa).for_budget(recipe.budget) for step in recipe.steps),
    }
    return recipe.model_copy(update=changes)


def bench(source: Source, recipe: Recipe, cache: Path, emit: Emit) -> Bench:
    """Return the bench of a recipe that is `resolved`."""
    assert recipe.threads is not None
    assert recipe.device is not None
    return Bench(source, recipe.seed, recipe.threads, recipe.device, cache, emit, recipe.target)


def step_key(step: Step, inputs: Mapping[str, Artifact], bench: Bench) -> str:
    """Return the identity of a step's result: everything that it can read, and nothing else.

    Its name and its budget change nothing in the result and stay out. The target and the host that
    it runs on are in the key of a step that chooses by latency, and of no other.
    """
    architectures = {a.contract.architecture["kind"] for a in inputs.values()}
    modules = modules_of(step) | {f"edgekws.backbones.{kind}" for kind in architectures}
    host = {}
    if step.times_on_target:
        modules |= {type(bench.target).__module__, "edgekws.runtime.latency"}
        host = {"host": bench.target.fingerprint()}
    if step.listens:
        modules |= {"edgekws.engine.listening"}
    return sha256_of(
        host
        | {
            "schema": SCHEMA,
            "kind": step.kind,
            "fields": step.model_dump(mode="json", exclude={"name", "budget", "seed"}),
            "inputs": {role: artifact.sha256 for role, artifact in inputs.items()},
            "data": bench.source.key,
            "seed": _seed(step, bench),
            "device": bench.device,
            "threads": bench.threads,
            "versions": library_versions(),
            "source": closure(modules),
        }
    )


def run_step(
    step: Step, inputs: Mapping[str, Artifact], bench: Bench, *, force: bool = False
) -> Done:
    """Return the step's result from the cache, or run it; a killed step goes on where it was.

    Raises:
        EdgekwsError: whatever the step raises; a failure is never cached.
    """
    target = bench.cache / "steps" / step_key(step, inputs, bench)
    if force:
        discard(target)
    cached = True

    def build(folder: Path) -> None:
        nonlocal cached
        cached = False
        _run(step, inputs, bench, folder)

    result = _result(build_folder(target, build, bench.emit, resumes=STATES))
    path = target / result["file"]
    contract = Contract.from_json(json.dumps(result["contract"]))
    artifact = Artifact(step.gives, path, result["sha256"], contract)
    return Done(artifact, result["details"], result["kinds"], result["seconds"], cached)


def _seed(step: Step, bench: Bench) -> int:
    """Return the seed of the step's draws: its own where it trains and names one."""
    own = getattr(step, "seed", None)
    return bench.seed if own is None else int(own)


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return result


def _run(step: Step, inputs: Mapping[str, Artifact], bench: Bench, folder: Path) -> None:
    from edgekws.lowering import checkpoint, onnx_file

    data = bench.source.features
    measure = bench.target.measure if step.times_on_target else None
    hear = partial(listen, "dev", bench.source, bench.cache, bench.emit)
    job = Job(
        data=data,
        seed=_seed(step, bench),
        device=bench.device,
        threads=bench.threads,
        workdir=folder,
        emit=bench.emit,
        measure=measure,
        stop_after=bench.stop_after,
        listen=hear if step.listens else None,
    )
    started = time.monotonic()
    output = step.run(inputs, job)
    seconds = time.monotonic() - started
    contract = inputs["input"].contract if step.gives == "detection" else None
    read = checkpoint.load if step.gives == "checkpoint" else onnx_file.load
    result = {
        "file": output.path.relative_to(folder).as_posix(),
        "sha256": sha256_file(output.path),
        "contract": json.loads((contract or read(output.path)[1]).to_json()),
        "details": output.details,
        "kinds": dict(output.kinds),
        "seconds": seconds,
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
