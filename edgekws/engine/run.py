"""Run a recipe: every step, measured and judged, then the bundle and its last evaluation."""

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from edgekws.bundle.pack import deliver
from edgekws.core.canonical import sha256_of
from edgekws.core.contract import Artifact
from edgekws.core.events import Emit, Event
from edgekws.core.measurement import Measurement, Verdict
from edgekws.core.report import Report, Result
from edgekws.engine.chain import Bench, Done, bench, run_step
from edgekws.engine.data import Source
from edgekws.engine.environment import cache_folder, library_versions
from edgekws.engine.final import evaluate_bundle
from edgekws.engine.measure import Measured, latency, measure
from edgekws.errors import EdgekwsError, MachineError, UsageError
from edgekws.recipe.load import Loaded
from edgekws.recipe.lock import lock
from edgekws.recipe.model import Recipe, limits


def compress(
    loaded: Loaded,
    *,
    runs: Path,
    dist: Path,
    force: Sequence[str] = (),
    keep_going: bool = False,
    emit: Emit,
) -> Report:
    """Run the chain of a recipe and return its report, also where the budget is not met.

    A step whose own budget is broken ends the run there, and a final model that breaks the
    recipe's budget on the dev split ends it before the test split is touched, unless
    `keep_going`. The report is written in every case.

    Raises:
        EdgekwsError: a step failed; what was done before it stays in the cache.
    """
    recipe = loaded.recipe
    _check_names(recipe, force)
    _check_dist(dist)
    folder, log = _open_run(runs / recipe.name, recipe)
    with log:
        emit = _logged(emit, log)
        emit(Event("run", recipe.name, data={"folder": str(folder)}))
        cache = cache_folder()
        shared = bench(Source(recipe, cache, emit), recipe.seed, recipe.threads, cache, emit)
        run = _Run(recipe, folder, shared, keep_going)
        try:
            run.steps(force)
            if run.going_on:
                run.bundle(dist / recipe.name)
            report = run.report()
        except EdgekwsError as error:
            emit(Event("error", str(error)))
            run.failed_report(str(error)).save(folder / "report.json")
            raise
    _close_run(folder, report)
    return report


def _check_names(recipe: Recipe, force: Sequence[str]) -> None:
    names = [step.name for step in recipe.steps]
    if unknown := sorted(set(force) - set(names)):
        raise UsageError(f"--force {unknown[0]}: no step has that name; known: {', '.join(names)}")


def _check_dist(dist: Path) -> None:
    """Find out before the work, not after it, whether the bundle can be written."""
    try:
        dist.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=dist):
            pass
    except OSError as error:
        raise MachineError(
            f"{dist}: cannot write there ({error}); name a folder with --dist"
        ) from error


def _open_run(parent: Path, recipe: Recipe) -> tuple[Path, TextIO]:
    """Make the folder of this run, with the recipe and the log of its events."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    try:
        folder = _new_folder(parent, stamp)
        (folder / "recipe.lock.toml").write_text(lock(recipe), encoding="utf-8")
        return folder, (folder / "events.jsonl").open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise MachineError(
            f"{parent}: cannot write there ({error}); name a folder with --runs"
        ) from error


def _new_folder(parent: Path, stamp: str) -> Path:
    """Make the first of `stamp`, `stamp-2`, … that is free."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        break
    return folder


def _logged(emit: Emit, log: TextIO) -> Emit:
    """Return an `emit` that writes every event into the run's log as well."""

    def both(event: Event) -> None:
        if event.kind != "progress" or event.done == event.total:
            log.write(json.dumps({"time": time.time()} | asdict(event), ensure_ascii=False) + "\n")
        emit(event)

    return both


def _close_run(folder: Path, report: Report) -> None:
    """Write the report, and let `latest` point to this run only now that it is complete."""
    report.save(folder / "report.json")
    fresh = folder.with_name(f".latest.{folder.name}")
    fresh.symlink_to(folder.name)
    fresh.replace(folder.with_name("latest"))


class _Run:
    """What has come out so far; the steps append to it."""

    def __init__(self, recipe: Recipe, folder: Path, shared: Bench, keep_going: bool) -> None:
        self._recipe, self._folder, self._bench = recipe, folder, shared
        self._keep_going, self._emit = keep_going, shared.emit
        self._steps = _resolved(recipe)
        self._done: dict[str, Done] = {}
        self._measured: Measured | None = None
        self._results: list[Result] = []
        self._bundle_sha256: str | None = None
        self.going_on = True

    def steps(self, force: Sequence[str]) -> None:
        """Run, measure and judge each step in turn."""
        before: Artifact | None = None
        total = len(self._recipe.steps)
        for number, step in enumerate(self._steps, start=1):
            self._emit(Event("step", step.name, number, total, {"step_kind": step.kind}))
            inputs = {name: self._done[name].artifact for name in step.named_inputs}
            if step.takes is not None and before is not None:
                inputs["input"] = before
            done = run_step(step, inputs, self._bench, force=step.name in force)
            self._done[step.name] = done
            before = done.artifact
            parent = self._measured if step.takes is not None else None
            self._measured = measure(done.artifact, step.keeps, parent, self._bench)
            self._keep_files(number, step.name, done)
            self._judge(step, done, final=number == total)
            if not self.going_on:
                break

    def _judge(self, step: Any, done: Done, *, final: bool) -> None:
        """Measure latency, hold everything against the limits, and decide whether to go on."""
        assert self._measured is not None
        timed = latency(
            self._measured.model, self._measured.naive, self._recipe.target, self._bench.cache
        )
        found = (*self._measured.measurements, *timed.measurements("model"))
        verdicts = limits(step.budget).check(found)
        recipe = self._recipe.limits.check(found)
        if final:
            verdicts += _known(recipe, found)
        details = done.details | {"latency": timed.to_dict("model")}
        self._add(
            Result(
                step.name, step.kind, done.artifact.sha256, found, verdicts,
                () if final else recipe, self._measured.parity, details, done.seconds, done.cached,
            )
        )  # fmt: skip
        self.going_on = self._keep_going or all(verdict.ok for verdict in verdicts)

    def _add(self, result: Result) -> None:
        self._results.append(result)
        data = {
            "measurements": [asdict(m) for m in result.measurements],
            "parity": result.parity,
            "seconds": result.seconds,
            "cached": result.cached,
        }
        self._emit(Event("measured", result.name, data=data))

    def _keep_files(self, number: int, name: str, done: Done) -> None:
        """Leave the artifact and its ONNX form in the run's folder."""
        assert self._measured is not None
        folder = self._folder / f"{number:02d}-{name}"
        folder.mkdir()
        shutil.copyfile(done.artifact.path, folder / done.artifact.path.name)
        if done.artifact.format == "checkpoint":
            shutil.copyfile(self._measured.model, folder / "model.onnx")
        (self._folder / "baseline").mkdir(exist_ok=True)
        shutil.copyfile(self._measured.naive, self._folder / "baseline" / "naive_fp32.onnx")

    def bundle(self, destination: Path) -> None:
        """Pack, evaluate once on the test split with the bundle's own runtime, judge, deliver."""
        assert self._measured is not None
        step = self._recipe.steps[-1]
        self._emit(Event("step", "bundle", data={"step_kind": "bundle"}))
        done = self._done[step.name]
        final = evaluate_bundle(
            done.artifact, self._measured, self._origin(), self._recipe, self._bench
        )
        verdicts = self._recipe.limits.check(final.measurements)
        self._bundle_sha256 = final.sha256
        self._add(
            Result(
                "bundle", "bundle", final.sha256, final.measurements, verdicts, (), final.parity,
                final.details, final.seconds, final.cached,
            )
        )  # fmt: skip
        if not self._keep_going and not all(verdict.ok for verdict in verdicts):
            text = f"the bundle breaks the budget and was not put into {destination}"
            self._emit(Event("warning", f"{text}; --keep-going puts it there"))
            return
        deliver(final.folder, destination)
        self._emit(Event("note", f"bundle in {destination}", data={"sha256": final.sha256}))

    def _origin(self) -> dict[str, Any]:
        """Return where the model comes from, for the manifest: no times, no paths."""
        clips = [d.details.get("calibration_clips") for d in self._done.values()]
        return {
            "recipe": self._recipe.name,
            "recipe_sha256": chain_sha256(self._recipe),
            "steps": [step.name for step in self._recipe.steps],
            "calibration_clips": next((c for c in reversed(clips) if c), []),
        }

    def report(self) -> Report:
        """Return the report of what has come out."""
        data = self._bench.source.summary()
        report = self._report(data, (*data["notes"], *_shortfalls(self._results)))
        for name, verdict in report.deciding():
            self._emit(Event("verdict", verdict.limit.key, data={"of": name} | asdict(verdict)))
        return report

    def failed_report(self, reason: str) -> Report:
        """Return the report of a run that ended in an error; the data may be what is at fault."""
        return self._report({}, (f"the run ended in an error: {reason}",))

    def _report(self, data: dict[str, Any], notes: tuple[str, ...]) -> Report:
        judged = [verdict for result in self._results for verdict in result.verdicts]
        environment = {
            "versions": library_versions(),
            "device": self._bench.device,
            "threads": self._bench.threads,
            "target": self._recipe.target.fingerprint(),
        }
        return Report(
            self._recipe.name,
            recipe_sha256(self._recipe),
            environment,
            data,
            tuple(self._results),
            ok=self._bundle_sha256 is not None and all(verdict.ok for verdict in judged),
            bundle_sha256=self._bundle_sha256,
            notes=notes,
        )


def _shortfalls(results: Sequence[Result]) -> list[str]:
    return [f"{r.name}: {line}" for r in results for line in r.details.get("shortfalls", ())]


def _resolved(recipe: Recipe) -> tuple[Any, ...]:
    """Return the steps with what the target's instruction set decides filled in."""
    host = recipe.target.fingerprint()
    isa = frozenset((host["machine"], *host["isa"]))
    return tuple(step.resolved(isa) for step in recipe.steps)


def _known(verdicts: tuple[Verdict, ...], found: Sequence[Measurement]) -> tuple[Verdict, ...]:
    """Return the verdicts that the dev split can give; the front end is judged with the bundle."""
    metrics = {m.metric for m in found}
    return tuple(v for v in verdicts if v.limit.metric in metrics)


def recipe_sha256(recipe: Recipe) -> str:
    """Return the identity of a recipe with all defaults filled in."""
    return sha256_of(recipe.model_dump(mode="json", by_alias=True))


def chain_sha256(recipe: Recipe) -> str:
    """Return the identity of what makes the model: the recipe without target and budgets."""
    exclude: Any = {"budget": True, "target": True, "steps": {"__all__": {"budget"}}}
    return sha256_of(recipe.model_dump(mode="json", by_alias=True, exclude=exclude))
