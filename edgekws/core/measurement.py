"""Measurements, and the budget they are held against."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Op = Literal["max", "min"]

METRICS: dict[str, str] = {
    "params": "",
    "macs": "/s",
    "size_kib": "KiB",
    "peak_ram_kib": "KiB",
    "int8_coverage": "",
    "accuracy": "",
    "macro_recall": "",
    "unknown_accepted": "",
    "latency_p50_us": "µs",
    "latency_p90_us": "µs",
    "latency_p99_us": "µs",
    "latency_ratio": "× naive",
    "front_end_macs": "/s",
    "front_end_latency_p50_us": "µs",
}
"""Every metric that a budget can name, with its unit."""

SHARES = ("int8_coverage", "accuracy", "macro_recall", "unknown_accepted")
"""Those that lie between 0 and 1."""


@dataclass(frozen=True)
class Measurement:
    """One figure: `n` samples behind it, `ci95` the 95 % interval where it is an estimate."""

    metric: str
    value: float
    unit: str = ""
    n: int | None = None
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True)
class Limit:
    """A bound on one metric."""

    metric: str
    op: Op
    value: float

    @staticmethod
    def parse(key: str, value: float) -> "Limit":
        """Read `max_params = 10_000`.

        >>> Limit.parse("max_params", 10_000)
        Limit(metric='params', op='max', value=10000)

        Raises:
            ValueError: `key` is not `max_` or `min_` and a known metric.
        """
        op, _, metric = key.partition("_")
        if op not in ("max", "min") or metric not in METRICS:
            raise ValueError(f"{key} is not max_ or min_ and one of {', '.join(METRICS)}")
        return Limit(metric, "max" if op == "max" else "min", value)

    @property
    def key(self) -> str:
        """The recipe's spelling, `max_params`."""
        return f"{self.op}_{self.metric}"


@dataclass(frozen=True)
class Verdict:
    """A limit held against a measurement.

    `margin` is what is left, as a share of the limit: negative when broken; `None` where the
    metric was not measured, which fails.
    """

    limit: Limit
    measured: float | None
    margin: float | None
    ok: bool


@dataclass(frozen=True)
class Budget:
    """Limits on measurements."""

    limits: tuple[Limit, ...] = ()

    def check(self, measurements: Iterable[Measurement]) -> tuple[Verdict, ...]:
        """Judge every limit; a metric that is missing or not a number fails.

        >>> budget = Budget((Limit("params", "max", 10_000), Limit("accuracy", "min", 0.95)))
        >>> [v.ok for v in budget.check([Measurement("params", 9_000)])]
        [True, False]
        """
        values = {m.metric: m.value for m in measurements}
        return tuple(_judge(limit, values.get(limit.metric)) for limit in self.limits)


def _judge(limit: Limit, value: float | None) -> Verdict:
    if value is None or value != value:
        return Verdict(limit, None, None, ok=False)
    room = limit.value - value if limit.op == "max" else value - limit.value
    return Verdict(limit, value, room / abs(limit.value) if limit.value else room, ok=room >= 0)
