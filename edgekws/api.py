"""The Python API, for notebooks and programs.

    >>> import edgekws
    >>> planned = edgekws.plan("quickstart")
    >>> planned.value.rows[-1].params < 10_000
    True

Paths are `str` or `Path`. A recipe is a file, the name of a built-in one, or a mapping with the
contents of a file: `{"extends": "base.toml", "seed": 1}`. `overrides` are strings such as
`"steps.distill.loss.temperature=2"`. Nothing is printed: `emit` receives progress events, which are
ignored by default. Results print the way the command line shows them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgekws.core.events import Emit, Event, quiet
from edgekws.core.measurement import Measurement, Verdict
from edgekws.errors import UsageError
from edgekws.report import results
from edgekws.report.shown import Result
from edgekws.spotting.spotter import Spotter, load

if TYPE_CHECKING:
    from edgekws.bundle.export import Exported
    from edgekws.core.corpus import Split
    from edgekws.core.fields import Fields
    from edgekws.core.protocols import Dataset
    from edgekws.core.report import Report
    from edgekws.core.verified import Verified
    from edgekws.engine.plan import Plan
    from edgekws.evaluation.compare import Comparison
    from edgekws.evaluation.evaluate import Evaluation
    from edgekws.evaluation.footprints import BundleFootprint
    from edgekws.evaluation.predict import Predicted
    from edgekws.evaluation.profiled import Profile

M = TypeVar("M", bound="Fields")
AnyPath = str | Path
AnyRecipe = AnyPath | Mapping[str, Any]
Judged = tuple[tuple[Measurement, ...], tuple[Verdict, ...]]

__all__ = [
    "Result",
    "Spotter",
    "adapt",
    "check",
    "compare",
    "compress",
    "evaluate",
    "export",
    "footprint",
    "load",
    "plan",
    "predict",
    "profile",
    "verify",
]


def compress(
    recipe: AnyRecipe,
    *,
    overrides: Sequence[str] = (),
    force: Sequence[str] = (),
    keep_going: bool = False,
    download: bool = False,
    runs: AnyPath = "runs",
    dist: AnyPath = "dist",
    emit: Emit = quiet,
) -> "Result[Report]":
    """Run the chain of a recipe; `ok` is whether the budget is met.

    A measured figure over budget raises nothing: the result contains the measurements, has `ok`
    False, and ends with the limits exceeded.

    The report goes to `runs`, as JSON and HTML, the bundle to `dist`. Finished steps come from the
    cache.

    Raises:
        RecipeError: the recipe is invalid.
        BudgetError: a limit cannot be met by any training; nothing was trained.
        EdgekwsError: a step failed; finished steps are kept.
    """
    from edgekws.engine import run
    from edgekws.recipe.load import load as read
    from edgekws.report.head import web_command
    from edgekws.report.html import write_html

    loaded = read(recipe, overrides)
    for note in loaded.notes:
        emit(Event("warning", note))
    if download:
        _download(loaded.recipe.dataset, emit)
    folders: list[Path] = []

    def note_folder(event: Event) -> None:
        if event.kind == "run":
            folders.append(Path(event.data["folder"]))
        emit(event)

    report = run.compress(
        loaded,
        runs=Path(runs),
        dist=Path(dist),
        force=force,
        keep_going=keep_going,
        emit=note_folder,
    )
    for folder in folders:
        write_html(report, folder / "report.html")
        emit(Event("note", f"report in {folder / 'report.html'}"))
    if command := web_command(report):
        emit(Event("note", f"try it with your own voice, in a browser: {command}"))
    return Result(report, results.report_result(report))


def adapt(
    recipe: AnyRecipe,
    recordings: AnyPath,
    output: AnyPath,
    *,
    room: AnyPath | None = None,
    overrides: Sequence[str] = (),
    keep_going: bool = False,
    runs: AnyPath = "runs",
    emit: Emit = quiet,
) -> "Result[Report]":
    """Tune the network of a recipe, or of a run's folder, to one person, and build a bundle.

    The chain of the recipe is run with a step `adapt`; earlier steps come from the cache.

    Raises:
        UsageError: the recipe trains no network or is adapted already, or `output` cannot name a
            recipe.
        EdgekwsError: as `compress`.
    """
    from edgekws.evaluation.models import run_folder
    from edgekws.recipe.adapted import adapted
    from edgekws.recipe.load import load as read

    run = None if isinstance(recipe, Mapping) else run_folder(Path(recipe))
    base = read(recipe if run is None else run / "recipe.lock.toml").recipe
    place = Path(output)
    tables = adapted(base, Path(recordings), Path(room) if room is not None else None, place)
    return compress(
        tables, overrides=overrides, keep_going=keep_going, runs=runs, dist=place.parent, emit=emit
    )


def plan(recipe: AnyRecipe, *, overrides: Sequence[str] = (), emit: Emit = quiet) -> "Result[Plan]":
    """Predict size, MACs and latency after every step, without data or training.

    `ok` is False if a limit on parameters, MACs or size cannot be met.

    Raises:
        RecipeError: the recipe is invalid.
    """
    from edgekws.engine import plan as engine
    from edgekws.recipe.load import load as read

    planned = engine.plan(read(recipe, overrides), emit)
    return Result(planned, results.plan_result(planned))


def check(
    model: AnyPath,
    *,
    budget: AnyPath | None = None,
    recipe: AnyRecipe | None = None,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    emit: Emit = quiet,
) -> Result[Judged]:
    """Measure any ONNX file or bundle, and judge it by a budget file or a recipe's budget.

    `ok` is False if a limit is exceeded or its metric was not measured.

    Raises:
        UsageError: neither `budget` nor `recipe` is given.
        DataError: the model is missing, or the bundle is damaged.
    """
    from edgekws.evaluation import check as engine
    from edgekws.recipe.load import load as read
    from edgekws.recipe.load import load_budget

    loaded = read(recipe, overrides) if recipe is not None else None
    if budget is not None:
        limits = load_budget(Path(budget))
    elif loaded is not None:
        limits = loaded.recipe.limits
    else:
        raise UsageError("check needs a budget, a recipe, or both")
    judged = engine.check(Path(model), limits, emit, loaded, fresh=fresh)
    return Result(judged, results.check_result(*judged))


def evaluate(
    *models: AnyPath,
    recipe: AnyRecipe | None = None,
    recordings: AnyPath | None = None,
    overrides: Sequence[str] = (),
    split: "Split" = "dev",
    emit: Emit = quiet,
) -> "Result[list[Evaluation]]":
    """Evaluate models class by class: on one split of a recipe's data, or on a recorded folder.

    Raises:
        UsageError: no model is given, or not exactly one of `recipe` and `recordings`.
        DataError: a model is missing, or has other labels.
    """
    from edgekws.evaluation import evaluate as engine
    from edgekws.recipe.load import load as read

    if not models:
        raise UsageError("evaluate needs a model")
    paths = [Path(m) for m in models]
    if recipe is not None and recordings is None:
        evaluations = engine.evaluate(paths, read(recipe, overrides), split, emit)
    elif recordings is not None and recipe is None:
        evaluations = engine.evaluate_recordings(paths, Path(recordings), emit)
    else:
        raise UsageError("evaluate needs a recipe, which names the data, or recordings")
    return Result(evaluations, results.evaluation_result(evaluations))


def compare(
    *systems: AnyPath,
    recipe: AnyRecipe,
    overrides: Sequence[str] = (),
    split: "Split" = "dev",
    points: float | None = None,
    emit: Emit = quiet,
) -> "Result[Comparison]":
    """Compare two or more models on the same clips of a recipe's data.

    A system is a path, `"a.onnx,b.onnx"` for several seeds, or `"name=a.onnx,b.onnx"`.

    Raises:
        UsageError: fewer than two systems, or `points` out of range.
        DataError: as `evaluate`.
    """
    from edgekws.evaluation import compare as engine
    from edgekws.recipe.load import load as read

    engine.check_points(points)
    share = points / 100 if points is not None else None
    names = [str(system) for system in systems]
    comparison = engine.compare(names, read(recipe, overrides), split, emit, share)
    return Result(comparison, results.comparison_result(comparison))


def profile(
    *models: AnyPath,
    target: str = "host",
    seconds: float = 10.0,
    threads: int = 1,
    affinity: Sequence[int] | None = None,
    warmup: int = 20,
    seed: int = 0,
    emit: Emit = quiet,
) -> "Result[Profile]":
    """Time models, bundles or the steps of a run, interleaved, and show where the time goes.

    With the target `c_host`, they are also timed as compiled C.

    Raises:
        UsageError: no model is given, or an option is out of range.
        DataError: a model is missing.
        MachineError: the benchmark process failed.
    """
    from edgekws.evaluation import profile as engine

    if target not in engine.TARGETS:
        raise UsageError(f"target {target}: profile supports {' and '.join(engine.TARGETS)}")
    fields = {"seconds": seconds, "threads": threads, "warmup": warmup, "seed": seed}
    chosen = _validated(engine.TARGETS[target], {**fields, "affinity": affinity})
    measured = engine.profile([Path(model) for model in models], chosen, emit)
    return Result(measured, results.profile_result(measured))


def footprint(
    *bundles: AnyPath,
    cpu: str = "cortex-m4",
    clock_mhz: float = 100.0,
    optimization: str = "2",
    emit: Emit = quiet,
) -> "Result[tuple[BundleFootprint, ...]]":
    """Count flash, RAM and instructions of bundles on an emulated Cortex-M.

    Raises:
        UsageError: no bundle is given, or an option is invalid.
        DataError: a bundle is missing or damaged.
        UnsupportedError: a bundle has no form in C.
        MissingPartError: gcc-arm-none-eabi or qemu-system-arm is not installed.
    """
    from edgekws.evaluation import footprints as engine
    from edgekws.targets import cortex_m

    fields = {"cpu": cpu, "clock_mhz": clock_mhz, "optimization": optimization}
    target = _validated(cortex_m.Target, fields)
    counted = engine.footprints([Path(bundle) for bundle in bundles], target, emit)
    return Result(counted, results.footprint_result(counted))


def predict(
    bundle: AnyPath, source: AnyPath, output: AnyPath, *, top_k: int = 1, emit: Emit = quiet
) -> "Result[Predicted]":
    """Label audio, a folder or a table: write a table of file, label and score.

    Raises:
        DataError: the bundle or the audio is missing, or no file can be read.
        UsageError: `top_k` exceeds the number of labels.
    """
    from edgekws.evaluation import predict as engine

    predicted = engine.predict(Path(bundle), Path(source), Path(output), emit, top_k)
    return Result(predicted, results.predicted_result(predicted, Path(output)))


def verify(bundle: AnyPath, *, emit: Emit = quiet) -> "Result[Verified]":
    """Check a bundle: its files, what it declares, and the golden clips.

    Raises:
        DataError: a file is missing, changed or harmful.
        ParityError: the logits of the golden clips differ from those recorded.
    """
    from edgekws.bundle import verify as room

    verified = room.verify(Path(bundle))
    _warn(verified, bundle, emit)
    return Result(verified, results.verified_result(verified, Path(bundle)))


def export(bundle: AnyPath, to: str, output: AnyPath, *, emit: Emit = quiet) -> "Result[Exported]":
    """Export a bundle in another form, for example `zip` or `esp_idf`.

    `to` is a form of `edgekws export --to`, with an underscore for its hyphen.

    Raises:
        UsageError: there is no such form, or `output` exists and is something else.
        DataError, ParityError: as `verify`, also for what was written.
        MissingPartError: the form needs a package that is not installed.
    """
    from edgekws.bundle import export as room
    from edgekws.core.kinds import closest, kinds
    from edgekws.core.protocols import EXPORTER

    if to not in kinds("Exporter"):
        raise UsageError(f"{to}: no such form{closest(to, kinds('Exporter'))}")
    exported = room.export(Path(bundle), EXPORTER.validate_python({"kind": to}), Path(output))
    _warn(exported.verified, bundle, emit)
    return Result(exported, results.exported_result(exported))


def _validated(model: type[M], fields: Mapping[str, Any]) -> M:
    """Return `model` with the fields of a call.

    Raises:
        UsageError: a field is invalid.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _download(dataset: "Dataset", emit: Emit) -> None:
    fetch = getattr(dataset, "download", None)
    if fetch is None:
        raise UsageError(f"dataset {dataset.kind} has nothing to fetch; leave --download out")
    fetch(emit)


def _warn(verified: "Verified", bundle: AnyPath, emit: Emit) -> None:
    for note in verified.notes:
        emit(Event("warning", f"{bundle}: {note}"))
