"""Misses and false alarms as people read them."""

from edgekws.metrics.event_intervals import Basis
from edgekws.metrics.intervals import FEW_SPEAKERS, Interval
from edgekws.spotting.results import EventEvaluation, KeywordEvents

HEADS = (
    *("keyword", "threshold", "labels", "misses", "% [95 %]", "false alarms", "per hour [95 %]"),
    *("repeats", "heard as another", "end off by"),
)


def title(made: EventEvaluation) -> str:
    """Return how much audio there was."""
    free, plural = span(made.keyword_free_s), "s" if made.recordings > 1 else ""
    return (
        f"{made.recordings} recording{plural}, {span(made.audio_s)}, {free} of it free of keywords"
    )


def rows(made: EventEvaluation) -> list[list[str]]:
    """Return a row of cells for each keyword, and for all together, under `HEADS`."""
    return [_row(one, made.total) for one in (*made.keywords, made.total)]


def span(seconds: float) -> str:
    """Write a time.

    >>> span(1200), span(42.4), span(7384)
    ('20.0 min', '42 s', '2.05 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"


def settings_line(made: EventEvaluation) -> str:
    """Return the settings that all keywords share."""
    told = made.settings
    return (
        f"smoothing {told['smoothing_ms']:g} ms, refractory {told['refractory_ms']:g} ms, "
        f"timing offset {told['timing_offset_ms']:g} ms, tolerance {1000 * made.tolerance_s:g} ms"
    )


def lines(made: EventEvaluation) -> list[str]:
    """Return what stands under the table."""
    return [
        settings_line(made),
        basis_line(made.total),
        proof(made.total, made.keyword_free_s),
    ]


def basis_line(total: KeywordEvents) -> str:
    """Return over how many speakers or recordings the intervals are taken."""
    misses = f"misses {basis(total.miss_rate_basis)}; " if total.miss_rate_basis else ""
    return f"95 % intervals: {misses}false alarms {basis(total.false_alarms_per_hour_basis)}"


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


def proof(total: KeywordEvents, seconds: float) -> str:
    """Say what a count of false alarms shows, above all where there was none."""
    time, ci95 = span(seconds), total.false_alarms_per_hour_ci95
    none = not total.false_alarms
    count = "no false alarm" if none else f"{total.false_alarms} false alarm"
    count += "s" if total.false_alarms > 1 else ""
    if ci95 is None:
        return f"{count} in {time} of one speaker: no interval, others may differ"
    low, high = (figure(bound) for bound in ci95)
    doubt = f"(95 %, {total.false_alarms_per_hour_basis.kind})"
    if none:
        return f"{count} in {time} shows that fewer than {high} an hour come {doubt}"
    return f"{count} in {time}: between {low} and {high} an hour {doubt}"


def figure(rate: float) -> str:
    """Write a rate by the hour.

    >>> figure(0.0421), figure(11.07), figure(1436.2)
    ('0.042', '11', '1,436')
    """
    return f"{rate:.2g}" if rate < 10 else f"{rate:,.0f}"


def _row(one: KeywordEvents, total: KeywordEvents) -> list[str]:
    return [
        one.keyword,
        "" if one.threshold is None else f"{one.threshold:.3f}" if one.threshold <= 1 else "never",
        str(one.labels),
        str(one.misses),
        _miss_rate(one) + _unlike(one.miss_rate_basis, total.miss_rate_basis),
        str(one.false_alarms),
        _doubted(one.false_alarms_per_hour, one.false_alarms_per_hour_ci95, ".2f"),
        str(one.repeats),
        str(one.confusions),
        "–" if one.end_error_ms is None else f"{one.end_error_ms:.0f} ms",
    ]


def _miss_rate(one: KeywordEvents) -> str:
    if one.miss_rate is None:
        return "–"
    ci95 = one.miss_rate_ci95
    bounds = (100 * ci95[0], 100 * ci95[1]) if ci95 else None
    return _doubted(100 * one.miss_rate, bounds, ".1f")


def _doubted(value: float, ci95: Interval | None, form: str) -> str:
    """Write a figure and its interval, or why it has none."""
    if ci95 is None:
        return f"{value:{form}} (one speaker)"
    return f"{value:{form}} [{ci95[0]:{form}}, {ci95[1]:{form}}]"


def _unlike(own: Basis | None, total: Basis | None) -> str:
    """Return the words for an interval that holds by other means than the line below says."""
    return " if independent" if own and own != total and own.kind == "if independent" else ""
