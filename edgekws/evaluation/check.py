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
    Budget,
    Measurement,
    Verdict,
)
from edgekws.core.protocols import TARGET
from edgekws.engine.chance import warn_of_chance
from edgekws.engine.data import Source
from edgekws.engine.listening import judge
from edgekws.engine.measure import alone, count
from edgekws.engine.whole import time_whole, whole_counts, whole_latencies
from edgekws.evaluation.models import counting_notes, model_file, model_logits, read_model
from edgekws.recipe.load import Loaded


def check(
    path: Path, budget: Budget, emit: Emit, loaded: Loaded | None = None, *, fresh: bool = False
) -> tuple[tuple[Measurement, ...], tuple[Verdict, ...]]:
    """Measure what the budget asks of a model or a bundle, and judge it.

    A bundle is measured with its front end, which a model alone has not. A latency that this host
    has measured before comes from the cache, and a note says from when; `fresh` measures again.
    Accuracies need the recipe's data (its dev split), and what is measured in continuous speech
    needs a bundle as well; a metric that cannot be measured fails.

    Raises:
        DataError: no model there, weights missing beside it, or a damaged bundle.
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
    found = list(count(file, window_s))
    asked = {limit.metric for limit in budget.limits}
    target = loaded.recipe.target if loaded else TARGET.validate_python({"kind": "host"})
    if any(metric.startswith("latency") for metric in asked):
        timed = alone(file, target, cache_folder(), emit, fresh=fresh)
        _tell("latency", timed, emit)
        found += [m for m in timed.measurements("model") if m.metric != "latency_ratio"]
    if path.is_dir():
        found += whole_counts(path, found, window_s)
        if any("latency" in metric for metric in asked):
            whole = time_whole(path, target, cache_folder(), emit, fresh=fresh)
            _tell("latency with front end", whole, emit)
            found += whole_latencies(whole)
    elif missing := sorted(asked.intersection(BUNDLE_METRICS)):
        emit(Event("warning", _alone(file, missing)))
    if "latency_ratio" in asked:
        emit(Event("warning", "latency_ratio needs the control of a run; compress judges it"))
    if loaded and asked.intersection(ACCURACIES):
        found += _accuracy(file, loaded, emit)
    elif asked.intersection(ACCURACIES):
        emit(Event("warning", "accuracy needs data; name the recipe with --recipe"))
    if loaded and path.is_dir() and asked.intersection(CONTINUOUS):
        source = Source(loaded.recipe, cache_folder(), emit)
        found += judge(path, RUNTIME, "dev", source, cache_folder(), emit)[0]
    elif missing := sorted(asked.intersection(CONTINUOUS)):
        text = f"{', '.join(missing)}: measured of a bundle, on the data of its recipe"
        emit(Event("warning", f"{text}; name its folder, and the recipe with --recipe"))
    return tuple(found), budget.check(found)


def _tell(what: str, timed: LatencyRun, emit: Emit) -> None:
    """Say what is to be known of a latency beside its figures."""
    for line in timed.conditions("model"):
        again = "; --fresh measures again" if line.endswith("from the cache") else ""
        emit(Event("note", f"{what}: {line}{again}"))


def _alone(file: Path, missing: Iterable[str]) -> str:
    return (
        f"{file} is a network alone, so these cannot be measured: {', '.join(missing)}; "
        "name the folder of its bundle"
    )


def _accuracy(file: Path, loaded: Loaded, emit: Emit) -> tuple[Measurement, ...]:
    from edgekws.metrics.accuracy import accuracy

    data = Source(loaded.recipe, cache_folder(), emit).features
    dev = data.examples("dev")
    found: tuple[Measurement, ...] = accuracy(model_logits(file, data, dev), dev, data.labels)
    warn_of_chance(str(file), found, len(data.labels), emit)
    return found
