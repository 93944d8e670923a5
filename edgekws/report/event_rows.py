"""Misses and false alarms as text."""

from collections.abc import Mapping
from typing import Any

from edgekws.metrics.event_intervals import Basis
from edgekws.metrics.intervals import FEW_SPEAKERS, Interval, care
from edgekws.spotting.proof import proof, span
from edgekws.spotting.results import EventEvaluation, KeywordEvents

HEADS = (
    *("keyword", "threshold", "labels", "misses", "% [95 %]", "false alarms", "per hour [95 %]"),
    *("repeats", "other keyword", "end error", "delay"),
)


def title(evaluation: EventEvaluation) -> str:
    """Return how much audio there was."""
    free, plural = span(evaluation.keyword_free_s), "s" if evaluation.recordings > 1 else ""
    recordings = f"{evaluation.recordings} recording{plural}"
    return f"{recordings}, {span(evaluation.audio_s)}, {free} of it free of keywords"


def rows(evaluation: EventEvaluation) -> list[list[str]]:
    """Return a row of cells for each keyword, and for all together, under `HEADS`."""
    return [_row(events, evaluation.total) for events in (*evaluation.keywords, evaluation.total)]


def settings_line(evaluation: EventEvaluation) -> str:
    """Return the settings that all keywords share."""
    settings = evaluation.settings
    return (
        f"smoothing {settings['smoothing_ms']:g} ms, refractory {settings['refractory_ms']:g} ms, "
        f"timing offset {_offset(settings)}, tolerance {1000 * evaluation.tolerance_s:g} ms"
    )


def _offset(settings: Mapping[str, Any]) -> str:
    """Return the timing offset, or the range of those of the keywords."""
    each = settings.get("timing_offsets_ms")
    if not each:
        return f"{settings['timing_offset_ms']:g} ms"
    return f"{min(each.values()):g} to {max(each.values()):g} ms"


def lines(evaluation: EventEvaluation) -> list[str]:
    """Return the lines below the table."""
    return [
        settings_line(evaluation),
        basis_line(evaluation.total),
        proof(evaluation.total, evaluation.keyword_free_s),
    ]


def basis_line(total: KeywordEvents) -> str:
    """Return over how many speakers or recordings the intervals are taken."""
    over, alarms = total.miss_rate_basis, total.false_alarms_per_hour_basis
    misses = f"misses {basis(over)}; " if over else ""
    few = care(min((b.speakers for b in (over, alarms) if b and b.speakers), default=None))
    return f"95 % intervals: {misses}false alarms {basis(alarms)}" + (f"; {few}" if few else "")


def basis(over: Basis) -> str:
    """Write what an interval is taken over.

    >>> basis(Basis("by speaker", 25, 3)), basis(Basis("by recording", 1, 3))
    ('by speaker (25, and 3 recordings without one)', 'by recording (only 4)')
    >>> basis(Basis("if independent", 0, 1)), basis(Basis("one speaker", 1, 0))
    ('if independent (one recording)', 'of one speaker: no interval')
    """
    if over.kind == "by speaker":
        plural = "s" if over.recordings > 1 else ""
        alone = f", and {over.recordings} recording{plural} without one" if over.recordings else ""
        return f"{over.kind} ({_few(over.speakers)}{alone})"
    if over.kind == "by recording":
        return f"{over.kind} ({_few(over.speakers + over.recordings)})"
    return "of one speaker: no interval" if over.speakers else f"{over.kind} (one recording)"


def _few(groups: int) -> str:
    return f"only {groups}" if groups < FEW_SPEAKERS else str(groups)


def _row(events: KeywordEvents, total: KeywordEvents) -> list[str]:
    return [
        events.keyword,
        ""
        if events.threshold is None
        else f"{events.threshold:.3f}"
        if events.threshold <= 1
        else "never",
        str(events.labels),
        str(events.misses),
        _miss_rate(events) + _unlike(events.miss_rate_basis, total.miss_rate_basis),
        str(events.false_alarms),
        _doubted(events.false_alarms_per_hour, events.false_alarms_per_hour_ci95, ".2f"),
        str(events.repeats),
        str(events.confusions),
        "–" if events.end_error_ms is None else f"{events.end_error_ms:.0f} ms",
        _delay(events),
    ]


def _delay(events: KeywordEvents) -> str:
    """Write median and 90th percentile of the time from a keyword's end to its event."""
    if events.delay_ms is None or events.delay_p90_ms is None:
        return "–"
    return f"{events.delay_ms:.0f} ms (p90 {events.delay_p90_ms:.0f})"


def _miss_rate(events: KeywordEvents) -> str:
    if events.miss_rate is None:
        return "–"
    ci95 = events.miss_rate_ci95
    bounds = (100 * ci95[0], 100 * ci95[1]) if ci95 else None
    return _doubted(100 * events.miss_rate, bounds, ".1f")


def _doubted(value: float, ci95: Interval | None, form: str) -> str:
    """Write a figure and its interval, or why it has none."""
    if ci95 is None:
        return f"{value:{form}} (one speaker)"
    return f"{value:{form}} [{ci95[0]:{form}}, {ci95[1]:{form}}]"


def _unlike(own: Basis | None, total: Basis | None) -> str:
    """Return the words for an interval that holds by other means than the line below says."""
    return " if independent" if own and own != total and own.kind == "if independent" else ""
