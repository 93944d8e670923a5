"""The pictures of a sweep, drawn with matplotlib without a display."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from edgekws.core import figures
from edgekws.report.plots import _BLUE as BLUE
from edgekws.report.plots import _FAINT as FAINT
from edgekws.report.plots import _ORANGE as ORANGE
from edgekws.report.plots import _logarithmic as logarithmic
from edgekws.report.plots import _svg as svg
from edgekws.search.names import short_names
from edgekws.search.results import Results, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 24
"""So many networks at most have their names beside their points."""
_LINES = 32
"""Lines of names that fit on a panel."""
_NEAR, _BESIDE = 0.02, 0.06
"""Between a point and its name, as shares of a panel: on one line, and where the name is lower."""


def parallel_svg(results: Results) -> str:
    """Return one line a combination across all axes to its score, as an SVG element."""
    return svg(
        lambda: _parallel(results), "One line a combination across all parameters to its score"
    )


def fronts_svg(results: Results) -> str:
    """Return score against MACs and against parameters, as an SVG element."""
    return svg(lambda: _fronts(results), "Score against MACs per second and against parameters")


def marginals_svg(results: Results) -> str:
    """Return the mean score at every value with its interval, as an SVG element."""
    return svg(lambda: _marginals(results), "Mean score at every value with its 95 % interval")


def _percent(value: float, _: object = None) -> str:
    return f"{100 * value:.4g} %"


def _scored(results: Results) -> list[Standing]:
    return [standing for standing in results.standings if standing.value is not None]


def _parallel(results: Results) -> "Figure":
    from matplotlib.figure import Figure

    shown = _scored(results)
    places = [_places(shown, name) for name in results.axes]
    scores = [standing.value or 0.0 for standing in shown]
    low, high = min(scores), max(scores)
    figure = Figure(figsize=(max(6, 1.6 * len(places) + 2), 3.6), layout="constrained")
    axes = figure.subplots()
    for standing in reversed(shown):  # the best lie on top
        score = ((standing.value or 0.0) - low) / ((high - low) or 1.0)
        heights = [
            place[repr(standing.params[name])] for place, name in _pairs(places, results.axes)
        ]
        best = standing is shown[0]
        color = ORANGE if best else BLUE if standing.state in ("final", "complete") else FAINT
        axes.plot(
            range(len(heights) + 1),
            [*heights, score],
            color=color,
            linewidth=2.2 if best else 0.7,
            alpha=1.0 if best else 0.12 + 0.5 * score**3,
        )
    _rails(axes, places, results, (low, high))
    return figure


def _pairs(
    places: Sequence[dict[str, float]], names: Sequence[str]
) -> list[tuple[dict[str, float], str]]:
    return list(zip(places, names, strict=True))


def _places(shown: Sequence[Standing], name: str) -> dict[str, float]:
    """Return the height of every value of an axis, from 0 to 1."""
    values = {repr(standing.params[name]): standing.params[name] for standing in shown}
    numbers = all(isinstance(v, int | float) for v in values.values())
    ordered = sorted(values, key=lambda text: values[text] if numbers else text)
    return {text: i / max(len(ordered) - 1, 1) for i, text in enumerate(ordered)}


def _rails(
    axes: "Axes",
    places: Sequence[dict[str, float]],
    results: Results,
    scores: tuple[float, float],
) -> None:
    for i, place in enumerate(places):
        axes.axvline(i, color=FAINT, linewidth=0.6)
        step = max(1, len(place) // 12)
        for text, height in list(place.items())[::step]:
            axes.annotate(text.strip("'"), (i, height), (3, 0), fontsize=7, va="center",
                          textcoords="offset points")  # fmt: skip
    end = len(places)
    axes.axvline(end, color=FAINT, linewidth=0.6)
    for height, score in zip((0.0, 1.0), scores, strict=True):
        axes.annotate(_percent(score), (end, height), (3, 0), fontsize=7, va="center",
                      textcoords="offset points")  # fmt: skip
    names = list(short_names(results.axes).values())
    axes.set_xticks(range(end + 1), [*names, results.objective])
    axes.set_yticks([])
    axes.set_xlim(-0.1, end + 0.35)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _fronts(results: Results) -> "Figure":
    from matplotlib.figure import Figure

    ended = [standing for standing in _scored(results) if standing.measured]
    named = len(ended) <= _NAMED and all(len(standing.params) == 1 for standing in ended)
    figure = Figure(figsize=(9, 5 if named else 3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, metric in zip(panels, ("macs", "params"), strict=True):
        for standing in ended:
            on = standing.id in results.pareto[metric]
            color, x, y = ORANGE if on else BLUE, standing.measured[metric], standing.value or 0.0
            if standing.ci95 and on:
                axes.plot([x, x], standing.ci95, color=color, linewidth=1.5, alpha=0.4)
            axes.plot(x, y, "o", color=color, markersize=5 if on else 3, alpha=1 if on else 0.5)
        axes.set_title(f"{results.objective} on dev against {figures.title(metric)}")
        axes.yaxis.set_major_formatter(_percent)
        axes.xaxis.set_major_formatter(lambda x, _: figures.tick(x))
        axes.margins(x=0.35 if named else 0.1)
        if _spread(standing.measured[metric] for standing in ended) > 5:
            axes.set_xscale("log")
            logarithmic(axes.xaxis)
    if named:
        for axes, metric in zip(panels, ("macs", "params"), strict=True):
            _name(
                axes,
                [
                    (standing.measured[metric], standing.value or 0.0, standing)
                    for standing in ended
                ],
            )
    figure.supxlabel("orange: nothing is better and smaller", fontsize=8)
    return figure


def _name(axes: "Axes", points: Sequence[tuple[float, float, Standing]]) -> None:
    """Write names beside their points, from the highest down, each on a line of its own.

    A line leads from a name that stands lower than its point. Lines are counted over what the
    panel shows, and where names go below it, it grows.
    """
    low, high = axes.get_ylim()
    gap, below = (high - low) / _LINES, math.inf
    for x, y, standing in sorted(points, key=lambda point: -point[1]):
        below = min(y, below - gap)
        (name,) = standing.params.values()
        across = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[0]
        axes.annotate(
            str(name),
            (x, y),
            (across + (_NEAR if below == y else _BESIDE), below),
            textcoords=("axes fraction", "data"),
            fontsize=7,
            va="center",
            arrowprops=None if below == y else {"arrowstyle": "-", "color": FAINT, "lw": 0.4},
        )
    axes.set_ylim(min(low, below - gap), high)


def _spread(values: Iterable[float]) -> float:
    """Return the largest over the smallest."""
    known = list(values)
    return max(known, default=1) / max(min(known, default=1), 1e-9)


def _marginals(results: Results) -> "Figure":
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["axis"] for row in results.marginals))
    called = short_names(results.axes)
    figure = Figure(figsize=(max(4, 2.6 * len(names)), 2.8), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        rows: list[dict[str, Any]] = [row for row in results.marginals if row["axis"] == name]
        for i, row in enumerate(rows):
            axes.plot([i, i], row["ci95"], color=BLUE, linewidth=2, alpha=0.45)
            axes.plot(i, row["mean"], "o", color=BLUE, markersize=5)
        axes.set_xticks(range(len(rows)), [str(row["value"]) for row in rows])
        axes.set_title(called[name])
        axes.yaxis.set_major_formatter(_percent)
        axes.margins(x=0.15)
    return figure
