"""The curve of misses against false alarms per hour, keyword by keyword."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgekws.metrics.events import HOUR_S
from edgekws.report.plots import _FAINT as FAINT
from edgekws.report.plots import _logarithmic as logarithmic
from edgekws.report.plots import _svg as svg
from edgekws.report.plots import write_figure
from edgekws.spotting.results import EventEvaluation, KeywordEvents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("#3b7ddd", "#e08a1e", "#2c9c6a", "#d0453b", "#8457c5", "#a3622f", "#1f9aa8", "#8a8f98")
_ACROSS = 3


def write_picture(evaluation: EventEvaluation, path: Path) -> None:
    """Write the curves, a panel per keyword; the format follows the suffix."""
    write_figure(lambda: _figure(evaluation), path)


def curves_svg(evaluation: EventEvaluation) -> str:
    """Return the same picture as an SVG element in the colour of the page."""
    return svg(
        lambda: _figure(evaluation), "Misses against false alarms per hour, one panel per keyword"
    )


def _figure(evaluation: EventEvaluation) -> "Figure":
    from matplotlib.figure import Figure

    down = -(-len(evaluation.keywords) // _ACROSS)
    across = min(_ACROSS, len(evaluation.keywords))
    figure = Figure(figsize=(3.3 * across + 0.5, 2.6 * down + 0.3), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    hours = evaluation.keyword_free_s / HOUR_S
    least, most = 0.5 / hours, 4 / hours
    most = max(
        [
            most,
            *(
                point.false_alarms / hours
                for events in evaluation.keywords
                for point in events.curve
            ),
        ]
    )
    for number, (axes, events) in enumerate(zip(panels, evaluation.keywords, strict=False)):
        _curve(axes, events, hours, least, _COLORS[number % len(_COLORS)])
        axes.set_xscale("log")
        axes.tick_params(labelbottom=number + across >= len(evaluation.keywords))
        axes.set_xlim(least / 1.2, min(most, 1000 / hours) * 1.2)
        logarithmic(axes.xaxis)
        axes.set_ylim(-3, 103)
        axes.grid(color=FAINT, alpha=0.25, linewidth=0.5)
    for axes in panels[len(evaluation.keywords) :]:
        axes.set_visible(False)
    figure.supxlabel("false alarms per hour (left edge: none)", fontsize=8)
    figure.supylabel("misses, %", fontsize=8)
    return figure


def _curve(axes: "Axes", events: KeywordEvents, hours: float, least: float, color: str) -> None:
    """Draw the curve, and the point at the bundle's threshold with the intervals there are."""
    axes.set_title(
        events.keyword if events.labels else f"{events.keyword} (not among the positives)"
    )
    if events.miss_rate is None:
        return
    down = events.curve[
        ::-1
    ]  # thresholds fall: what one gives holds until the next adds false alarms
    rates = [max(least, point.false_alarms / hours) for point in down]
    misses = [100 * point.misses / events.labels for point in down]
    axes.plot(rates, misses, color=color, linewidth=1.3, drawstyle="steps-post")
    at = (max(least, events.false_alarms_per_hour), 100 * events.miss_rate)
    if events.false_alarms_per_hour_ci95:
        ends = [max(least, bound) for bound in events.false_alarms_per_hour_ci95]
        axes.plot(ends, [at[1]] * 2, color=color, linewidth=3, alpha=0.3)
    if events.miss_rate_ci95:
        ends = [100 * bound for bound in events.miss_rate_ci95]
        axes.plot([at[0]] * 2, ends, color=color, linewidth=3, alpha=0.3)
    axes.plot(*at, "o", color=color, markersize=5)
