"""Measurements, and the budgets they are checked against."""

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
    "keyword_recall": "",
    "unknown_recall": "",
    "silence_recall": "",
    "unknown_accepted": "",
    "miss_rate": "",
    "false_alarms_per_hour": "/h",
    "detection_delay_ms": "ms",
    "unheard_accepted": "",
    "latency_p50_us": "µs",
    "latency_p90_us": "µs",
    "latency_p99_us": "µs",
    "latency_ratio": "× plain export",
    "front_end_size_kib": "KiB",
    "front_end_macs": "/s",
    "front_end_peak_ram_kib": "KiB",
    "front_end_latency_p50_us": "µs",
    "front_end_latency_p90_us": "µs",
    "bundle_size_kib": "KiB",
    "total_macs": "/s",
    "total_peak_ram_kib": "KiB",
    "total_latency_p50_us": "µs",
    "total_latency_p90_us": "µs",
    "total_latency_p99_us": "µs",
    "flash_kib": "KiB",
    "ram_kib": "KiB",
    "instructions_per_s": "/s",
    "front_end_instructions_per_s": "/s",
    "network_instructions_per_s": "/s",
}
"""Every metric that a budget can name, with its unit.

Metrics without a prefix describe the network, `front_end_…` the graph that feeds it, `total_…`
both together: MACs and buffers summed, latency measured from a window of audio to its label.
`bundle_size_kib` is the size of the files that a device needs (`bundle.device_files`). The last
five are those of a bundle's C on a CPU without an operating system, per second of audio
(`core.footprint`).
"""

FOOTPRINT_METRICS = (
    "flash_kib",
    "ram_kib",
    "instructions_per_s",
    "front_end_instructions_per_s",
    "network_instructions_per_s",
)
"""Metrics that only a target without an operating system has."""

BUNDLE_METRICS = tuple(
    metric
    for metric in METRICS
    if metric.startswith(("front_end_", "total_", "bundle_")) or metric in FOOTPRINT_METRICS
)
"""Metrics that exist for a bundle but not for a network alone."""

WHOLE = {
    "size": ("size_kib", "front_end_size_kib", "bundle_size_kib"),
    "MACs/s": ("macs", "front_end_macs", "total_macs"),
    "peak RAM": ("peak_ram_kib", "front_end_peak_ram_kib", "total_peak_ram_kib"),
    "latency p50": ("latency_p50_us", "front_end_latency_p50_us", "total_latency_p50_us"),
    "latency p90": ("latency_p90_us", "front_end_latency_p90_us", "total_latency_p90_us"),
    "instructions/s": (
        "network_instructions_per_s",
        "front_end_instructions_per_s",
        "instructions_per_s",
    ),
    "flash": ("", "", "flash_kib"),
    "RAM with stack": ("", "", "ram_kib"),
}
"""Costs on a device: the metrics of the network, of its front end and of both together.

An empty name is a part that has no such cost of its own.
"""

WHOLE_NOTE = (
    "Whole: MACs and RAM are the sums of both; latency is timed from a window of audio to its "
    "label; size is both graphs with detect.py, labels.txt and manifest.json."
)
"""Explanation of the last column of a table of `WHOLE`."""

CLIP_KINDS = {
    "keywords, recall": "keyword_recall",
    "_unknown_, recall": "unknown_recall",
    "_unknown_ taken for a keyword": "unknown_accepted",
    "unheard words of _unknown_ taken for a keyword": "unheard_accepted",
    "_silence_, recall": "silence_recall",
}
"""The metric of each kind of clip, by the name that tables show."""

ACCURACIES = (
    "accuracy",
    "macro_recall",
    "keyword_recall",
    "unknown_recall",
    "silence_recall",
    "unknown_accepted",
    "unheard_accepted",
)
"""Metrics that need labelled clips."""

CONTINUOUS = ("miss_rate", "false_alarms_per_hour", "detection_delay_ms")
"""Metrics of keywords in continuous speech, which need streams."""

ALLOWED_PER_HOUR = 2.0
"""False alarms for which thresholds are chosen if a recipe sets no limit."""

SHARES = ("int8_coverage", "miss_rate", *ACCURACIES)
"""Metrics between 0 and 1."""


@dataclass(frozen=True)
class Measurement:
    """One value, over `n` samples; `ci95` is its 95 % interval if it is an estimate.

    `speakers` is the number of speakers of the samples, `None` if they are not known.
    """

    metric: str
    value: float
    unit: str = ""
    n: int | None = None
    ci95: tuple[float, float] | None = None
    speakers: int | None = None


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
            ValueError: `key` is not `max_` or `min_` followed by a known metric.
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
    """A limit checked against a measurement.

    `margin` is the distance to the limit as a share of it, negative if the limit is exceeded;
    `None` if the metric was not measured, which fails.
    """

    limit: Limit
    measured: float | None
    margin: float | None
    ok: bool

    @property
    def room(self) -> float | None:
        """The distance to the limit in the metric's unit, negative if the limit is exceeded."""
        if self.measured is None:
            return None
        over = self.measured - self.limit.value
        return over if self.limit.op == "min" else -over


@dataclass(frozen=True)
class Budget:
    """Limits on measurements."""

    limits: tuple[Limit, ...] = ()

    def check(self, measurements: Iterable[Measurement]) -> tuple[Verdict, ...]:
        """Check every limit; a metric that is missing or not a number fails.

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
