"""Misses and false alarms as people read them."""

from edgekws.engine.event_results import EventEvaluation, KeywordEvents

HEADS = (
    *("keyword", "threshold", "labels", "misses", "% [95 %]", "false alarms", "per hour [95 %]"),
    *("repeats", "heard as another", "end off by"),
)


def title(made: EventEvaluation) -> str:
    """Return how much audio there was."""
    free = span(made.keyword_free_s)
    return f"{made.recordings} recordings, {span(made.audio_s)}, {free} of it free of keywords"


def rows(made: EventEvaluation) -> list[list[str]]:
    """Return a row of cells for each keyword, and for all together, under `HEADS`."""
    return [_row(one) for one in (*made.keywords, made.total)]


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
    return [settings_line(made), proof(made.total, made.keyword_free_s)]


def proof(total: KeywordEvents, seconds: float) -> str:
    """Say what a count of false alarms shows, above all where there was none."""
    low, high = total.false_alarms_per_hour_ci95
    time = span(seconds)
    if not total.false_alarms:
        return f"no false alarm in {time} shows that fewer than {figure(high)} an hour come (95 %)"
    count = f"{total.false_alarms} false alarm{'s' if total.false_alarms > 1 else ''}"
    return f"{count} in {time}: between {figure(low)} and {figure(high)} an hour (95 %)"


def figure(rate: float) -> str:
    """Write a rate by the hour.

    >>> figure(0.0421), figure(11.07), figure(1436.2)
    ('0.042', '11', '1,436')
    """
    return f"{rate:.2g}" if rate < 10 else f"{rate:,.0f}"


def _row(one: KeywordEvents) -> list[str]:
    low, high = one.false_alarms_per_hour_ci95
    return [
        one.keyword,
        "" if one.threshold is None else f"{one.threshold:.3f}" if one.threshold <= 1 else "never",
        str(one.labels),
        str(one.misses),
        _share(one),
        str(one.false_alarms),
        f"{one.false_alarms_per_hour:.2f} [{low:.2f}, {high:.2f}]",
        str(one.repeats),
        str(one.confusions),
        "–" if one.end_error_ms is None else f"{one.end_error_ms:.0f} ms",
    ]


def _share(one: KeywordEvents) -> str:
    if one.miss_rate is None or one.miss_rate_ci95 is None:
        return "–"
    low, high = one.miss_rate_ci95
    return f"{100 * one.miss_rate:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
