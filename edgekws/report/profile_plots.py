"""The pictures of a profile, drawn with matplotlib without a display."""

from collections import Counter
from typing import TYPE_CHECKING

from edgekws.core import figures
from edgekws.evaluation.profiled import Operators, Profile
from edgekws.report.plots import _BLUE as BLUE
from edgekws.report.plots import _FAINT as FAINT
from edgekws.report.plots import _ORANGE as ORANGE
from edgekws.report.plots import _logarithmic as logarithmic
from edgekws.report.plots import _svg as svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = (BLUE, ORANGE, "#2c9c6a", "#8457c5", "#a3622f", "#d0453b")
_BARS = 16
"""Bars of the picture of operators; the table has all of them."""


def spread_svg(profile: Profile) -> str:
    """Return p50, p90 and p99 of every entry with their intervals, as an SVG element."""
    return svg(lambda: _spread(profile), "Percentiles of the latency with their intervals")


def processes_svg(profile: Profile) -> str:
    """Return the distribution of times, and the median of every process, as an SVG element."""
    return svg(
        lambda: _processes(profile), "Latency by share of the runs, and the median of every process"
    )


def operators_svg(operators: Operators) -> str:
    """Return the time of each type of operator and of the longest nodes, as an SVG element."""
    return svg(
        lambda: _operators(operators), "Time of each type of operator, and of the longest nodes"
    )


def entry_name(profile: Profile, subject: str, what: str, how: str) -> str:
    """Return the name of an entry in a picture, shortened to fit."""
    called = "" if how == "session.run" else f", {how}"
    if what == "floor" or len(profile.subjects) == 1:
        return f"{what}{called}"
    short = subject if len(subject) <= 28 else f"…{subject[-27:]}"
    return f"{short}: {what}{called}"


def _spread(profile: Profile) -> "Figure":
    from matplotlib.figure import Figure

    rows = profile.timings
    figure = Figure(figsize=(9, 0.9 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for row, timing in enumerate(rows):
        color = FAINT if timing.what == "floor" else BLUE
        marks = (
            ("p50", timing.p50_us, timing.p50_ci95, "o"),
            ("p90", timing.p90_us, timing.p90_ci95, "|"),
            ("p99", timing.p99_us, timing.p99_ci95, "x"),
        )
        for name, value, ci95, mark in marks:
            axes.plot(ci95, [row, row], color=color, linewidth=3, alpha=0.4)
            axes.plot(value, row, mark, color=color, markersize=6, label=name)
        text = figures.figure("latency_p50_us", timing.p50_us)
        axes.annotate(text, (timing.p50_us, row), (0, 6), ha="center", fontsize=8,
                      textcoords="offset points")  # fmt: skip
    axes.set_xscale("log")
    logarithmic(axes.xaxis)
    axes.set_yticks(range(len(rows)), [entry_name(profile, t.subject, t.what, t.how) for t in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("µs of one inference; dot: p50, line: p90, cross: p99, broad: 95 %", fontsize=8)
    return figure


def _processes(profile: Profile) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    shares, medians = figure.subplots(1, 2, sharey=True)
    shown = [t for t in profile.timings if t.what != "floor" and t.how == "session.run"]
    for i, timing in enumerate(shown):
        color = _COLORS[i % len(_COLORS)]
        name = entry_name(profile, timing.subject, timing.what, timing.how)
        shares.plot(range(100), timing.quantiles_us[:100], color=color, linewidth=1.4, label=name)
        medians.plot(range(1, 1 + len(timing.process_us)), timing.process_us, ".-", color=color,
                     linewidth=0.6, markersize=3)  # fmt: skip
    shares.set_yscale("log")
    logarithmic(shares.yaxis)
    shares.set_title("µs that so many percent of the runs need at most")
    shares.xaxis.set_major_formatter(lambda x, _: f"{x:g} %")
    shares.legend(fontsize=7, loc="upper left")
    medians.set_title("Median of every process, µs")
    medians.set_xlabel("process, one after the other", fontsize=8)
    return figure


def _operators(operators: Operators) -> "Figure":
    from matplotlib.figure import Figure

    spent: dict[str, float] = {}
    often = Counter(node.op for node in operators.nodes)
    for node in operators.nodes:
        spent[node.op] = spent.get(node.op, 0.0) + node.us
    types = {f"{op} × {often[op]}": us for op, us in spent.items()} | {
        "the call": operators.call_us
    }
    nodes = {f"{node.name} ({node.op})": node.us for node in operators.nodes}
    most = min(_BARS, max(len(types), len(nodes)))
    figure = Figure(figsize=(9, 0.8 + 0.22 * most), layout="constrained")
    left, right = figure.subplots(1, 2)
    _bars(left, types, "By type, µs")
    _bars(right, nodes, "By node, µs")
    return figure


def _bars(axes: "Axes", values: dict[str, float], title: str) -> None:
    longest = sorted(values.items(), key=lambda item: -item[1])[:_BARS]
    names = [name if len(name) <= 36 else f"…{name[-35:]}" for name, _ in longest]
    axes.barh(range(len(longest)), [us for _, us in longest], color=BLUE, height=0.7)
    axes.set_yticks(range(len(longest)), names, fontsize=7)
    axes.set_ylim(len(longest) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_title(title)
