"""Figures as people read them."""

from collections.abc import Callable

from edgekws.core.measurement import CONTINUOUS, METRICS, SHARES, Measurement, Verdict
from edgekws.metrics.intervals import care


def count(value: float) -> str:
    """Write a whole number.

    >>> count(9184.0)
    '9,184'
    """
    return f"{value:,.0f}"


def large(value: float) -> str:
    """Write a number of operations with its prefix.

    >>> large(523_400), large(26_000_000), large(950)
    ('0.52 M', '26.0 M', '950')
    """
    if value < 10_000:
        return count(value)
    return f"{value / 1e6:.2f} M" if value < 1e7 else f"{value / 1e6:,.1f} M"


def share(value: float) -> str:
    """Write a share of one as percent.

    >>> share(0.951), share(1)
    ('95.1 %', '100.0 %')
    """
    return f"{100 * value:.1f} %"


def micros(value: float) -> str:
    """Write microseconds, with three digits where there are fewer before the point.

    >>> micros(3.7), micros(24.13), micros(1298.4)
    ('3.70 µs', '24.1 µs', '1,298 µs')
    """
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} µs"


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


def hourly(value: float) -> str:
    """Write events an hour.

    >>> hourly(0.0), hourly(1.54), hourly(222.4)
    ('0.0', '1.5', '222')
    """
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}"


_BY_UNIT: dict[str, Callable[[float], str]] = {
    "/s": lambda value: f"{large(value)}/s",
    "KiB": lambda value: f"{value:,.1f} KiB",
    "µs": micros,
    "ms": lambda value: f"{value:,.0f} ms",
    "/h": lambda value: f"{hourly(value)}/h",
}

_FORMS: dict[str, Callable[[float], str]] = {
    "params": count,
    "latency_ratio": lambda value: f"{value:.2f} ×",
    **{name: _BY_UNIT[unit] for name, unit in METRICS.items() if unit in _BY_UNIT},
}


def metric(name: str, value: float | None) -> str:
    """Write a value of a metric with its unit.

    >>> metric("macs", 523_400), metric("min_share", None), metric("int8_coverage", 0.998)
    ('0.52 M/s', '–', '99.8 %')
    """
    if value is None or value != value:
        return "–"
    return _FORMS.get(name, share)(value)


def measured(found: Measurement | None) -> str:
    """Write a measurement, an estimated share with its 95 % interval.

    >>> measured(Measurement("accuracy", 0.951, ci95=(0.93, 0.968)))
    '95.1 % [93.0, 96.8]'
    """
    if found is None:
        return "–"
    text = metric(found.metric, found.value)
    if found.ci95 is None or (found.metric in _FORMS and found.metric not in CONTINUOUS):
        return text
    if found.metric in _FORMS:
        low, high = map(hourly, found.ci95)
        return f"{text} [{low}, {high}]"
    low, high = (f"{100 * bound:.1f}" for bound in found.ci95)
    return f"{text} [{low}, {high}]"


def with_care(found: Measurement | None) -> str:
    """Write a measurement, and where it rests on few speakers, on how many.

    >>> with_care(Measurement("accuracy", 0.951, ci95=(0.85, 0.99), speakers=3))
    '95.1 % [85.0, 99.0], 3 speakers: read it with care'
    """
    text, warning = measured(found), care(found.speakers) if found else ""
    return f"{text}, {warning}" if warning else text


def margin(verdict: Verdict) -> str:
    """Write what is left of a limit, or by how much it is broken; of a share in points.

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
