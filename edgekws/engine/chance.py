"""Warnings on models that do no better than chance."""

from collections.abc import Iterable

from edgekws.core import figures
from edgekws.core.events import Emit, Event
from edgekws.core.measurement import Measurement

_JUDGED = ("accuracy", "macro_recall", "keyword_recall")


def chance_warning(measurements: Iterable[Measurement], n_labels: int) -> str | None:
    """Return a warning if a score may be no better than a uniform guess among the labels.

    A score without an interval is compared directly.

    >>> chance_warning([Measurement("accuracy", 0.2, ci95=(0.12, 0.31))], 7)
    'accuracy is 20.0 %, 95 % interval from 12.0 %: no better than a guess among 7 labels (14.3 %)'
    >>> chance_warning([Measurement("accuracy", 0.9, ci95=(0.85, 0.95))], 7)
    """
    for measurement in measurements:
        low = measurement.ci95[0] if measurement.ci95 else measurement.value
        if measurement.metric in _JUDGED and low <= 1 / n_labels:
            value = f"{figures.share(measurement.value)}, 95 % interval from {figures.share(low)}"
            return (
                f"{figures.title(measurement.metric)} is {value}: "
                f"no better than a guess among {n_labels} labels ({figures.share(1 / n_labels)})"
            )
    return None


def warn_of_chance(
    name: str, measurements: Iterable[Measurement], n_labels: int, emit: Emit
) -> None:
    """Emit the warning of `chance_warning`, if any, with the name of the model."""
    if (text := chance_warning(measurements, n_labels)) is not None:
        emit(Event("warning", f"{name}: {text}"))
