"""Plan a recipe: sizes and latencies with random weights, without data or training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edgekws.core import figures
from edgekws.core.canonical import sha256_of
from edgekws.core.environment import cache_folder, library_versions
from edgekws.core.events import Emit
from edgekws.core.measurement import (
    BUNDLE_METRICS,
    FOOTPRINT_METRICS,
    WHOLE,
    Measurement,
    Verdict,
)
from edgekws.core.protocols import Target
from edgekws.core.source_code import closure, modules_of
from edgekws.core.store import build_folder, used_by
from edgekws.datasets.synthesis.spoken_sentences import SpokenSentences
from edgekws.engine.final import UNTESTED
from edgekws.engine.untrained import PlanRow, Weighed, weigh
from edgekws.errors import DataError, MissingPartError
from edgekws.metrics.intervals import care
from edgekws.recipe.load import Loaded
from edgekws.recipe.model import Recipe, limits


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


COUNTED = ("params", *WHOLE["MACs/s"], *WHOLE["size"], *FOOTPRINT_METRICS)
"""Metrics counted independently of the weights; all others are measured or estimated."""

_ROOM = 0.1
"""Sizes and instructions of the quantized network are estimates: within this share of their limit
there is no verdict."""

_ESTIMATED = "flash, RAM and instructions are estimates: those of random weights, on noise"

_WEIGHED = TypeAdapter(Weighed)
_MODULES = {"edgekws.engine.plan", "edgekws.quantizers.onnxruntime"}


def plan(loaded: Loaded, emit: Emit) -> Plan:
    """Build every network of the recipe with random weights, lower it and measure it.

    The quantized model is estimated with onnxruntime's quantizer on random features: the size and
    the latency of a network do not depend on its weights. Cached, except for the verdicts.
    """
    recipe = loaded.recipe
    host, unreached = _host(recipe.target)
    counted = recipe.target.has_footprint and host is not None
    weighed = _weighed(recipe, host, emit, counted=counted)
    metrics = {m.metric for m in weighed.bundle}
    verdicts = tuple(v for v in recipe.limits.check(weighed.bundle) if v.limit.metric in metrics)
    unknown = sorted({limit.key for limit in recipe.limits.limits if limit.metric not in metrics})
    notes = (
        *loaded.notes,
        *_teachers_on_audio(recipe),
        *(() if recipe.listens else (UNTESTED,)),
        *_few_speakers(recipe, emit),
        *_spoken(recipe),
        *unreached,
        *((f"latency estimated {weighed.measured_at}",) if weighed.measured_at else ()),
        *((weighed.uncounted or _ESTIMATED,) if counted else ()),
        *_doubtful(loaded, verdicts),
        *((f"known only after the run: {', '.join(unknown)}",) if unknown else ()),
    )
    return Plan(weighed.rows, verdicts, notes, weighed.bundle, _broken(loaded, weighed))


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
    weighed = _weighed(recipe, None, emit, counted=counted)
    return (*((weighed.uncounted,) if weighed.uncounted else ()), *_broken(loaded, weighed))


def _weighed(recipe: Recipe, host: dict[str, Any] | None, emit: Emit, *, counted: bool) -> Weighed:
    """Return the figures that need no training, from the cache if possible.

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
    cache = cache_folder()

    def build(folder: Path) -> None:
        weighed = weigh(recipe, target, cache, emit, counted=counted)
        (folder / "plan.json").write_bytes(_WEIGHED.dump_json(weighed))

    with used_by(recipe.name, cache):
        folder = build_folder(cache / "plans" / sha256_of(key), build, emit)
    return _WEIGHED.validate_json((folder / "plan.json").read_bytes())


def _broken(loaded: Loaded, weighed: Weighed) -> tuple[str, ...]:
    """Return a line for every limit of the recipe or a step that is certain to be exceeded."""
    recipe = loaded.recipe
    verdicts = [
        (loaded.where("budget", v.limit.key), v, _subject(v))
        for v in recipe.limits.check(weighed.bundle)
    ]
    rows = {row.name: row for row in weighed.rows}
    for n, step in enumerate(recipe.steps):
        if (row := rows.get(step.name)) is None:
            continue
        counted = [Measurement(m, getattr(row, m)) for m in ("params", "macs", "size_kib")]
        verdicts += [
            (loaded.where("steps", n, "budget", v.limit.key), v, f'"{step.name}"')
            for v in limits(step.budget).check(counted)
        ]
    return tuple(f"{where}: {_describe(v, what)}" for where, v, what in verdicts if _certain(v))


def _doubtful(loaded: Loaded, verdicts: tuple[Verdict, ...]) -> tuple[str, ...]:
    """Return a line for every limit that estimates exceed."""
    return tuple(
        f"{loaded.where('budget', v.limit.key)}: {_describe(v, _subject(v), 'may not be met')}"
        " (estimated)"
        for v in verdicts
        if not v.ok and not _certain(v)
    )


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


def _teachers_on_audio(recipe: Recipe) -> tuple[str, ...]:
    return tuple(
        f"{step.name}: a teacher that takes audio; measured in the run"
        for step in recipe.steps
        if step.gives == "audio_teacher"
    )


def _few_speakers(recipe: Recipe, emit: Emit) -> tuple[str, ...]:
    """Return notes on held-out splits of recordings on this disk with too few speakers."""
    if not any(hasattr(recipe.dataset, key) for key in ("root", "path")):
        return ()  # the run generates its clips
    try:
        front_end = recipe.front_end.front_end()
        words = recipe.dataset
        if _spoken(recipe):  # a plan speaks nothing
            words = words.model_copy(update={"spoken": None})
        clips = words.list_clips(front_end, recipe.seed, cache_folder(), emit).clips
    except DataError:  # a plan needs no data; compress reports what is wrong with it
        return ()
    counts = {s: len({c.speaker for c in clips if c.split == s} - {None}) for s in ("dev", "test")}
    return tuple(f"{split}: {care(count)}" for split, count in counts.items() if care(count))


def _spoken(recipe: Recipe) -> tuple[str, ...]:
    """Return a note on the sentences that the run synthesises for recordings of words."""
    spoken: SpokenSentences | None = getattr(recipe.dataset, "spoken", None)
    return (spoken.describe(),) if spoken else ()


def _host(target: Target) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the target's fingerprint, or the reason for its absence: latencies are optional."""
    try:
        return target.fingerprint(), ()
    except MissingPartError as error:
        return None, (f"latency is not estimated: {error}",)
