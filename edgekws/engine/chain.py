"""Run one step of the chain, or read its result from the cache."""

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
from edgekws.quantizers.int8.isa import saturates_on
from edgekws.recipe.model import Recipe
from edgekws.runtime import latency

SCHEMA = 2
"""Version of `result.json`; increase it when the format changes."""


@dataclass(frozen=True)
class Done:
    """A finished step: its artifact, its details, and how long it took."""

    artifact: Artifact
    details: dict[str, Any]
    kinds: Kinds
    seconds: float
    cached: bool


@dataclass(frozen=True)
class RunContext:
    """What all steps of a run share; `stop_after` is as in `core.job.Job`."""

    source: Source
    seed: int
    threads: int
    device: str
    cache: Path
    emit: Emit
    target: Target
    stop_after: int | None = None


def resolved(recipe: Recipe) -> Recipe:
    """Return the recipe with defaults filled in from this machine, the target and the budget.

    These are the threads and the device of training, what the target's instruction set requires of
    the steps, and the rate of false alarms for which thresholds are chosen. All of them affect the
    result; set in a recipe, they are the same on every machine. Where sums saturate here, on the
    machine that measures accuracy, the steps take it into account for any target.
    """
    here = _instruction_set(latency.fingerprint(1))
    isa = here if saturates_on(here) else _instruction_set(recipe.target.fingerprint())
    changes = {
        "threads": recipe.threads or core_count(),
        "device": recipe.device or device_kind(),
        "steps": tuple(step.resolved(isa).for_budget(recipe.budget) for step in recipe.steps),
    }
    return recipe.model_copy(update=changes)


def _instruction_set(host: Mapping[str, Any]) -> frozenset[str]:
    return frozenset((host["machine"], *host["isa"]))


def run_context(source: Source, recipe: Recipe, cache: Path, emit: Emit) -> RunContext:
    """Return the context of a recipe that is `resolved`."""
    assert recipe.threads is not None
    assert recipe.device is not None
    return RunContext(
        source, recipe.seed, recipe.threads, recipe.device, cache, emit, recipe.target
    )


def step_key(step: Step, inputs: Mapping[str, Artifact], context: RunContext) -> str:
    """Return the identity of a step's result: everything that it can read, and nothing else.

    Its name and budget do not affect the result and are excluded. The target and its host are only
    in the key of a step that chooses by latency.
    """
    modules = modules_of(step).union(*(network_modules(a) for a in inputs.values()))
    host = {}
    if step.times_on_target:
        modules |= {type(context.target).__module__, "edgekws.runtime.latency"}
        host = {"host": context.target.fingerprint()}
    if step.listens:
        modules |= {"edgekws.engine.listening"}
    return sha256_of(
        host
        | {
            "schema": SCHEMA,
            "kind": step.kind,
            "fields": step.model_dump(mode="json", exclude={"name", "budget", "seed"}),
            "files": step.fingerprint(),
            "inputs": {role: artifact.sha256 for role, artifact in inputs.items()},
            "data": context.source.key,
            "seed": _seed(step, context),
            "device": context.device,
            "threads": context.threads,
            "versions": library_versions(),
            "source": closure(modules),
        }
    )


def network_modules(artifact: Artifact) -> set[str]:
    """Return the module that builds the network of an artifact, if it is one of the backbones."""
    if artifact.format == "audio_teacher":
        return set()
    return {f"edgekws.backbones.{artifact.contract.architecture['kind']}"}


def run_step(
    step: Step, inputs: Mapping[str, Artifact], context: RunContext, *, force: bool = False
) -> Done:
    """Return the step's result from the cache, or run it; an interrupted step is resumed.

    Raises:
        EdgekwsError: as raised by the step; a failure is never cached.
    """
    target = context.cache / "steps" / step_key(step, inputs, context)
    if force:
        discard(target)
    cached = True

    def build(folder: Path) -> None:
        nonlocal cached
        cached = False
        _run(step, inputs, context, folder)

    result = _result(build_folder(target, build, context.emit, resumes=STATES))
    path = target / result["file"]
    contract = Contract.from_json(json.dumps(result["contract"]))
    artifact = Artifact(step.gives, path, result["sha256"], contract)
    return Done(artifact, result["details"], result["kinds"], result["seconds"], cached)


def _seed(step: Step, context: RunContext) -> int:
    """Return the seed of the step: its own if it trains and sets one."""
    seed = getattr(step, "seed", None)
    return context.seed if seed is None else int(seed)


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
    return result


def _run(step: Step, inputs: Mapping[str, Artifact], context: RunContext, folder: Path) -> None:
    from edgekws.lowering import checkpoint, onnx_file

    data = context.source.features
    measure = context.target.measure if step.times_on_target else None
    hear = partial(listen, "dev", context.source, context.cache, context.emit)
    job = Job(
        data=data,
        seed=_seed(step, context),
        device=context.device,
        threads=context.threads,
        workdir=folder,
        emit=context.emit,
        measure=measure,
        stop_after=context.stop_after,
        listen=hear if step.listens else None,
        streams=partial(context.source.streams, "dev") if step.listens else None,
        audio=context.source.audio,
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
