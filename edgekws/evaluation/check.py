"""Judge any ONNX file or bundle against a budget."""

from collections.abc import Iterable
from pathlib import Path

from edgekws.bundle.untrusted_models import try_model_file
from edgekws.bundle.verify import RUNTIME, verify
from edgekws.core.environment import cache_folder
from edgekws.core.events import Emit, Event
from edgekws.core.latency_run import LatencyRun
from edgekws.core.measurement import (
    ACCURACIES,
    BUNDLE_METRICS,
    CONTINUOUS,
    FOOTPRINT_METRICS,
    Budget,
    Measurement,
    Verdict,
)
from edgekws.core.protocols import TARGET, Target
from edgekws.engine.chance import warn_of_chance
from edgekws.engine.data import Source
from edgekws.engine.footprint import counted_footprint
from edgekws.engine.listening import judge
from edgekws.engine.measure import alone, count
from edgekws.engine.whole import time_whole, whole_counts, whole_latencies
from edgekws.evaluation.models import counting_notes, model_file, model_logits, read_model
from edgekws.recipe.load import Loaded


def check(
    path: Path, budget: Budget, emit: Emit, loaded: Loaded | None = None, *, fresh: bool = False
) -> tuple[tuple[Measurement, ...], tuple[Verdict, ...]]:
    """Measure a model or a bundle by the metrics of a budget, and judge it.

    A bundle is measured with its front end, which a model alone does not have. A latency measured
    earlier on this host comes from the cache, with a note of its date; `fresh` measures again.
    Accuracies need the recipe's data (its dev split), and metrics of continuous speech need a
    bundle as well; a metric that cannot be measured fails.

    Raises:
        DataError: there is no model, its weights are missing, or the bundle is damaged.
    """
    file = model_file(path)
    if path.is_dir():
        for note in verify(path).notes:
            emit(Event("warning", f"{path}: {note}"))
    model, contract = read_model(file)
    if not path.is_dir():
        try_model_file(file)
    window_s = contract.front_end.window_s if contract else 1.0
    for note in counting_notes(str(file), model, contract):
        emit(Event("warning", note))
    measurements = list(count(file, window_s))
    metrics = {limit.metric for limit in budget.limits}
    target = loaded.recipe.target if loaded else TARGET.validate_python({"kind": "host"})
    if any(metric.startswith("latency") for metric in metrics):
        timed = alone(file, target, cache_folder(), emit, fresh=fresh)
        _note_conditions("latency", timed, emit)
        measurements += [m for m in timed.measurements("model") if m.metric != "latency_ratio"]
    if path.is_dir():
        measurements += whole_counts(path, measurements, window_s)
        if any("latency" in metric for metric in metrics):
            whole = time_whole(path, target, cache_folder(), emit, fresh=fresh)
            _note_conditions("latency with front end", whole, emit)
            measurements += whole_latencies(whole)
        if metrics.intersection(FOOTPRINT_METRICS):
            measurements += _footprint(path, target, emit)
    elif missing := sorted(metrics.intersection(BUNDLE_METRICS)):
        emit(Event("warning", _needs_bundle(file, missing)))
    if "latency_ratio" in metrics:
        emit(Event("warning", "latency_ratio needs the control of a run; compress judges it"))
    if loaded and metrics.intersection(ACCURACIES):
        measurements += _accuracy(file, loaded, emit)
    elif metrics.intersection(ACCURACIES):
        emit(Event("warning", "accuracy needs data; name the recipe with --recipe"))
    if loaded and path.is_dir() and metrics.intersection(CONTINUOUS):
        source = Source(loaded.recipe, cache_folder(), emit)
        measurements += judge(path, RUNTIME, "dev", source, cache_folder(), emit)[0]
    elif missing := sorted(metrics.intersection(CONTINUOUS)):
        text = f"{', '.join(missing)}: measured of a bundle, on the data of its recipe"
        emit(Event("warning", f"{text}; name its folder, and the recipe with --recipe"))
    return tuple(measurements), budget.check(measurements)


def _footprint(bundle: Path, target: Target, emit: Emit) -> tuple[Measurement, ...]:
    if not target.has_footprint:
        text = f"{', '.join(FOOTPRINT_METRICS)}: counted on a target cortex_m"
        emit(Event("warning", f"{text}; name a recipe with that target by --recipe"))
        return ()
    return counted_footprint(bundle, target, cache_folder(), emit)


def _note_conditions(what: str, timed: LatencyRun, emit: Emit) -> None:
    """Emit notes on how a latency was measured."""
    for line in timed.conditions("model"):
        again = "; --fresh measures again" if line.endswith("from the cache") else ""
        emit(Event("note", f"{what}: {line}{again}"))


def _needs_bundle(file: Path, missing: Iterable[str]) -> str:
    return (
        f"{file} is a network alone, so these cannot be measured: {', '.join(missing)}; "
        "name the folder of its bundle"
    )


def _accuracy(file: Path, loaded: Loaded, emit: Emit) -> tuple[Measurement, ...]:
    from edgekws.metrics.accuracy import accuracy

    data = Source(loaded.recipe, cache_folder(), emit).features
    dev = data.examples("dev")
    accuracies: tuple[Measurement, ...] = accuracy(model_logits(file, data, dev), dev, data.labels)
    warn_of_chance(str(file), accuracies, len(data.labels), emit)
    return accuracies
