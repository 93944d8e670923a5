"""Sentences on what the counts of misses and false alarms show."""

from edgekws.spotting.results import EventEvaluation, KeywordEvents


def span(seconds: float) -> str:
    """Format a duration.

    >>> span(1200), span(42.4), span(7384)
    ('20.0 min', '42 s', '2.05 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.2f} h"


def proof(total: KeywordEvents, seconds: float) -> str:
    """Describe what a count of false alarms shows, in particular a count of none."""
    time, ci95 = span(seconds), total.false_alarms_per_hour_ci95
    none = not total.false_alarms
    count = "no false alarm" if none else f"{total.false_alarms} false alarm"
    count += "s" if total.false_alarms > 1 else ""
    if ci95 is None:
        return f"{count} in {time} of one speaker: no interval, others may differ"
    low, high = (figure(bound) for bound in ci95)
    doubt = f"(95 %, {total.false_alarms_per_hour_basis.kind})"
    if none:
        return f"{count} in {time} shows fewer than {high} per hour {doubt}"
    return f"{count} in {time}: between {low} and {high} per hour {doubt}"


def figure(rate: float) -> str:
    """Format an hourly rate.

    >>> figure(0.0421), figure(11.07), figure(1436.2)
    ('0.042', '11', '1,436')
    """
    return f"{rate:.2g}" if rate < 10 else f"{rate:,.0f}"


def summary(evaluation: EventEvaluation) -> list[str]:
    """Return the lines of a model card on the test in continuous speech."""
    total = evaluation.total
    lines = [proof(total, evaluation.keyword_free_s)]
    if total.miss_rate is not None:
        doubt = ""
        if total.miss_rate_ci95:
            low, high = (f"{100 * bound:.1f}" for bound in total.miss_rate_ci95)
            doubt = f", between {low} and {high} % (95 %)"
        missed = f"{total.misses} of {total.labels} keywords missed"
        lines.append(f"{missed}: {100 * total.miss_rate:.1f} %{doubt}")
    if total.delay_ms is not None and total.delay_p90_ms is not None:
        half, most = total.delay_ms, total.delay_p90_ms
        lines.append(f"reported {half:.0f} ms after the keyword's end (median; p90 {most:.0f} ms)")
    return [*lines, *evaluation.notes]
