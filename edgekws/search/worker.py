"""Run one unit of work: train a trial's steps to a rung or to the end, and measure them."""

import ctypes
import json
import resource
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgekws.core.contract import Artifact
from edgekws.core.events import Emit
from edgekws.core.job import TrainingStopped
from edgekws.core.store import is_complete, used_by
from edgekws.engine.chain import RunContext, resolved, run_context, run_step, step_key
from edgekws.engine.chain_run import ChainRun
from edgekws.engine.data import Source
from edgekws.engine.measure import Measured
from edgekws.errors import EdgekwsError
from edgekws.search.chain import needed
from edgekws.search.shelf import in_use
from edgekws.search.table import table
from edgekws.search.trial import Unit, UnitResult, read_recipe


def work(unit: Unit, cache: Path, shelf: Path, emit: Emit) -> UnitResult:
    """Run a unit; earlier results come from the cache.

    `cache` is the common cache, `shelf` holds the features of this sweep. The error of a failed
    trial is in its outcome; unexpected errors are raised.
    """
    started = time.monotonic()
    trial = unit.trial
    name = read_recipe(trial.recipe).name
    with in_use(shelf / trial.features) as folder, used_by(name, cache):
        try:
            outcome = _work(unit, cache, folder, emit)
        # raised by torch and onnx if a network does not fit its input, or the memory
        except (EdgekwsError, RuntimeError, ValueError, MemoryError, OSError) as error:
            described = f"{type(error).__name__}: {error}"
            text = str(error) if isinstance(error, EdgekwsError) else described
            outcome = UnitResult(trial.key, error=text)
    _release_memory()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return replace(outcome, seconds=time.monotonic() - started, rss_mib=rss)


def _release_memory() -> None:
    """Return fragmented memory held by the C library to the system."""
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _work(unit: Unit, cache: Path, shelf: Path, emit: Emit) -> UnitResult:
    trial = unit.trial
    recipe = resolved(read_recipe(trial.recipe))
    source = Source(recipe, cache, emit, features_in=shelf)
    shared = run_context(source, recipe, cache, emit)
    chain = ChainRun(shared)
    scores: tuple[tuple[int, float], ...] = ()
    steps = needed(recipe.steps, trial.until)
    for step in steps:
        if step.name == trial.until and unit.epochs is not None:
            return UnitResult(trial.key, _train_to(step, chain.inputs(step), shared, unit))
        rows = chain.run(step).details.get("history", {}).get("epochs", [])
        scores = _scores(rows, trial.objective) or scores  # of the last step that trains
        if step.name in _lineage(steps):
            chain.measure(step)
    assert chain.measured is not None
    return UnitResult(trial.key, scores, _result(chain.measured, shared, trial.evaluate_on))


def _lineage(steps: list[Any]) -> set[str]:
    """Return the names of the last step and of its predecessors, up to one without input."""
    names: set[str] = set()
    for step in reversed(steps):
        names.add(step.name)
        if step.takes is None:
            break
    return names


def _train_to(
    step: Any, inputs: dict[str, Artifact], shared: RunContext, unit: Unit
) -> tuple[tuple[int, float], ...]:
    """Train up to a rung and stop; the state is kept for the next rung."""
    assert unit.epochs is not None
    folder = shared.cache / "steps" / step_key(step, inputs, shared)
    if not is_complete(folder):
        partial = folder.with_name(f"{folder.name}.partial")
        if len(_rows(partial)) < unit.epochs:
            with suppress(TrainingStopped):
                run_step(step, inputs, replace(shared, stop_after=unit.epochs))
        if not is_complete(folder):
            return _scores(_rows(partial), unit.trial.objective)
    done = run_step(step, inputs, shared)
    return _scores(done.details["history"]["epochs"], unit.trial.objective)


def _rows(folder: Path) -> list[dict[str, Any]]:
    """Return a row for every finished epoch of an unfinished training."""
    from safetensors import SafetensorError, safe_open

    from edgekws.training.state import NEWEST

    try:
        with safe_open(folder / NEWEST, framework="np") as file:
            training = json.loads((file.metadata() or {})["training"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return []
    rows: list[dict[str, Any]] = training["notes"]["rows"]
    return rows


def _scores(rows: list[dict[str, Any]], objective: str) -> tuple[tuple[int, float], ...]:
    return tuple((row["epoch"], row[f"dev_{objective}"]) for row in rows)


def _result(measured: Measured, shared: RunContext, evaluate_on: str) -> dict[str, Any]:
    """Return the measurements on dev, and the tables by speaker of every split used."""
    from edgekws.lowering import parity

    data = shared.source.features
    dev = data.examples("dev")
    tables = {"dev": table(np.load(measured.dev_logits), dev, data.labels)}
    if evaluate_on == "test":
        test = data.examples("test")
        logits = parity.logits(measured.model, test.features)
        tables["test"] = table(logits, test, data.labels)
    measurements = [asdict(m) for m in measured.measurements]
    return {"measurements": measurements, "tables": tables}
