"""The references of all latencies: the last trained network, in FP32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekws.core import figures
from edgekws.core.canonical import sha256_file
from edgekws.core.latency_run import LatencyRun, ModelLatency
from edgekws.core.protocols import Step
from edgekws.core.report import Result
from edgekws.engine.chain import RunContext
from edgekws.engine.measure import Measured, count, latency, timed
from edgekws.recipe.chain import last_training

CONTROL, FASTEST = "plain export", "fastest FP32"
"""Names of the two references in a report."""


@dataclass(frozen=True)
class References:
    """FP32 forms of the last trained network, and the fastest of them.

    `control` and `fastest` name entries of `forms`; they are the same if no form is faster than
    the plain export. `run` holds both, as `naive` and `model`.
    """

    forms: Mapping[str, Path]
    control: str
    fastest: str
    run: LatencyRun

    def results(self, window_s: float) -> tuple[Result, ...]:
        """Return a report row for the control, and one for the fastest form if it differs.

        MACs are counted for `window_s`.
        """
        rows = [self._result(CONTROL, self.control, "naive", window_s)]
        if self.fastest != self.control:
            rows.append(self._result(FASTEST, self.fastest, "model", window_s))
        return tuple(rows)

    def _result(self, name: str, form: str, entry: str, window_s: float) -> Result:
        path = self.forms[form]
        measurements = (*count(path, window_s), *self.run.measurements(entry))
        details = {"form": form, "latency": self.run.to_dict(entry)}
        return Result(name, "reference", sha256_file(path), measurements, details=details)


class Baseline:
    """The control of all latencies of a chain, and the FP32 forms of the same network.

    The control is the plain export of the last trained network, in the representation that it was
    trained in; an exact conversion is not training. `retrained` is true if it was trained after a
    conversion: its plain export is then not that of the 3-D network.
    """

    def __init__(self, steps: Sequence[Step], context: RunContext) -> None:
        """Take the steps of the chain; `add` takes their results."""
        self._last, self._context = last_training(steps), context
        names = [step.name for step in steps]
        certain = last_training([step for step in steps if step.kind != "to2d"])
        self._may_need = set(names[names.index(certain) if certain else 0 :])
        self._networks: dict[str, Measured] = {}
        self._step, self._known, self._converted = "", False, False
        self.retrained = False

    def may_need(self, step: Step) -> bool:
        """Return whether the plain export of `step` may be the control, or be compared with it.

        Not if another training is certain to follow. A `to2d` may turn out to be exact.
        """
        return step.name in self._may_need

    def add(self, step: Step, details: Mapping[str, Any], measured: Measured) -> None:
        """Add the network that a step produced; `details` are those of the step."""
        if step.gives != "checkpoint":
            return
        self._converted |= step.kind == "to2d"
        if step.keeps == "retrained" and details.get("mode") != "exact":
            self._step, self._networks = step.name, {}
            self.retrained = self._converted
        self._networks[step.name] = measured
        self._known |= step.name == self._last

    @property
    def control(self) -> Path | None:
        """The plain export, `None` until the last training is done."""
        return self._networks[self._step].naive if self._known else None

    def latency(self, model: Path, control: Path) -> LatencyRun:
        """Return the latency of `model` on the target of the chain, interleaved with `control`."""
        return latency(
            model, control, self._context.target, self._context.cache, self._context.emit
        )

    @property
    def description(self) -> str:
        """A description of the control."""
        return f"the plain FP32 export of {self._step}"

    def references(self) -> References:
        """Measure the control and the fastest FP32 form, interleaved.

        The fastest of many forms timed once is partly lucky, so it is timed again against the
        control alone.
        """
        target, cache = self._context.target, self._context.cache
        forms = {
            f"{step}: {name}": path
            for step, measured in self._networks.items()
            for name, path in measured.forms.items()
        }
        control = next(name for name, path in forms.items() if path == self.control)
        first = timed(forms, control, target, cache, self._context.emit)
        fastest = min(forms, key=first.p50_us)
        run = self.latency(forms[fastest], forms[control])
        if run.p50_us("model") >= run.p50_us("naive"):
            fastest = control
        return References(forms, control, fastest, run)


@dataclass(frozen=True)
class AgainstFp32:
    """A bundle's model compared with the fastest FP32 form and the control of its chain."""

    details: dict[str, Any]
    sentences: tuple[str, ...]


def against_fp32(
    model: Path, against_control: LatencyRun, references: References, baseline: Baseline
) -> AgainstFp32:
    """Measure a bundle's model against the fastest FP32 form, and describe the gain of INT8.

    `against_control` is its run against the control.
    """
    fp32 = references.forms[references.fastest]
    run = baseline.latency(model, fp32)
    if run.refused:
        return _without_fp32(model, fp32, run, references)
    timing, fp32_timing = run.models["model"], run.models["naive"]
    details = {
        "control_form": references.control,
        "fastest_fp32": references.fastest,
        "fastest_fp32_p50_us": fp32_timing.p50_us,
        "fastest_fp32_size_kib": _size_kib(fp32),
        "of_fastest_fp32": timing.ratio,
        "of_fastest_fp32_ci95": timing.ratio_ci95,
    }
    naive = against_control.models["naive"]
    times = (
        f"{_p50(against_control.models['model'])}, {_format_ratio(timing)} that of the fastest "
        f"FP32 form ({references.fastest}, {_p50(fp32_timing)}), "
        f"{_format_ratio(against_control.models['model'])} that of {baseline.description} "
        f"({_p50(naive)})"
    )
    sentences = [f"{_describe_gain(model, fp32, timing)}: {times}"]
    if baseline.retrained and references.fastest != references.control:
        sentences.append(
            f"{baseline.description} is that of a network trained after the conversion to 2-D: the "
            f"ratio to quote is the one to the fastest FP32 form, {_format_ratio(timing)}"
        )
    return AgainstFp32(details, tuple(sentences))


def _without_fp32(model: Path, fp32: Path, run: LatencyRun, references: References) -> AgainstFp32:
    """Describe the gain of INT8 on a target that runs no FP32 network, or not the model."""
    details = {
        "control_form": references.control,
        "fastest_fp32": references.fastest,
        "fastest_fp32_size_kib": _size_kib(fp32),
    }
    sizes = (figures.figure("size_kib", _size_kib(path)) for path in (model, fp32))
    size = "{} instead of {} in FP32".format(*sizes)
    times = [f"{name}: {reason}" for name, reason in run.refused.items() if name == "model"]
    times = times or [f"{_p50(run.models['model'])}, {run.models['model'].form}"]
    text = f"{size}; the target runs no FP32 network, so that there is no ratio: {times[0]}"
    return AgainstFp32(details, (text,))


def card_lines(run: LatencyRun) -> tuple[str, ...]:
    """Return the lines of a model card on a bundle's latency, without the comparison with FP32."""
    if run.refused:
        return tuple(f"latency, {run.fingerprint['cpu']}: {c}" for c in run.conditions("model"))
    timing, threads = run.models["model"], run.fingerprint["threads"]
    percentiles = (
        f"p{q} {figures.estimate('latency_p50_us', value, ci95)}"
        for q, value, ci95 in (
            (50, timing.p50_us, timing.p50_ci95),
            (90, timing.p90_us, timing.p90_ci95),
            (99, timing.p99_us, timing.p99_ci95),
        )
    )
    where = f"{run.fingerprint['cpu']}, {threads} thread{'s' * (threads > 1)}"
    blocks = f"{timing.left_out} of {timing.blocks} blocks of runs"
    waiting = f"{blocks}, spent waiting for a CPU, do not count"
    return f"one inference on {where}, {run.measured_at}: {', '.join(percentiles)}", waiting


def conditions(results: Sequence[Result], since: str) -> list[str]:
    """Return notes on latencies older than `since`, and on blocks spent waiting for a CPU."""
    timed = {r.name: r.details["latency"] for r in results if "latency" in r.details}
    old = {name: at for name, details in timed.items() if (at := details["measured_at"]) < since}
    waited = [
        f"{name} {details['left_out_waiting']:,} of {details['blocks']:,}"
        for name, details in timed.items()
        if details["left_out_waiting"]
    ]
    notes = []
    if old:
        span = " to ".join(sorted({min(old.values()), max(old.values())}))
        notes.append(f"latency from the cache, measured {span}: {', '.join(old)}")
    if waited:
        notes.append(
            f"latency leaves out blocks of runs spent waiting for a CPU: {', '.join(waited)}"
        )
    return notes


def _format_ratio(timing: ModelLatency) -> str:
    if timing.ratio is None or timing.ratio_ci95 is None:
        return "(no ratio, the machine was too busy) beside"
    bounds = figures.interval("latency_ratio", timing.ratio_ci95)
    return f"{figures.ratio(timing.ratio)} × {bounds}"


def _p50(timing: ModelLatency) -> str:
    return figures.figure("latency_p50_us", timing.p50_us)


def _describe_gain(model: Path, fp32: Path, timing: ModelLatency) -> str:
    """Describe the gain of the INT8 model over FP32: size, speed, both or neither."""
    import onnx

    from edgekws.metrics.graph import int8_coverage

    if not int8_coverage(onnx.load(str(model))):
        return "latency in FP32"
    sizes = _size_kib(model), _size_kib(fp32)
    size = "size" if sizes[0] < sizes[1] else "no size"
    faster = timing.ratio_ci95 is not None and timing.ratio_ci95[1] < 1
    speed = "and speed" if faster else "and not speed" if size == "size" else "and no speed"
    own, other = (figures.figure("size_kib", kib) for kib in sizes)
    return f"INT8 buys {size} ({own} instead of {other}) {speed}"


def _size_kib(path: Path) -> float:
    return path.stat().st_size / 1024
