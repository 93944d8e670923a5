"""edgekws as a library: what a notebook imports.

    >>> import edgekws
    >>> planned = edgekws.plan("quickstart")
    >>> planned.value.rows[-1].params < 10_000
    True

Paths are `str` or `Path`. A recipe is a file, the name of a built-in one, or a mapping of what a
file holds: `{"extends": "base.toml", "seed": 1}`. `overrides` are texts
such as `"steps.distill.loss.temperature=2"`. Nothing is printed: `emit` gets the events of what
goes on, which by default nobody hears. What comes back prints as the command line shows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from edgekws.core.events import Emit, Event, quiet
from edgekws.core.measurement import Measurement, Verdict
from edgekws.errors import UsageError
from edgekws.report import results
from edgekws.report.shown import Shown
from edgekws.report.tables import Table

if TYPE_CHECKING:
    import numpy as np

    from edgekws.bundle.export import Exported
    from edgekws.core.corpus import Split
    from edgekws.core.protocols import Dataset
    from edgekws.core.report import Report
    from edgekws.core.verified import Verified
    from edgekws.engine.plan import Plan
    from edgekws.evaluation.compare import Comparison
    from edgekws.evaluation.evaluate import Evaluation
    from edgekws.evaluation.predict import Predicted
    from edgekws.evaluation.profiled import Profile
    from edgekws.runtime import detect

T = TypeVar("T")
AnyPath = str | Path
AnyRecipe = AnyPath | Mapping[str, Any]
Judged = tuple[tuple[Measurement, ...], tuple[Verdict, ...]]

__all__ = [
    "Result",
    "Spotter",
    "check",
    "compare",
    "compress",
    "evaluate",
    "export",
    "load",
    "plan",
    "predict",
    "profile",
    "verify",
]


@dataclass(frozen=True, repr=False)
class Result(Generic[T]):
    """What a function found: `value`, and the tables and lines that show it.

    `print(result)` shows them as text; a notebook shows them as tables.
    """

    value: T
    shown: Shown

    @property
    def tables(self) -> Sequence[Table]:
        """The tables, each a title, heads and rows."""
        return self.shown.tables

    @property
    def lines(self) -> Sequence[str]:
        """The lines under the tables."""
        return self.shown.lines

    @property
    def ok(self) -> bool:
        """Whether every limit is met; where not, the result ends with those that are exceeded."""
        return not self.shown.problem

    def __str__(self) -> str:
        """Return the tables and lines as text."""
        return self.shown.text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return the tables and lines as a notebook shows them."""
        return self.shown.html()


class Spotter:
    """A bundle that listens: labels for clips, and keywords as they are heard in a stream.

    Samples are int16 or floats in [-1, 1], mono, at `sample_rate`.
    """

    def __init__(
        self, bundle: AnyPath, *, threshold: float | None = None, emit: Emit = quiet
    ) -> None:
        """Verify the bundle, a folder or a zip, and load it; see `load`."""
        from edgekws.bundle.archive import unpacked
        from edgekws.bundle.verify import errors_named
        from edgekws.runtime.detect import Classifier
        from edgekws.spotting.streams import opened

        path = Path(bundle)
        with unpacked(path) as folder, errors_named(path):
            self._detector = opened(folder, emit, threshold)[0]
            self._classifier = Classifier(folder)

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, in the order of the logits."""
        return tuple(self._classifier.labels)

    @property
    def sample_rate(self) -> int:
        """Samples a second of what it hears."""
        return self._classifier.sample_rate

    def classify(self, clip: "AnyPath | np.ndarray") -> tuple[str, float]:
        """Return the label of a clip, an audio file or samples, and its score.

        Raises:
            DataError: the file cannot be read.
            ValueError: samples of another kind, or none.
        """
        import numpy as np

        from edgekws.audio.reading import read_blocks

        if isinstance(clip, str | Path):
            return self._classifier.classify_blocks(read_blocks(Path(clip), self.sample_rate))
        return self._classifier.classify(np.asarray(clip))

    def feed(self, samples: "np.ndarray") -> "list[detect.Event]":
        """Hear the next samples of a stream, and return the keywords that they make known.

        Raises:
            ValueError: samples of another kind.
        """
        import numpy as np

        return self._detector.feed(np.asarray(samples))

    def flush(self) -> "list[detect.Event]":
        """End the stream, and return the keywords that were still open."""
        return self._detector.flush()

    def reset(self) -> None:
        """Begin a new stream."""
        self._detector.reset()

    def stream(self, file: AnyPath) -> "Iterator[detect.Event]":
        """Yield the keywords of a recording, from its beginning to its end.

        Raises:
            DataError: the file cannot be read, or has no samples.
        """
        from edgekws.spotting.streams import listen, source

        self.reset()
        try:
            for events in listen(self._detector, source(str(file), self.sample_rate, None)):
                yield from events
        finally:
            self.reset()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Begin anew: what was heard is forgotten."""
        self.reset()

    def __repr__(self) -> str:
        """Name the labels."""
        return f"<Spotter: {', '.join(self.labels)}; {self.sample_rate} Hz>"


def load(bundle: AnyPath, *, threshold: float | None = None, emit: Emit = quiet) -> Spotter:
    """Load a bundle, a folder or a zip, to listen with; it is verified first.

    `threshold` stands in for those that the bundle came with.

    Raises:
        DataError: no bundle, a damaged one, or one that cannot hear streams.
        ParityError: its golden clips give other logits here.
    """
    return Spotter(bundle, threshold=threshold, emit=emit)


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
    """Run the chain of a recipe; `ok` tells whether the budget is met.

    A budget that the run turned out to exceed is no exception: the result holds what was measured,
    has `ok` False, and prints the limits that are exceeded at its end.

    The report is in `runs`, as JSON and as a page, the bundle in `dist`. What has been done before
    comes from the cache.

    Raises:
        RecipeError: the recipe is wrong.
        BudgetError: a limit cannot be met, whatever is trained; nothing was trained.
        EdgekwsError: whatever a step raises; what was done before it is kept.
    """
    from edgekws.engine import run
    from edgekws.recipe.load import load as read
    from edgekws.report.html import write_html

    loaded = read(recipe, overrides)
    for note in loaded.notes:
        emit(Event("warning", note))
    if download:
        _download(loaded.recipe.dataset, emit)
    folders: list[Path] = []

    def heard(event: Event) -> None:
        if event.kind == "run":
            folders.append(Path(event.data["folder"]))
        emit(event)

    report = run.compress(
        loaded,
        runs=Path(runs),
        dist=Path(dist),
        force=force,
        keep_going=keep_going,
        emit=heard,
    )
    for folder in folders:
        write_html(report, folder / "report.html")
        emit(Event("note", f"report in {folder / 'report.html'}"))
    return Result(report, results.report_result(report))


def plan(recipe: AnyRecipe, *, overrides: Sequence[str] = (), emit: Emit = quiet) -> "Result[Plan]":
    """Predict size, MACs and latency after every step, without data or training.

    `ok` is False where a limit on parameters, MACs or size cannot be met.

    Raises:
        RecipeError: the recipe is wrong.
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
    """Measure any ONNX file or bundle, and judge it by a budget file or that of a recipe.

    `ok` is False where a limit is exceeded or its metric was not measured.

    Raises:
        UsageError: neither `budget` nor `recipe` is given.
        DataError: no model there, or a damaged bundle.
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
    found, verdicts = engine.check(Path(model), limits, emit, loaded, fresh=fresh)
    return Result((found, verdicts), results.check_result(found, verdicts))


def evaluate(
    *models: AnyPath,
    recipe: AnyRecipe,
    overrides: Sequence[str] = (),
    split: "Split" = "dev",
    emit: Emit = quiet,
) -> "Result[list[Evaluation]]":
    """Report how models do on one split of a recipe's data, class by class.

    Raises:
        UsageError: no model.
        DataError: no model there, or one with other labels.
    """
    from edgekws.evaluation import evaluate as engine
    from edgekws.recipe.load import load as read

    if not models:
        raise UsageError("evaluate needs a model")
    made = engine.evaluate([Path(m) for m in models], read(recipe, overrides), split, emit)
    return Result(made, results.evaluation_result(made))


def compare(
    *systems: AnyPath,
    recipe: AnyRecipe,
    overrides: Sequence[str] = (),
    split: "Split" = "dev",
    points: float | None = None,
    emit: Emit = quiet,
) -> "Result[Comparison]":
    """Say which of two or more models is better, on the same clips of a recipe's data.

    A system is a path, `"a.onnx,b.onnx"` over its seeds, or `"name=a.onnx,b.onnx"`.

    Raises:
        UsageError: fewer than two systems, or `points` out of range.
        DataError: as `evaluate`.
    """
    from edgekws.evaluation import compare as engine
    from edgekws.recipe.load import load as read

    engine.check_points(points)
    asked = points / 100 if points is not None else None
    made = engine.compare([str(s) for s in systems], read(recipe, overrides), split, emit, asked)
    return Result(made, results.comparison_result(made))


def profile(
    *models: AnyPath,
    seconds: float = 10.0,
    threads: int = 1,
    affinity: Sequence[int] | None = None,
    warmup: int = 20,
    seed: int = 0,
    emit: Emit = quiet,
) -> "Result[Profile]":
    """Time models, bundles or the steps of a run, interleaved, and say where the time goes.

    Raises:
        UsageError: no model, or an option out of its bounds.
        DataError: no model there.
        MachineError: the harness failed.
    """
    from pydantic import ValidationError

    from edgekws.evaluation import profile as engine
    from edgekws.targets.host import Target

    fields = {"seconds": seconds, "threads": threads, "warmup": warmup, "seed": seed}
    try:
        target = Target.model_validate({**fields, "affinity": affinity})
    except ValidationError as error:
        (name, *_), text = error.errors()[0]["loc"], error.errors()[0]["msg"]
        raise UsageError(f"{name}: {text}") from error
    made = engine.profile([Path(model) for model in models], target, emit)
    return Result(made, results.profile_result(made))


def predict(
    bundle: AnyPath, source: AnyPath, output: AnyPath, *, top_k: int = 1, emit: Emit = quiet
) -> "Result[Predicted]":
    """Write a table of file, label and score for audio without labels, a folder or a table.

    Raises:
        DataError: no bundle, no audio there, or not one file that can be read.
        UsageError: `top_k` does not fit the bundle.
    """
    from edgekws.evaluation import predict as engine

    made = engine.predict(Path(bundle), Path(source), Path(output), emit, top_k)
    return Result(made, results.predicted_result(made, Path(output)))


def verify(bundle: AnyPath, *, emit: Emit = quiet) -> "Result[Verified]":
    """Check a bundle: its files, what it declares, and the golden clips.

    Raises:
        DataError: a file is missing, changed or harmful.
        ParityError: the golden clips give other logits than those written down.
    """
    from edgekws.bundle import verify as room

    found = room.verify(Path(bundle))
    _warn(found, bundle, emit)
    return Result(found, results.verified_result(found, Path(bundle)))


def export(bundle: AnyPath, to: str, output: AnyPath, *, emit: Emit = quiet) -> "Result[Exported]":
    """Write a bundle in another form: `folder`, `zip`, `ort` or `waveform`.

    Raises:
        UsageError: no such form, or `output` holds something else.
        DataError, ParityError: as `verify`, of what was written too.
    """
    from edgekws.bundle import export as room
    from edgekws.core.kinds import closest, kinds
    from edgekws.core.protocols import EXPORTER

    if to not in kinds("Exporter"):
        raise UsageError(f"{to}: no such form{closest(to, kinds('Exporter'))}")
    made = room.export(Path(bundle), EXPORTER.validate_python({"kind": to}), Path(output))
    _warn(made.verified, bundle, emit)
    return Result(made, results.exported_result(made))


def _download(dataset: "Dataset", emit: Emit) -> None:
    fetch = getattr(dataset, "download", None)
    if fetch is None:
        raise UsageError(f"dataset {dataset.kind} has nothing to fetch; leave --download out")
    fetch(emit)


def _warn(verified: "Verified", bundle: AnyPath, emit: Emit) -> None:
    for note in verified.notes:
        emit(Event("warning", f"{bundle}: {note}"))
