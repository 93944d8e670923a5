"""How figures are printed: in a terminal, a page, a model card and the documentation alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgekws.core.measurement import CONTINUOUS, METRICS, SHARES, Measurement, Verdict

NOTHING = "–"
"""What stands where there is no figure."""

_PREFIXES = ((1e9, " G"), (1e6, " M"), (1e3, " k"))


def count(value: float) -> str:
    """Write a whole number.

    >>> count(9184.0)
    '9,184'
    """
    return f"{value:,.0f}"


def amount(value: float) -> str:
    """Write a number to three digits, or all that stand before the point.

    >>> amount(2754.2), amount(23.48), amount(0.3912), amount(40.0), amount(0)
    ('2,754', '23.5', '0.391', '40.0', '0')
    """
    return count(value) if abs(value) >= 99.95 or not value else f"{value:#.3g}"


def large(value: float) -> str:
    """Write a count to three digits, with its prefix.

    >>> large(448_120), large(3_960_000), large(26_000_000), large(999), large(999_700)
    ('448 k', '3.96 M', '26.0 M', '999', '1.00 M')
    """
    for size, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * size:
            return amount(value / size) + prefix
    return count(value)


def tick(value: float) -> str:
    """Write the round number at a tick of an axis, with no more digits than it has.

    >>> tick(1e6), tick(300), tick(0.5), tick(2e4)
    ('1 M', '300', '0.5', '20 k')
    """
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g}{prefix}"
    return f"{value:.3g}"


def share(value: float | None, digits: int = 1) -> str:
    """Write a share of one as percent.

    >>> share(0.951), share(1), share(0.98642, 2), share(None)
    ('95.1 %', '100.0 %', '98.64 %', '–')
    """
    return NOTHING if value is None or value != value else f"{100 * value:.{digits}f} %"


def points(value: float, digits: int = 1) -> str:
    """Write a difference of shares in percentage points, with its sign.

    >>> points(0.0033, 2), points(-0.019), points(0)
    ('+0.33', '−1.9', '+0.0')
    """
    return f"{100 * value:+.{digits}f}".replace("-", "−")


def ratio(value: float) -> str:
    """Write a ratio.

    >>> ratio(0.391), ratio(1.0204)
    ('0.391', '1.020')
    """
    return f"{value:.3f}"


def hourly(value: float) -> str:
    """Write events per hour.

    >>> hourly(0.0), hourly(1.54), hourly(222.4)
    ('0.0', '1.5', '222')
    """
    return count(value) if value >= 99.5 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """Write a time span.

    >>> duration(0.21), duration(65), duration(7384)
    ('0.2 s', '1 min 05 s', '2 h 03 min')
    """
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


@dataclass(frozen=True)
class Style:
    """How a metric is printed: its `title`, its `short` one over a narrow column, its figures.

    `unit` is what `text` ends with; a unit that the title names already is not repeated.
    """

    title: str
    short: str
    text: Callable[[float], str]
    unit: str = ""


_TITLES: dict[str, tuple[str, str]] = {
    "params": ("parameters", "params"),
    "macs": ("MACs/s", "MACs/s"),
    "size_kib": ("size", "size"),
    "peak_ram_kib": ("peak memory", "RAM"),
    "int8_coverage": ("INT8 coverage", "INT8"),
    "accuracy": ("accuracy", "accuracy"),
    "macro_recall": ("macro recall", "macro recall"),
    "keyword_recall": ("recall of keywords", "keywords"),
    "unknown_recall": ("recall of _unknown_", "_unknown_"),
    "silence_recall": ("recall of _silence_", "_silence_"),
    "unknown_accepted": ("_unknown_ accepted", "accepted"),
    "unheard_accepted": ("unheard words accepted", "unheard"),
    "miss_rate": ("misses", "misses"),
    "false_alarms_per_hour": ("false alarms per hour", "false alarms"),
    "detection_delay_ms": ("delay", "delay"),
    "latency_p50_us": ("latency p50", "p50"),
    "latency_p90_us": ("latency p90", "p90"),
    "latency_p99_us": ("latency p99", "p99"),
    "latency_ratio": ("× plain export", "× plain"),
    "front_end_size_kib": ("front end size", "size"),
    "front_end_macs": ("front end MACs/s", "MACs/s"),
    "front_end_peak_ram_kib": ("front end peak memory", "RAM"),
    "front_end_latency_p50_us": ("front end p50", "p50"),
    "front_end_latency_p90_us": ("front end p90", "p90"),
    "bundle_size_kib": ("bundle size", "size"),
    "total_macs": ("total MACs/s", "MACs/s"),
    "total_peak_ram_kib": ("total peak memory", "RAM"),
    "total_latency_p50_us": ("total p50", "p50"),
    "total_latency_p90_us": ("total p90", "p90"),
    "total_latency_p99_us": ("total p99", "p99"),
    "flash_kib": ("flash", "flash"),
    "ram_kib": ("RAM with stack", "RAM"),
    "instructions_per_s": ("instructions/s", "instructions/s"),
    "front_end_instructions_per_s": ("front end instructions/s", "instructions/s"),
    "network_instructions_per_s": ("network instructions/s", "instructions/s"),
}


def _style(metric: str, unit: str) -> Style:
    title, short = _TITLES[metric]
    if metric in SHARES:
        return Style(title, short, share, " %")
    if metric == "params":
        return Style(title, short, count)
    if unit == "/h":
        return Style(title, short, lambda value: f"{hourly(value)}/h", "/h")
    if unit in ("KiB", "µs", "ms"):
        return Style(title, short, lambda value: f"{amount(value)} {unit}", f" {unit}")
    return Style(title, short, large if unit == "/s" else ratio)


STYLES = {metric: _style(metric, unit) for metric, unit in METRICS.items()}
"""How every metric is printed."""


def style(metric: str) -> Style:
    """Return how `metric` is printed; a metric that is not in the table is a plain number."""
    words = metric.replace("_", " ")
    return STYLES.get(metric) or Style(words, words, amount)


def title(metric: str) -> str:
    """Return what `metric` is called in tables and sentences."""
    return style(metric).title


def short(metric: str) -> str:
    """Return what `metric` is called over a narrow column."""
    return style(metric).short


def figure(metric: str, value: float | None) -> str:
    """Write a value of a metric with its unit.

    >>> figure("macs", 523_400), figure("size_kib", 23.94), figure("int8_coverage", 0.998)
    ('523 k', '23.9 KiB', '99.8 %')
    >>> figure("latency_p50_us", 3.7), figure("latency_ratio", 0.391), figure("accuracy", None)
    ('3.70 µs', '0.391', '–')
    """
    return NOTHING if value is None or value != value else style(metric).text(value)


def interval(metric: str, ci95: Sequence[float] | None) -> str:
    """Write a 95 % interval of a metric without its unit, empty where there is none.

    >>> interval("accuracy", (0.931, 0.9641)), interval("latency_p50_us", (8213.6, 9000))
    ('[93.1, 96.4]', '[8,214, 9,000]')
    """
    if ci95 is None:
        return ""
    low, high = (figure(metric, bound).removesuffix(style(metric).unit) for bound in ci95)
    return f"[{low}, {high}]"


def estimate(metric: str, value: float | None, ci95: Sequence[float] | None) -> str:
    """Write a value of a metric with its 95 % interval, where it has one.

    >>> estimate("latency_p50_us", 24.13, (24.0, 24.4)), estimate("accuracy", 0.951, None)
    ('24.1 µs [24.0, 24.4]', '95.1 %')
    """
    return f"{figure(metric, value)} {interval(metric, ci95)}".rstrip()


def measured(measurement: Measurement | None) -> str:
    """Write a measurement; a share or a rate with its 95 % interval.

    >>> measured(Measurement("accuracy", 0.951, ci95=(0.93, 0.968))), measured(None)
    ('95.1 % [93.0, 96.8]', '–')
    >>> measured(Measurement("false_alarms_per_hour", 1.96, ci95=(0.21, 8.0)))
    '2.0/h [0.2, 8.0]'
    """
    if measurement is None:
        return NOTHING
    metric, value, ci95 = measurement.metric, measurement.value, measurement.ci95
    return estimate(metric, value, ci95 if metric in (*SHARES, *CONTINUOUS) else None)


def bound(verdict: Verdict) -> str:
    """Write the limit of a verdict.

    >>> from edgekws.core.measurement import Limit
    >>> bound(Verdict(Limit("size_kib", "max", 40), None, None, ok=False))
    '≤ 40.0 KiB'
    """
    limit = verdict.limit
    return f"{'≤' if limit.op == 'max' else '≥'} {figure(limit.metric, limit.value)}"


def margin(verdict: Verdict) -> str:
    """Write what is left of a limit, or by how much it is exceeded; of a share in points.

    >>> from edgekws.core.measurement import Limit
    >>> margin(Verdict(Limit("params", "max", 100), 92, 0.08, ok=True))
    '+8.0 %'
    >>> margin(Verdict(Limit("params", "max", 100), 103.1, -0.031, ok=False))
    '−3.1 %'
    >>> margin(Verdict(Limit("accuracy", "min", 0.9), 0.88, -0.022, ok=False))
    '−2.0 pp'
    >>> margin(Verdict(Limit("params", "max", 100), None, None, ok=False))
    'not measured'
    """
    if verdict.margin is None or verdict.room is None:
        return "not measured"
    sign = "+" if verdict.margin >= 0 else "−"
    if verdict.limit.metric in SHARES:
        return f"{sign}{100 * abs(verdict.room):.1f} pp"
    digits = 1 if abs(verdict.margin) >= 0.001 or not verdict.margin else 3
    return f"{sign}{100 * abs(verdict.margin):.{digits}f} %"
