"""How figures are written for people."""

from edgekws.core.measurement import METRICS, Measurement

_SHARES = ("accuracy", "macro_recall", "unknown_accepted", "int8_coverage")
_COUNTS = ("macs", "front_end_macs")

TITLES = {
    "params": "parameters",
    "macs": "MACs/s",
    "size_kib": "size",
    "peak_ram_kib": "peak memory",
    "int8_coverage": "INT8 coverage",
    "macro_recall": "macro recall",
    "unknown_accepted": "unknown accepted",
    "latency_p50_us": "latency p50",
    "latency_p90_us": "latency p90",
    "latency_p99_us": "latency p99",
    "latency_ratio": "× naive FP32",
    "front_end_macs": "front end MACs/s",
    "front_end_latency_p50_us": "front end p50",
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
    if metric in _SHARES:
        return f"{100 * value:.1f} %"
    if metric in _COUNTS:
        return large(value)
    unit = METRICS.get(metric, "")
    return f"{amount(value)} {unit}" if unit in ("KiB", "µs") else amount(value)


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
        return ""
    low, high = (figure(one.metric, bound) for bound in one.ci95)
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
