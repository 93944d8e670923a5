"""What latencies stand against: the last network that was trained, in FP32."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekws.core import figures
from edgekws.core.canonical import sha256_file
from edgekws.core.latency_run import LatencyRun, ModelLatency
from edgekws.core.protocols import Step
from edgekws.core.report import Result
from edgekws.engine.chain import Bench
from edgekws.engine.measure import Measured, count, latency, timed
from edgekws.recipe.chain import last_training

CONTROL, FASTEST = "plain export", "fastest FP32"
"""What the two references are called in a report."""


@dataclass(frozen=True)
class References:
    """FP32 forms of the last network that was trained, and which of them runs fastest.

    `control` and `fastest` name entries of `forms`; they are the same where nothing that was built
    is faster than the plain export. `run` holds both, as `naive` and `model`.
    """

    forms: Mapping[str, Path]
    control: str
    fastest: str
    run: LatencyRun

    def results(self, window_s: float) -> tuple[Result, ...]:
        """Return a row of a report for the control, and one for the fastest form if it is another.

        `window_s` is what MACs are counted for.
        """
        rows = [self._result(CONTROL, self.control, "naive", window_s)]
        if self.fastest != self.control:
            rows.append(self._result(FASTEST, self.fastest, "model", window_s))
        return tuple(rows)

    def _result(self, name: str, form: str, entry: str, window_s: float) -> Result:
        path = self.forms[form]
        found = (*count(path, window_s), *self.run.measurements(entry))
        details = {"form": form, "latency": self.run.to_dict(entry)}
        return Result(name, "reference", sha256_file(path), found, details=details)


class Baseline:
    """The control of all latencies of a chain, and the FP32 forms of the same network.

    The control is the plain export of the last network that was trained, in the representation
    that it was trained in; an exact conversion is not a training. `retrained` tells that it was
    trained after a conversion: its plain export is then not that of the 3-D network.
    """

    def __init__(self, steps: Sequence[Step], bench: Bench) -> None:
        """Take the steps of the chain; what they give is taken in by `add`."""
        self._last, self._bench = last_training(steps), bench
        self._networks: dict[str, Measured] = {}
        self._step, self._known, self._converted = "", False, False
        self.retrained = False

    def add(self, step: Step, details: Mapping[str, Any], measured: Measured) -> None:
        """Take in the network that a step gave; `details` are those of the step."""
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
        """The plain export, `None` as long as a training is still to come."""
        return self._networks[self._step].naive if self._known else None

    def latency(self, model: Path, control: Path) -> LatencyRun:
        """Return the latency of `model` on the target of the chain, interleaved with `control`."""
        return latency(model, control, self._bench.target, self._bench.cache, self._bench.emit)

    @property
    def told(self) -> str:
        """What the control is, in words."""
        return f"the plain FP32 export of {self._step}"

    def references(self) -> References:
        """Measure the control and the fastest FP32 form, interleaved.

        Of many forms timed once, the fastest has been lucky as well: it is timed once more, against
        the control alone.
        """
        target, cache = self._bench.target, self._bench.cache
        forms = {
            f"{step}: {name}": path
            for step, measured in self._networks.items()
            for name, path in measured.forms.items()
        }
        control = next(name for name, path in forms.items() if path == self.control)
        first = timed(forms, control, target, cache, self._bench.emit)
        fastest = min(forms, key=lambda form: first.models[form].p50_us)
        run = self.latency(forms[fastest], forms[control])
        if run.models["model"].p50_us >= run.models["naive"].p50_us:
            fastest = control
        return References(forms, control, fastest, run)


@dataclass(frozen=True)
class AgainstFp32:
    """A bundle's model beside the fastest FP32 form and the control of its chain."""

    details: dict[str, Any]
    sentences: tuple[str, ...]


def against_fp32(
    model: Path, against_control: LatencyRun, references: References, baseline: Baseline
) -> AgainstFp32:
    """Measure a bundle's model against the fastest FP32 form, and say what INT8 buys.

    `against_control` is its run beside the control.
    """
    fp32 = references.forms[references.fastest]
    run = baseline.latency(model, fp32)
    one, other = run.models["model"], run.models["naive"]
    details = {
        "control_form": references.control,
        "fastest_fp32": references.fastest,
        "fastest_fp32_p50_us": other.p50_us,
        "fastest_fp32_size_kib": _size_kib(fp32),
        "of_fastest_fp32": one.ratio,
        "of_fastest_fp32_ci95": one.ratio_ci95,
    }
    naive = against_control.models["naive"]
    times = (
        f"{_p50(against_control.models['model'])}, {_times(one)} that of the fastest FP32 form "
        f"({references.fastest}, {_p50(other)}), "
        f"{_times(against_control.models['model'])} that of {baseline.told} ({_p50(naive)})"
    )
    sentences = [f"{_buys(model, fp32, one)}: {times}"]
    if baseline.retrained and references.fastest != references.control:
        sentences.append(
            f"{baseline.told} is that of a network trained after the conversion to 2-D: the ratio "
            f"to quote is the one to the fastest FP32 form, {_times(one)}"
        )
    return AgainstFp32(details, tuple(sentences))


def card_lines(run: LatencyRun) -> tuple[str, ...]:
    """Return what a model card says of a bundle's latency before it is compared with FP32."""
    one, threads = run.models["model"], run.fingerprint["threads"]
    percentiles = (
        f"p{q} {figures.estimate('latency_p50_us', value, ci95)}"
        for q, value, ci95 in (
            (50, one.p50_us, one.p50_ci95),
            (90, one.p90_us, one.p90_ci95),
            (99, one.p99_us, one.p99_ci95),
        )
    )
    where = f"{run.fingerprint['cpu']}, {threads} thread{'s' * (threads > 1)}"
    waiting = (
        f"{one.left_out} of {one.blocks} blocks of runs, spent waiting for a CPU, do not count"
    )
    return f"one inference on {where}, {run.measured_at}: {', '.join(percentiles)}", waiting


def conditions(results: Sequence[Result], since: str) -> list[str]:
    """Say which latencies are older than `since`, and what was left out as waiting for a CPU."""
    timed = {r.name: r.details["latency"] for r in results if "latency" in r.details}
    old = {name: at for name, told in timed.items() if (at := told["measured_at"]) < since}
    waited = [
        f"{name} {told['left_out_waiting']:,} of {told['blocks']:,}"
        for name, told in timed.items()
        if told["left_out_waiting"]
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


def _times(one: ModelLatency) -> str:
    if one.ratio is None or one.ratio_ci95 is None:
        return "(no ratio, the machine was too busy) beside"
    bounds = figures.interval("latency_ratio", one.ratio_ci95)
    return f"{figures.ratio(one.ratio)} × {bounds}"


def _p50(one: ModelLatency) -> str:
    return figures.figure("latency_p50_us", one.p50_us)


def _buys(model: Path, fp32: Path, one: ModelLatency) -> str:
    """Say what the INT8 model has over FP32: size, speed, both or neither."""
    import onnx

    from edgekws.metrics.graph import int8_coverage

    if not int8_coverage(onnx.load(str(model))):
        return "latency in FP32"
    sizes = _size_kib(model), _size_kib(fp32)
    size = "size" if sizes[0] < sizes[1] else "no size"
    faster = one.ratio_ci95 is not None and one.ratio_ci95[1] < 1
    speed = "and speed" if faster else "and not speed" if size == "size" else "and no speed"
    own, other = (figures.figure("size_kib", kib) for kib in sizes)
    return f"INT8 buys {size} ({own} instead of {other}) {speed}"


def _size_kib(path: Path) -> float:
    return path.stat().st_size / 1024
