"""Latencies of several models, measured on a target in one run."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgekws.core.measurement import METRICS, Measurement
from edgekws.errors import MachineError

Files = Path | Sequence[Path]
"""One model, or a chain in which each model takes the first output of the previous one."""


def chain(files: Files) -> tuple[Path, ...]:
    """Return the models in execution order.

    >>> chain(Path("model.onnx")), len(chain([Path("frontend.onnx"), Path("model.onnx")]))
    ((PosixPath('model.onnx'),), 2)
    """
    return (files,) if isinstance(files, Path) else tuple(files)


@dataclass(frozen=True)
class ModelLatency:
    """Latency of one model in µs per inference, over `n` runs, while it has a CPU.

    `ratio` is its median over the control's, `None` if the control was not level; intervals
    are 95 %, over the measuring processes. Of `blocks` of runs, `left_out` were spent waiting for
    a CPU and are not counted. `form` is what ran, where the target leaves that open.
    """

    p50_us: float
    p90_us: float
    p99_us: float
    p50_ci95: tuple[float, float]
    p90_ci95: tuple[float, float]
    p99_ci95: tuple[float, float]
    n: int
    ratio: float | None
    ratio_ci95: tuple[float, float] | None
    blocks: int = 0
    left_out: int = 0
    form: str = ""


@dataclass(frozen=True)
class LatencyRun:
    """Models measured interleaved with a control, which is entered twice.

    `level` is whether both entries of the control agree: `control_ratio` is the second over the
    first. `attempts` is above 1 if the first attempt was not level. `measured_at` is the date and
    time; `cached` is whether the run was read from the cache. `refused` are the models that cannot
    run on the target and are not in `models`, with the reason.
    """

    models: dict[str, ModelLatency]
    control: str
    level: bool
    control_ratio: float
    control_ratio_ci95: tuple[float, float]
    attempts: int
    fingerprint: dict[str, Any]
    measured_at: str = ""
    cached: bool = False
    refused: dict[str, str] = field(default_factory=dict)

    def p50_us(self, name: str) -> float:
        """Return the median of a model; infinite if it cannot run on the target."""
        return self.models[name].p50_us if name in self.models else float("inf")

    def measurements(self, name: str) -> tuple[Measurement, ...]:
        """Return the percentiles of one model and, if the control was level, the ratio.

        There are none of a model that cannot run on the target.

        >>> bounds = ((19.9, 20.2), (24.8, 25.3), (38.0, 43.0))
        >>> latency = ModelLatency(20.0, 25.0, 40.0, *bounds, 800, 0.5, (0.49, 0.51))
        >>> run = LatencyRun({"a": latency}, "a", True, 1.0, (0.99, 1.01), 1, {})
        >>> [m.metric for m in run.measurements("a")][-2:]
        ['latency_p99_us', 'latency_ratio']
        """
        if name not in self.models:
            return ()
        model = self.models[name]
        measurements = [
            Measurement("latency_p50_us", model.p50_us, "µs", model.n, model.p50_ci95),
            Measurement("latency_p90_us", model.p90_us, "µs", model.n, model.p90_ci95),
            Measurement("latency_p99_us", model.p99_us, "µs", model.n, model.p99_ci95),
        ]
        if model.ratio is not None:
            unit = METRICS["latency_ratio"]
            measurements.append(
                Measurement("latency_ratio", model.ratio, unit, model.n, model.ratio_ci95)
            )
        return tuple(measurements)

    def without_ratios(self) -> "LatencyRun":
        """Return the run without ratios, for a model that is its own control."""
        models = {name: replace(m, ratio=None, ratio_ci95=None) for name, m in self.models.items()}
        return replace(self, models=models)

    def conditions(self, name: str) -> tuple[str, ...]:
        """Return remarks on a model's latency: that it is cached, or which runs are left out.

        >>> latency = ModelLatency(*[20.0] * 3, *[(19.0, 21.0)] * 3, 800, 0.5, (0.4, 0.6), 90, 7)
        >>> old = ("2026-01-31 12:00", True)
        >>> run = LatencyRun({"a": latency}, "a", True, 1.0, (1.0, 1.0), 1, {}, *old)
        >>> run.conditions("a")[0]
        'measured 2026-01-31 12:00, from the cache'
        >>> run.conditions("a")[1]
        '7 of 90 blocks of runs left out, spent waiting for a CPU'
        """
        remarks = [f"measured {self.measured_at}, from the cache"] if self.cached else []
        if name in self.refused:
            return (*remarks, self.refused[name])
        model = self.models[name]
        if model.form:
            remarks.append(model.form)
        if model.left_out:
            share = f"{model.left_out} of {model.blocks} blocks of runs"
            remarks.append(f"{share} left out, spent waiting for a CPU")
        return tuple(remarks)

    def to_dict(self, name: str) -> dict[str, Any]:
        """Return the details that a report shows: the control, its ratio and the counts of runs."""
        model, control = self.models.get(name), self.models.get(self.control)
        return {
            "control": self.control,
            "control_p50_us": control.p50_us if control else None,
            "level": self.level,
            "control_ratio": self.control_ratio,
            "control_ratio_ci95": list(self.control_ratio_ci95),
            "attempts": self.attempts,
            "runs": model.n if model else 0,
            "blocks": model.blocks if model else 0,
            "left_out_waiting": model.left_out if model else 0,
            "measured_at": self.measured_at,
            "from_cache": self.cached,
        }


_RUN = TypeAdapter(LatencyRun)


def parse_latency_run(output: bytes | str) -> LatencyRun:
    """Parse the output of the latency harness.

    Raises:
        MachineError: `output` is not a run.
    """
    try:
        return _RUN.validate_json(output)
    except ValidationError as error:
        raise MachineError(f"the latency harness printed no result: {error}") from error
