"""Plan a recipe: sizes and latencies with random weights, without data or training."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from edgekws.core import figures
from edgekws.core.canonical import sha256_of
from edgekws.core.contract import BESIDE, Contract, Normalization
from edgekws.core.environment import cache_folder, library_versions
from edgekws.core.events import Emit, progress
from edgekws.core.latency_run import Files
from edgekws.core.measurement import (
    BUNDLE_METRICS,
    FOOTPRINT_METRICS,
    WHOLE,
    Measurement,
    Verdict,
)
from edgekws.core.protocols import QUANTIZER, Backbone, Step, Target
from edgekws.core.scratch import scratch_folder
from edgekws.core.source_code import closure, modules_of
from edgekws.core.store import build_folder, used_by
from edgekws.engine.final import UNTESTED
from edgekws.engine.measure import count, now
from edgekws.engine.whole import FRONT_END, as_whole, whole_counts
from edgekws.errors import DataError, MissingPartError, UnsupportedError
from edgekws.metrics.intervals import care
from edgekws.recipe.load import Loaded
from edgekws.recipe.model import Recipe, limits

if TYPE_CHECKING:
    import onnx
    from torch import nn


@dataclass(frozen=True)
class PlanRow:
    """The figures of one step; those unknown before training are `None`."""

    name: str
    kind: str
    params: float
    macs: float
    size_kib: float
    latency_p50_us: float | None
    note: str


@dataclass(frozen=True)
class Plan:
    """The rows, the known figures of the bundle, and the verdicts that need no training.

    Steps that only produce settings, or a teacher on audio, have no row. `bundle_size_kib` excludes
    the names of the calibration clips, which the manifest will contain. `broken` has a line for
    every limit that no training can meet.
    """

    rows: tuple[PlanRow, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    bundle: tuple[Measurement, ...] = ()
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Known:
    """A plan as cached: the rows, and the known figures of the bundle."""

    rows: tuple[PlanRow, ...]
    bundle: tuple[Measurement, ...]
    measured_at: str = ""
    uncounted: str = ""


COUNTED = ("params", *WHOLE["MACs/s"], *WHOLE["size"], *FOOTPRINT_METRICS)
"""Metrics counted independently of the weights; all others are measured or estimated."""

_ROOM = 0.1
"""Sizes and instructions of the quantized network are estimates: within this share of their limit
there is no verdict."""

_ESTIMATED = "flash, RAM and instructions are estimates: those of random weights, on noise"

_KNOWN = TypeAdapter(_Known)
_MODULES = {"edgekws.engine.plan", "edgekws.quantizers.onnxruntime"}


def plan(loaded: Loaded, emit: Emit) -> Plan:
    """Build every network of the recipe with random weights, lower it and measure it.

    The quantized model is estimated with onnxruntime's quantizer on random features: the size and
    the latency of a network do not depend on its weights. Cached, except for the verdicts.
    """
    recipe = loaded.recipe
    host, unreached = _host(recipe.target)
    counted = recipe.target.has_footprint and host is not None
    known = _known(recipe, host, emit, counted=counted)
    metrics = {m.metric for m in known.bundle}
    verdicts = tuple(v for v in recipe.limits.check(known.bundle) if v.limit.metric in metrics)
    broken = _broken(loaded, known)
    doubtful = tuple(
        f"{loaded.where('budget', v.limit.key)}: {_describe(v, _subject(v), 'may not be met')}"
        " (estimated)"
        for v in verdicts
        if not v.ok and not _certain(v)
    )
    unknown = sorted({limit.key for limit in recipe.limits.limits if limit.metric not in metrics})
    later = (f"known only after the run: {', '.join(unknown)}",) if unknown else ()
    when = (f"latency estimated {known.measured_at}",) if known.measured_at else ()
    untested = () if recipe.listens else (UNTESTED,)
    few = _few_speakers(recipe, emit)
    teachers = tuple(
        f"{step.name}: a teacher that takes audio; measured in the run"
        for step in recipe.steps
        if step.gives == "audio_teacher"
    )
    footprint = (known.uncounted or _ESTIMATED,) if counted else ()
    notes = loaded.notes + teachers + untested + few + unreached
    notes += when + footprint + doubtful + later
    return Plan(known.rows, verdicts, notes, known.bundle, broken)


def cannot_be_met(loaded: Loaded, emit: Emit) -> tuple[str, ...]:
    """Return the counted limits that no training can meet, each with file, line and figure.

    Nothing is timed; without limits on counted metrics, nothing is built either.
    """
    recipe = loaded.recipe
    budgets = (recipe.limits, *(limits(step.budget) for step in recipe.steps))
    limited = {limit.metric for budget in budgets for limit in budget.limits}
    if not limited.intersection(COUNTED):
        return ()
    counted = recipe.target.has_footprint and bool(limited.intersection(FOOTPRINT_METRICS))
    known = _known(recipe, None, emit, counted=counted)
    return (*((known.uncounted,) if known.uncounted else ()), *_broken(loaded, known))


def _known(recipe: Recipe, host: dict[str, Any] | None, emit: Emit, *, counted: bool) -> _Known:
    """Return what is known without training, from the cache if possible.

    With the fingerprint of its `host`, latency is estimated on the target; if `counted`, so are
    flash, RAM and instructions.
    """
    target = recipe.target if host else None
    budgets: Any = {"budget": True, "name": True, "steps": {"__all__": {"budget"}}}
    key = {
        "recipe": recipe.model_dump(mode="json", exclude=budgets),
        "labels": recipe.dataset.labels(),
        "host": host,
        "counted": recipe.target.fingerprint() if counted else None,
        "versions": library_versions(),
        "source": closure(_MODULES | modules_of(recipe)),
    }

    def build(folder: Path) -> None:
        known = _weigh(recipe, target, emit, counted=counted)
        (folder / "plan.json").write_bytes(_KNOWN.dump_json(known))

    cache = cache_folder()
    with used_by(recipe.name, cache):
        folder = build_folder(cache / "plans" / sha256_of(key), build, emit)
    return _KNOWN.validate_json((folder / "plan.json").read_bytes())


def _broken(loaded: Loaded, known: _Known) -> tuple[str, ...]:
    """Return a line for every limit of the recipe or a step that is certain to be exceeded."""
    recipe = loaded.recipe
    verdicts = [
        (loaded.where("budget", v.limit.key), v, _subject(v))
        for v in recipe.limits.check(known.bundle)
    ]
    rows = {row.name: row for row in known.rows}
    for n, step in enumerate(recipe.steps):
        if (row := rows.get(step.name)) is None:
            continue
        counted = [Measurement(m, getattr(row, m)) for m in ("params", "macs", "size_kib")]
        verdicts += [
            (loaded.where("steps", n, "budget", v.limit.key), v, f'"{step.name}"')
            for v in limits(step.budget).check(counted)
        ]
    return tuple(f"{where}: {_describe(v, what)}" for where, v, what in verdicts if _certain(v))


def _certain(verdict: Verdict) -> bool:
    """Return whether training cannot change a failure: counts, and sizes well above the limit."""
    metric, margin = verdict.limit.metric, verdict.margin
    if verdict.ok or margin is None or metric not in COUNTED:
        return False
    estimated = metric.endswith("size_kib") or metric in FOOTPRINT_METRICS
    return not estimated or margin < -_ROOM


def _describe(verdict: Verdict, what: str, judged: str = "cannot be met") -> str:
    limit = verdict.limit
    figure = figures.figure(limit.metric, verdict.measured)
    value = f"{limit.value:_.15g}"
    return f"{limit.key} = {value} {judged}: {what} has {figure} ({figures.margin(verdict)})"


def _subject(verdict: Verdict) -> str:
    return "the bundle" if verdict.limit.metric in BUNDLE_METRICS else "the final model"


def _few_speakers(recipe: Recipe, emit: Emit) -> tuple[str, ...]:
    """Return notes on held-out splits of recordings on this disk with too few speakers."""
    if not any(hasattr(recipe.dataset, key) for key in ("root", "path")):
        return ()  # the run generates its clips
    try:
        front_end = recipe.front_end.front_end()
        clips = recipe.dataset.list_clips(front_end, recipe.seed, cache_folder(), emit).clips
    except DataError:  # a plan needs no data; compress reports what is wrong with it
        return ()
    counts = {s: len({c.speaker for c in clips if c.split == s} - {None}) for s in ("dev", "test")}
    return tuple(f"{split}: {care(count)}" for split, count in counts.items() if care(count))


def _host(target: Target) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the target's fingerprint, or the reason for its absence: latencies are optional."""
    try:
        return target.fingerprint(), ()
    except MissingPartError as error:
        return None, (f"latency is not estimated: {error}",)


def _weigh(recipe: Recipe, target: Target | None, emit: Emit, *, counted: bool) -> _Known:
    from edgekws.lowering import onnx_file

    with scratch_folder("plan") as scratch:
        models: dict[str, Path] = {}
        counts: dict[str, tuple[Measurement, ...]] = {}
        notes: dict[str, str] = {}
        for step, form, contract, note in _forms(recipe, emit):
            path = Path(scratch, f"{len(models)}.onnx")
            onnx_file.save(form, contract, path)
            models[step.name], notes[step.name] = path, note
            counts[step.name] = count(path, recipe.front_end.window_s)
        final = next(step.name for step in reversed(recipe.steps) if step.gives not in BESIDE)
        after = [models[step.name] for step in recipe.steps if step.gives == "stream"]
        bundle = Path(scratch, "bundle")
        _pack(bundle, recipe, models[final], contract, after[-1] if after else None)
        whole = whole_counts(bundle, counts[final], recipe.front_end.window_s)
        times: dict[str, float] = {}
        speed: tuple[Measurement, ...] = ()
        measured_at = ""
        if target is not None:
            progress(emit, "latency", 0, 1)
            times, speed = _speed(target, models, final, bundle / FRONT_END)
            measured_at = now()
        rows = tuple(
            _row(step, counts[step.name], times.get(step.name), notes[step.name])
            for step in recipe.steps
            if step.name in models
        )
        footprint, uncounted = _footprint(recipe.target, bundle, emit) if counted else ((), "")
        measurements = (*counts[final], *whole, *speed, *footprint)
        return _Known(rows, measurements, measured_at, uncounted)


def _footprint(target: Target, bundle: Path, emit: Emit) -> tuple[tuple[Measurement, ...], str]:
    """Return flash, RAM and instructions of a bundle, or the reason for their absence."""
    progress(emit, "flash, RAM and instructions", 0, 1)
    try:
        return target.footprint(bundle).measurements(), ""
    except UnsupportedError as error:
        return (), f"flash, RAM and instructions cannot be counted: {error}"


def _pack(
    bundle: Path, recipe: Recipe, model: Path, contract: Contract, stream: Path | None
) -> None:
    """Pack the parts of the bundle known before training."""
    import numpy as np

    from edgekws.bundle import pack

    bundle.mkdir()
    no_clips = np.zeros((0, contract.front_end.window_samples), np.int16)
    origin = {
        "recipe": recipe.name,
        "recipe_sha256": "0" * 64,
        "steps": [step.name for step in recipe.steps],
        "calibration_clips": [],
    }
    pack.pack(bundle, model, contract, no_clips, origin, stream)


def _speed(
    target: Target, models: dict[str, Path], final: str, front_end: Path
) -> tuple[dict[str, float], tuple[Measurement, ...]]:
    """Return the median of every step in µs, and the latencies of the bundle; all interleaved."""
    parts: dict[str, Files] = {
        "front end": front_end,
        "from audio": (front_end, models[final]),
    }
    timed = target.measure({**models, **parts}, final)
    times = {name: timed.models[name].p50_us for name in models if name in timed.models}
    network = tuple(m for m in timed.measurements(final) if m.metric != "latency_ratio")
    whole = as_whole(*(timed.measurements(name) for name in parts))
    return times, (*network, *whole)


def _row(
    step: Step, measurements: tuple[Measurement, ...], p50_us: float | None, note: str
) -> PlanRow:
    value = {m.metric: m.value for m in measurements}
    return PlanRow(
        step.name, step.kind, value["params"], value["macs"], value["size_kib"], p50_us, note
    )


def _forms(recipe: Recipe, emit: Emit) -> Iterator[tuple[Any, "onnx.ModelProto", Contract, str]]:
    """Yield each step with the ONNX form of its result, and a note on what is estimated."""
    from edgekws.lowering import export, stream

    network: nn.Module | None = None
    contract: Contract | None = None
    form: onnx.ModelProto | None = None
    for number, step in enumerate(recipe.steps):
        progress(emit, f"plan {step.name}", number, len(recipe.steps))
        if step.gives in ("detection", "audio_teacher"):
            continue
        note = ""
        if step.gives == "checkpoint":
            network, contract = _network(recipe, step, network, contract)
            form = export.export_lowered(network, contract)
        elif step.times_on_target:
            note = "as the step before gives it: the form is chosen by its latency, in the run"
        elif step.keeps == "quantized" and form is not None and contract is not None:
            form, note = _quantized(form, contract), "estimated with onnxruntime's quantizer"
        assert form is not None  # the chain begins with a step that trains a network
        assert contract is not None
        if step.gives == "stream":
            yield step, stream.streaming_form(form, contract), contract, "per hop"
            continue
        yield step, form, contract, note


def _network(
    recipe: Recipe, step: Step, before: "nn.Module | None", contract: "Contract | None"
) -> "tuple[nn.Module, Contract]":
    import torch

    from edgekws.lowering import checkpoint, to2d
    from edgekws.lowering.folding import folded

    torch.manual_seed(recipe.seed)
    backbone: Backbone | None = getattr(step, "backbone", None)
    if backbone is None:
        assert before is not None
        assert contract is not None
        return to2d.exact(before, contract) if step.kind == "to2d" else (before, contract)
    front_end, labels = recipe.front_end.front_end(), recipe.dataset.labels()
    shape: tuple[int, ...] = (front_end.n_mels, front_end.n_frames)
    if backbone.representation == "3d":
        shape = (1, *shape)
    # with as many digits as those of data: they are stored in every file
    statistics = Normalization((-1 / 3,) * front_end.n_mels, (4 / 3,) * front_end.n_mels)
    architecture = backbone.model_dump(mode="json")
    fresh = Contract(front_end, statistics, labels, shape, architecture)
    return folded(checkpoint.untrained(fresh), fresh)


def _quantized(form: "onnx.ModelProto", contract: Contract) -> "onnx.ModelProto":
    import numpy as np

    quantizer = QUANTIZER.validate_python({"kind": "onnxruntime"})
    noise = np.random.default_rng(0).standard_normal((8, *contract.input_shape))
    return quantizer.quantize(form, noise.astype(np.float32), quantizer.calibrations()[0])
