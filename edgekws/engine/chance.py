"""Whether a model does better than a guess."""

from collections.abc import Iterable

from edgekws.core import figures
from edgekws.core.events import Emit, Event
from edgekws.core.measurement import Measurement

_JUDGED = ("accuracy", "macro_recall", "keyword_recall")


def chance_warning(found: Iterable[Measurement], n_labels: int) -> str | None:
    """Return a warning where a score may be no better than a uniform guess among the labels.

    A score without an interval is taken as it is.

    >>> chance_warning([Measurement("accuracy", 0.2, ci95=(0.12, 0.31))], 7)
    'accuracy is 20.0 %, 95 % interval from 12.0 %: no better than a guess among 7 labels (14.3 %)'
    >>> chance_warning([Measurement("accuracy", 0.9, ci95=(0.85, 0.95))], 7)
    """
    for one in found:
        low = one.ci95[0] if one.ci95 else one.value
        if one.metric in _JUDGED and low <= 1 / n_labels:
            value = f"{figures.share(one.value)}, 95 % interval from {figures.share(low)}"
            return (
                f"{figures.title(one.metric)} is {value}: "
                f"no better than a guess among {n_labels} labels ({figures.share(1 / n_labels)})"
            )
    return None


def warn_of_chance(name: str, found: Iterable[Measurement], n_labels: int, emit: Emit) -> None:
    """Emit the warning of `chance_warning`, where there is one, with the name of the model."""
    if (text := chance_warning(found, n_labels)) is not None:
        emit(Event("warning", f"{name}: {text}"))
