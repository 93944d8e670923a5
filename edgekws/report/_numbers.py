"""How figures are written for people."""

from edgekws.core.measurement import METRICS, SHARES, Measurement, Verdict
from edgekws.metrics.intervals import care

_SHARE_ENDS = ("accuracy", "recall", "agreement", "coverage", "share")
UNITS = {"_kib": "KiB", "_us": "µs", "_ms": "ms", "_db": "dB"}
"""The units that the ends of keys name."""

TITLES = {
    "params": "parameters",
    "macs": "MACs/s",
    "size_kib": "size",
    "peak_ram_kib": "peak memory",
    "int8_coverage": "INT8 coverage",
    "macro_recall": "macro recall",
    "keyword_recall": "recall of keywords",
    "unknown_recall": "recall of _unknown_",
    "silence_recall": "recall of _silence_",
    "unknown_accepted": "_unknown_ accepted",
    "miss_rate": "misses",
    "false_alarms_per_hour": "false alarms an hour",
    "detection_delay_ms": "delay",
    "latency_p50_us": "latency p50",
    "latency_p90_us": "latency p90",
    "latency_p99_us": "latency p99",
    "latency_ratio": "× plain export",
    "front_end_macs": "front end MACs/s",
    "front_end_size_kib": "front end size",
    "front_end_peak_ram_kib": "front end peak memory",
    "front_end_latency_p50_us": "front end p50",
    "front_end_latency_p90_us": "front end p90",
    "bundle_size_kib": "bundle size",
    "total_macs": "total MACs/s",
    "total_peak_ram_kib": "total peak memory",
    "total_latency_p50_us": "total p50",
    "total_latency_p90_us": "total p90",
    "total_latency_p99_us": "total p99",
}
"""What metrics are called in tables."""


def title(metric: str) -> str:
    """Return what `metric` is called in a table."""
    return TITLES.get(metric, metric.replace("_", " "))


def figure(metric: str, value: float) -> str:
    """Write a value of `metric` with its unit.

    >>> figure("accuracy", 0.9534), figure("macs", 448_120), figure("params", 13_500)
    ('95.3 %', '448 k', '13,500')
    >>> figure("latency_p50_us", 23.48), figure("latency_ratio", 0.391), figure("size_kib", 23.9)
    ('23.5 µs', '0.391', '23.9 KiB')
    """
    if metric in SHARES:
        return f"{100 * value:.1f} %"
    unit = METRICS.get(metric, "")
    if unit == "/s":
        return large(value)
    return f"{amount(value)} {unit}" if unit in ("KiB", "µs", "ms") else amount(value)


def margin(verdict: Verdict) -> str:
    """Write what is left of a limit: of a share in percentage points, else as part of the limit.

    >>> from edgekws.core.measurement import Limit
    >>> margin(Verdict(Limit("params", "max", 100), 92, 0.08, ok=True))
    '+8.0 %'
    >>> margin(Verdict(Limit("accuracy", "min", 0.9), 0.975, 0.083, ok=True))
    '+7.5 pp'
    """
    if verdict.margin is None or verdict.room is None:
        return "–"
    if verdict.limit.metric in SHARES:
        return f"{100 * verdict.room:+.1f} pp"
    return f"{100 * verdict.margin:+.1f} %"


def amount(value: float) -> str:
    """Write a number to three digits, or all that stand before the point.

    >>> amount(2754.2), amount(23.48), amount(0.3912), amount(40.0)
    ('2,754', '23.5', '0.391', '40')
    """
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def large(value: float) -> str:
    """Write a count to three digits.

    >>> large(3_960_000), large(999), large(26_100_000_000)
    ('3.96 M', '999', '26.1 G')
    """
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}" if abs(value) < 999.5 * size else f"{value:.3g}"
    return f"{value:.3g}"


def interval(one: Measurement) -> str:
    """Write the 95 % interval of a measurement, empty where there is none.

    >>> interval(Measurement("accuracy", 0.95, ci95=(0.931, 0.964)))
    '93.1–96.4 %'
    """
    if one.ci95 is None:
        return care(one.speakers)
    warning = f", {care(one.speakers)}" if care(one.speakers) else ""
    return _bounds(one.metric, one.ci95) + warning


def _bounds(metric: str, ci95: tuple[float, float]) -> str:
    low, high = (figure(metric, bound) for bound in ci95)
    unit = low.rpartition(" ")[2]
    return (
        f"{low.removesuffix(f' {unit}')}–{high}" if high.endswith(f" {unit}") else f"{low}–{high}"
    )


def plain(value: object) -> str:
    """Write any scalar of a step's details.

    >>> plain(0.000123456), plain(12), plain(None), plain(True), plain(0.5)
    ('0.0001235', '12', '–', 'yes', '0.5')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


def told(key: str, value: object) -> str:
    """Write a scalar of a step's details with the unit that its key names.

    >>> told("dev_accuracy", 0.98642), told("size_kib", 22.81), told("control_ratio", 0.9991)
    ('98.64 %', '22.8 KiB', '0.9991 ×')
    >>> told("drop", 0.001238), told("epoch", 3), told("pairs", 29_840)
    ('0.12 pp', '3', '29,840')
    """
    if not isinstance(value, float):
        return f"{value:,}" if type(value) is int and abs(value) >= 10_000 else plain(value)
    if key.endswith(_SHARE_ENDS) and 0 <= value <= 1:
        return f"{100 * value:.2f} %"
    if key.endswith("drop") and abs(value) <= 1:
        return f"{100 * value:.2f} pp"
    if key.endswith("ratio") or key.startswith("of_"):
        return f"{plain(value)} ×"
    unit = next((unit for end, unit in UNITS.items() if key.endswith(end)), "")
    return f"{amount(value)} {unit}" if unit else plain(value)


def bounded(key: str, value: object, ci95: object) -> str:
    """Write a scalar with its 95 % interval.

    >>> bounded("control_ratio", 1.004, [0.998, 1.011]), bounded("drop", None, None)
    ('1.004 × [0.998, 1.011]', '–')
    """
    if not isinstance(ci95, list | tuple):
        return told(key, value)
    low, high = (told(key, bound).rpartition(" ")[0] or told(key, bound) for bound in ci95)
    return f"{told(key, value)} [{low}, {high}]"
