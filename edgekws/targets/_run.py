"""What a target gives back: latencies of several models, measured in one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgekws.core.measurement import Measurement
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
    """Latency of one model in µs per inference, over `n` runs.

    `ratio` is its median over the control's, `None` where the control was not level; intervals
    are 95 %.
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


@dataclass(frozen=True)
class LatencyRun:
    """Models measured interleaved with a control, which was entered twice.

    `level` tells whether the control equalled itself: `control_ratio` is its second entry over
    its first. `attempts` is 2 where the first was not level.
    """

    models: dict[str, ModelLatency]
    control: str
    level: bool
    control_ratio: float
    control_ratio_ci95: tuple[float, float]
    attempts: int
    fingerprint: dict[str, Any]

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
            found.append(Measurement("latency_ratio", one.ratio, "× naive", one.n, one.ratio_ci95))
        return tuple(found)

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
