"""Run a recipe: measure and judge each step, then build and evaluate the bundle."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekws.bundle.card import latency_section
from edgekws.bundle.delivery import deliver
from edgekws.bundle.members import CARD
from edgekws.bundle.verify import verify
from edgekws.core.contract import BESIDE, Artifact
from edgekws.core.events import Event
from edgekws.core.latency_run import LatencyRun
from edgekws.core.measurement import (
    ALLOWED_PER_HOUR,
    BUNDLE_METRICS,
    CONTINUOUS,
    Measurement,
    Verdict,
)
from edgekws.core.protocols import Step
from edgekws.core.report import Result
from edgekws.engine.baseline import Baseline, References, against_fp32, card_lines
from edgekws.engine.chain import Done, RunContext
from edgekws.engine.chain_run import ChainRun
from edgekws.engine.chance import chance_warning
from edgekws.engine.final import UNTESTED, Final, evaluate_bundle
from edgekws.engine.listening import measure_on_dev
from edgekws.engine.measure import Measured, Streamed, alone, measure_stream
from edgekws.engine.run_folder import OTHER_DIST, OTHER_RUNS
from edgekws.engine.run_report import RunReport
from edgekws.engine.teachers import no_better
from edgekws.errors import writing
from edgekws.recipe.identity import chain_sha256
from edgekws.recipe.model import Recipe, limits
from edgekws.spotting.results import event_measurements, from_details


class RecipeRun:
    """The run of a recipe; every step adds to its `report`.

    `going_on` becomes false once a budget is exceeded, unless `keep_going`.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, shared: RunContext, *, keep_going: bool, command: str
    ) -> None:
        """Take the `folder` of the run; `command` runs the recipe again."""
        self._recipe, self._folder, self._context = recipe, folder, shared
        self._keep_going, self._emit = keep_going, shared.emit
        self._steps = recipe.steps
        self._chain = ChainRun(shared)
        self._by_name: dict[str, Measured] = {}
        self._streamed: Streamed | None = None
        self._baseline = Baseline(self._steps, shared)
        self._early: dict[int, Path] = {}
        self._references: References | None = None
        self.report = RunReport(recipe, shared, command)
        self.going_on = True

    def steps(self, force: Sequence[str]) -> None:
        """Run, measure and judge each step in turn."""
        for number, step in enumerate(self._steps, start=1):
            self._emit(Event("step", step.name, number, len(self._steps), {"step_kind": step.kind}))
            done = self._chain.run(step, force=step.name in force)
            self._process(number, step, done)
            if not self.going_on:
                break
        if self._baseline.control is not None:
            self._compare(self._baseline.control)

    def _process(self, number: int, step: Step, done: Done) -> None:
        """Measure and judge the result of a step, and copy it to the run's folder."""
        if step.gives == "detection":
            self._keep_files(number, step.name, done)
            self._judge_settings(step, done)
            return
        measured = self._measure(step, done.artifact)
        if isinstance(measured, Measured):
            self._baseline.add(step, done.details, measured)
        self._keep_files(number, step.name, done)
        self._judge(step, done, measured)

    def _measure(self, step: Step, artifact: Artifact) -> Measured | Streamed:
        """Measure the result of a step; a streaming form accompanies its model."""
        if step.gives == "stream":
            assert self._chain.measured is not None
            self._streamed = measure_stream(artifact, self._chain.measured, self._context)
            return self._streamed
        self._streamed = None
        plain = self._baseline.may_need(step)
        self._by_name[step.name] = self._chain.measure(step, plain=plain)
        return self._by_name[step.name]

    def _judge(self, step: Step, done: Done, measured: Measured | Streamed) -> None:
        """Measure latency, and check all limits."""
        timed = self._timed(step, measured)
        event_metrics, continuous = self._continuous_results(step, done.artifact)
        times = timed.measurements("model") if timed else ()
        measurements = (*measured.measurements, *event_metrics, *times)
        verdicts = limits(step.budget).check(measurements)
        to_go: tuple[Verdict, ...] = ()
        if step.name == self._final.name:
            verdicts += _known(self._recipe.limits.check(measurements), measurements)
        elif step.gives not in ("stream", "audio_teacher"):  # the limits are for the model
            to_go = _of_network(self._recipe.limits.check(measurements))
        shortfalls = [
            *done.details.get("shortfalls", ()),
            *no_better(step, self._by_name, self._context),
        ]
        details = done.details | continuous
        details |= {"latency": timed.to_dict("model")} if timed else {}
        details |= {"shortfalls": shortfalls} if shortfalls else {}
        self._conclude(
            Result(
                name=step.name,
                kind=step.kind,
                sha256=done.artifact.sha256,
                measurements=measurements,
                verdicts=verdicts,
                to_go=to_go,
                parity=measured.parity,
                details=details,
                kinds=done.kinds,
                seconds=done.seconds,
                cached=done.cached,
            )
        )

    def _conclude(self, result: Result) -> None:
        """Add the result of a step; one over budget ends the run, unless `keep_going`."""
        self.report.add(result)
        self.going_on = self._keep_going or all(verdict.ok for verdict in result.verdicts)

    def _timed(self, step: Step, measured: Measured | Streamed) -> LatencyRun | None:
        """Return the latency of a step's result, `None` for one that never runs on the target.

        A step before the last training has no ratio yet; `_compare` adds it.
        """
        if step.gives == "audio_teacher":
            return None
        if (control := self._baseline.control) is not None:
            return self._baseline.latency(measured.model, control)
        self._early[len(self.report.results)] = measured.model
        timed = alone(measured.model, self._recipe.target, self._context.cache, self._emit)
        return timed.without_ratios()

    def _continuous_results(
        self, step: Step, artifact: Artifact
    ) -> tuple[tuple[Measurement, ...], dict[str, Any]]:
        """Return a quantized model's results on the dev streams, if the recipe needs them."""
        if step.keeps != "quantized" or not self._recipe.listens:
            return (), {}
        allowed = [getattr(other, "false_alarms_per_hour", None) for other in self._steps]
        limit = self._recipe.budget.get("max_false_alarms_per_hour", ALLOWED_PER_HOUR)
        rate = next((rate for rate in allowed if rate is not None), limit)
        shared = self._context
        return measure_on_dev(artifact, rate, shared.source, shared.cache, self._emit)

    def _judge_settings(self, step: Step, done: Done) -> None:
        """Check the results of the thresholds on the dev streams against the limits."""
        evaluation = from_details(done.details)
        assert evaluation is not None
        measurements = event_measurements(evaluation)
        verdicts = limits(step.budget).check(measurements)
        verdicts += _known(self._recipe.limits.check(measurements), measurements)
        self._conclude(
            Result(
                name=step.name,
                kind=step.kind,
                sha256=done.artifact.sha256,
                measurements=measurements,
                verdicts=verdicts,
                details=done.details,
                seconds=done.seconds,
                cached=done.cached,
            )
        )
        self.report.notes += _other_rate(step, self._recipe.budget)

    def _compare(self, control: Path) -> None:
        """Measure the early steps and the references against the control, which now exists."""
        for i, model in self._early.items():
            timed = self._baseline.latency(model, control)
            result = self.report.results[i]
            ratio = (m for m in timed.measurements("model") if m.metric == "latency_ratio")
            measurements = (*result.measurements, *ratio)
            self.report.results[i] = replace(
                result,
                measurements=measurements,
                to_go=_of_network(self._recipe.limits.check(measurements)),
                details=result.details | {"latency": timed.to_dict("model")},
            )
        self._references = self._baseline.references()
        self.report.references = self._references.results(self._recipe.front_end.window_s)

    @property
    def _final(self) -> Any:
        """The step that produces the bundle's model."""
        return next(step for step in reversed(self._steps) if step.gives not in BESIDE)

    def _keep_files(self, number: int, name: str, done: Done) -> None:
        """Copy the artifact and its ONNX form to the run's folder."""
        assert self._chain.measured is not None
        folder = self._folder / f"{number:02d}-{name}"
        baseline = self._folder / "baseline"
        with writing(folder, OTHER_RUNS):
            folder.mkdir()
            shutil.copyfile(done.artifact.path, folder / done.artifact.path.name)
            if done.artifact.format == "checkpoint":
                shutil.copyfile(self._chain.measured.model, folder / "model.onnx")
            if (control := self._baseline.control) is not None:
                baseline.mkdir(exist_ok=True)
                shutil.copyfile(control, baseline / "naive_fp32.onnx")

    def bundle(self, destination: Path) -> None:
        """Pack, evaluate once on the test split with the bundle's runtime, judge and deliver."""
        control, references = self._baseline.control, self._references
        measured = self._chain.measured
        assert measured is not None
        assert control is not None
        assert references is not None
        stream = self._streamed.model if self._streamed else None
        self._emit(Event("step", "bundle", data={"step_kind": "bundle"}))
        artifact = self._chain.done[self._final.name].artifact
        detection = self._chain.beside("detection")
        final = evaluate_bundle(
            artifact, measured, self._origin(), self._recipe, self._context, control, stream,
            detection.path if detection else None,
        )  # fmt: skip
        model = final.folder / "model.onnx"
        compared = against_fp32(model, final.latency, references, self._baseline)
        warning = chance_warning(final.measurements, len(artifact.contract.labels))
        untested = () if self._recipe.listens else (UNTESTED,)
        self.report.notes = (
            *untested,
            *self.report.notes,
            *([warning] if warning else ()),
            *compared.sentences,
        )
        if warning:
            self._emit(Event("warning", warning))
        details = final.details | {"latency": final.details["latency"] | compared.details}
        verdicts = self._recipe.limits.check(final.measurements)
        self.report.bundle_sha256 = final.sha256
        self.report.add(
            Result(
                name="bundle",
                kind="bundle",
                sha256=final.sha256,
                measurements=final.measurements,
                verdicts=verdicts,
                parity=final.parity,
                details=details,
                seconds=final.seconds,
                cached=final.cached,
            )
        )
        if not self._keep_going and not all(verdict.ok for verdict in verdicts):
            text = f"the bundle is over budget and was not put into {destination}"
            self._emit(Event("warning", f"{text}; --keep-going puts it there"))
            return
        sections = latency_section((*card_lines(final.latency), *compared.sentences))
        self._deliver(final, destination, warning, sections)

    def _deliver(self, final: Final, destination: Path, warning: str | None, sections: str) -> None:
        """Put the bundle at its destination, with the latencies in its card."""
        if final.cached:  # a new one was verified when it was packed
            verify(final.folder)
        card = (final.folder / CARD).read_text("utf-8")
        card += f"\n**Warning**: {warning}.\n" if warning else ""
        card += sections
        with writing(destination, OTHER_DIST):
            deliver(final.folder, destination, card)
        self.report.origins["bundle"] = str(destination)
        self._emit(Event("note", f"bundle in {destination}", data={"sha256": final.sha256}))

    def _origin(self) -> dict[str, Any]:
        """Return the origin of the model for the manifest, without times and paths."""
        clips = [d.details.get("calibration_clips") for d in self._chain.done.values()]
        return {
            "recipe": self._recipe.name,
            "recipe_sha256": chain_sha256(self._recipe),
            "steps": [step.name for step in self._recipe.steps],
            "calibration_clips": next((c for c in reversed(clips) if c), []),
        }


def _known(
    verdicts: tuple[Verdict, ...], measurements: Sequence[Measurement]
) -> tuple[Verdict, ...]:
    """Return the verdicts available on the dev split; the front end is judged with the bundle."""
    metrics = {m.metric for m in measurements}
    return tuple(v for v in verdicts if v.limit.metric in metrics)


def _of_network(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Return the verdicts available for a step: none on the whole bundle, or on streams."""
    later = (v.limit.metric in CONTINUOUS and v.measured is None for v in verdicts)
    return tuple(
        v
        for v, is_later in zip(verdicts, later, strict=True)
        if v.limit.metric not in BUNDLE_METRICS and not is_later
    )


def _other_rate(step: Any, budget: Mapping[str, float]) -> tuple[str, ...]:
    """Return a note if thresholds were chosen for another rate than the budget's."""
    allowed = budget.get("max_false_alarms_per_hour")
    if allowed is None or allowed == step.false_alarms_per_hour:
        return ()
    chosen = f"{step.false_alarms_per_hour:g} false alarms per hour"
    return (f"{step.name}: thresholds were chosen for {chosen}, but the budget allows {allowed:g}",)
