"""What a target gives back: latencies of several models, measured in one run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgekws.core.measurement import METRICS, Measurement
from edgekws.errors import MachineError

Files = Path | Sequence[Path]
"""One model, or a chain of them, each fed with the first output of the one before."""


def chain(files: Files) -> tuple[Path, ...]:
    """Return the models in the order in which they run.

    >>> chain(Path("model.onnx")), len(chain([Path("frontend.onnx"), Path("model.onnx")]))
    ((PosixPath('model.onnx'),), 2)
    """
    return (files,) if isinstance(files, Path) else tuple(files)


@dataclass(frozen=True)
class ModelLatency:
    """Latency of one model in µs per inference, over `n` runs, on a CPU that it has.

    `ratio` is its median over the control's, `None` where the control was not level; intervals
    are 95 %, over the processes that were measured in. Of `blocks` of runs, `left_out` were spent
    waiting for a CPU and do not count.
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


@dataclass(frozen=True)
class LatencyRun:
    """Models measured interleaved with a control, which was entered twice.

    `level` tells whether the control equalled itself: `control_ratio` is its second entry over
    its first. `attempts` is 2 where the first was not level. `measured_at` is the date and
    time, and `cached` tells that they are not those of now.
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

    def measurements(self, name: str) -> tuple[Measurement, ...]:
        """Return the percentiles of one model and, where the control was level, the ratio.

        >>> bounds = ((19.9, 20.2), (24.8, 25.3), (38.0, 43.0))
        >>> one = ModelLatency(20.0, 25.0, 40.0, *bounds, 800, 0.5, (0.49, 0.51))
        >>> run = LatencyRun({"a": one}, "a", True, 1.0, (0.99, 1.01), 1, {})
        >>> [m.metric for m in run.measurements("a")][-2:]
        ['latency_p99_us', 'latency_ratio']
        """
        one = self.models[name]
        found = [
            Measurement("latency_p50_us", one.p50_us, "µs", one.n, one.p50_ci95),
            Measurement("latency_p90_us", one.p90_us, "µs", one.n, one.p90_ci95),
            Measurement("latency_p99_us", one.p99_us, "µs", one.n, one.p99_ci95),
        ]
        if one.ratio is not None:
            unit = METRICS["latency_ratio"]
            found.append(Measurement("latency_ratio", one.ratio, unit, one.n, one.ratio_ci95))
        return tuple(found)

    def without_ratios(self) -> "LatencyRun":
        """Return the run as one of a model that had no control but itself."""
        models = {name: replace(m, ratio=None, ratio_ci95=None) for name, m in self.models.items()}
        return replace(self, models=models)

    def conditions(self, name: str) -> tuple[str, ...]:
        """Say what is to be known of a model's latency: that it is an old one, or not of all runs.

        >>> one = ModelLatency(*[20.0] * 3, *[(19.0, 21.0)] * 3, 800, 0.5, (0.4, 0.6), 90, 7)
        >>> old = ("2026-01-31 12:00", True)
        >>> run = LatencyRun({"a": one}, "a", True, 1.0, (1.0, 1.0), 1, {}, *old)
        >>> run.conditions("a")[0]
        'measured 2026-01-31 12:00, from the cache'
        >>> run.conditions("a")[1]
        '7 of 90 blocks of runs left out, spent waiting for a CPU'
        """
        one = self.models[name]
        told = [f"measured {self.measured_at}, from the cache"] if self.cached else []
        if one.left_out:
            share = f"{one.left_out} of {one.blocks} blocks of runs"
            told.append(f"{share} left out, spent waiting for a CPU")
        return tuple(told)

    def to_dict(self, name: str) -> dict[str, Any]:
        """Return what a report shows beside the measurements: the control and its evenness."""
        return {
            "control": self.control,
            "control_p50_us": self.models[self.control].p50_us,
            "level": self.level,
            "control_ratio": self.control_ratio,
            "control_ratio_ci95": list(self.control_ratio_ci95),
            "attempts": self.attempts,
            "runs": self.models[name].n,
            "blocks": self.models[name].blocks,
            "left_out_waiting": self.models[name].left_out,
            "measured_at": self.measured_at,
            "from_cache": self.cached,
        }


_RUN = TypeAdapter(LatencyRun)


def parsed(told: bytes | str) -> LatencyRun:
    """Return the run that the harness printed.

    Raises:
        MachineError: it printed something else.
    """
    try:
        return _RUN.validate_json(told)
    except ValidationError as error:
        raise MachineError(f"the latency harness printed no result: {error}") from error
