"""The pictures of a report, drawn with matplotlib without a display."""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from io import BytesIO, StringIO
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekws.core import figures
from edgekws.core.environment import cache_folder
from edgekws.core.measurement import WHOLE
from edgekws.core.output import PICTURES, check_form, write_bytes
from edgekws.core.report import Report, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_INK, _FAINT, _BLUE, _ORANGE, _RED = "#010203", "#8a8f98", "#3b7ddd", "#e08a1e", "#d0453b"
_PAPER_INK = "#1b1f24"
_STYLE = {
    "font.size": 9,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 8,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "edgekws",
}
_WHOLE_ROW = "with its front end"
_PANELS = (
    ("accuracy", "Accuracy"),
    ("params", "Parameters"),
    ("size_kib", "Size, KiB"),
    ("macs", "MACs per second"),
    ("latency_p50_us", "Latency p50, µs (tick: p90)"),
)


def check_picture(path: Path) -> None:
    """Refuse a path that `write_overview` could not write, before anything else.

    Raises:
        UsageError: the suffix is of no form of a picture.
        MachineError: it cannot be written.
    """
    check_form(path, PICTURES, "--picture", or_folder=False)


def write_overview(report: Report, path: Path) -> None:
    """Write the picture of what each step costs and gains; the format follows the suffix."""
    write_figure(lambda: _overview(report), path)


def write_figure(draw: Callable[[], "Figure"], path: Path) -> None:
    """Write what `draw` draws, in the report's style on white; the format follows the suffix."""
    picture, form = BytesIO(), path.suffix.lower().removeprefix(".")
    with _drawing(_PAPER_INK):
        draw().savefig(picture, format=form, dpi=150, facecolor="white")
    write_bytes(path, picture.getvalue())


def overview_svg(report: Report) -> str:
    """Return the same picture as an SVG element in the colour of the page."""
    title = "Accuracy, parameters, size, MACs per second and latency after each step"
    return _svg(lambda: _overview(report), title)


def history_svg(epochs: Sequence[Mapping[str, Any]], kept_epoch: int | None) -> str:
    """Return loss and dev scores over the epochs as an SVG element."""
    title = f"Loss and dev scores over {len(epochs)} epochs"
    return _svg(lambda: _history(epochs, kept_epoch), title)


def frontier_svg(points: Sequence[Mapping[str, Any]]) -> str:
    """Return accuracy against INT8 coverage, layer by layer put back to FP32, as an SVG element."""
    title = "Accuracy against INT8 coverage, layer by layer put back to FP32"
    return _svg(lambda: _frontier(points), title)


@contextmanager
def _drawing(ink: str) -> Iterator[None]:
    # Its list of fonts lies in our cache; a style of the user's does not change the pictures.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    import matplotlib

    keys = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style: Any = _STYLE | dict.fromkeys(keys, ink)
    with warnings.catch_warnings(), matplotlib.rc_context(style):
        # a name in a script that the font lacks is drawn by the browser's own fonts
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def _svg(draw: Callable[[], "Figure"], title: str) -> str:
    """Return a figure as SVG in the colour of the page; the same figure gives the same bytes.

    `title` is the text for readers who do not see the picture.
    """
    text = StringIO()
    with _drawing(_INK):
        draw().savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # a page has several figures
    size = r'(<svg[^>]*?) width="([\d.]+)pt" height="[^"]*"'
    label = escape(title)
    return re.sub(size, rf'\1 role="img" aria-label="{label}" style="--points: \2"', svg, count=1)


def _logarithmic(axis: "Axis") -> None:
    """Write plain numbers on a logarithmic axis, fewer per decade if there are many decades."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    decades = log10(high / low)
    subs = (1, 2, 5) if decades <= 1 else (1, 3) if decades <= 2.5 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: figures.tick(value))


def _overview(report: Report) -> "Figure":
    from matplotlib.figure import Figure

    results = _with_whole(report.results)
    figure = Figure(figsize=(13, 1.1 + 0.42 * max(len(results), 2)), layout="constrained")
    panels = figure.subplots(1, len(_PANELS), sharey=True, squeeze=False)[0]
    for axes, (metric, title) in zip(panels, _PANELS, strict=True):
        axes.set_title(title)
        axes.margins(y=0.08)
        if metric == "accuracy":
            _dots(axes, results, metric)
        else:
            _amounts(axes, results, metric)
        _limit(axes, report.results, metric)
        if axes.get_xscale() == "log":
            _logarithmic(axes.xaxis)
        axes.tick_params(axis="y", length=0)
    names = [_row_name(result) for result in results]
    panels[0].set_yticks(range(len(results)), names)
    figure.supxlabel("orange: the bundle, on test · dashed: the budget", fontsize=8)
    panels[0].set_ylim(len(results) - 0.4, -0.6)
    return figure


def _with_whole(results: Sequence[Result]) -> list[Result]:
    """Return the results, each bundle followed by its size with the front end."""
    shown: list[Result] = []
    for result in results:
        shown.append(result)
        by_metric = {m.metric: m for m in result.measurements}
        whole = [
            replace(by_metric[metrics[2]], metric=metrics[0])
            for metrics in WHOLE.values()
            if metrics[0] and metrics[2] in by_metric
        ]
        if whole:
            shown.append(replace(result, name=_WHOLE_ROW, kind="whole", measurements=tuple(whole)))
    return shown


def _row_name(result: Result) -> str:
    return f"{result.name} (test)" if result.kind == "bundle" else result.name


def _dots(axes: "Axes", results: Sequence[Result], metric: str) -> None:
    """Draw shares as points with their 95 % intervals."""
    lowest = 1.0
    for row, result in enumerate(results):
        measurement = next((m for m in result.measurements if m.metric == metric), None)
        if measurement is None:
            continue
        low, high = measurement.ci95 or (measurement.value, measurement.value)
        lowest = min(lowest, low)
        color = _ORANGE if result.kind == "bundle" else _BLUE
        axes.plot([low, high], [row, row], color=color, linewidth=2, alpha=0.45)
        axes.plot(measurement.value, row, "o", color=color, markersize=6)
        text = figures.figure(metric, measurement.value)
        axes.annotate(text, (measurement.value, row), (0, 6), ha="center", fontsize=8,
                      textcoords="offset points")  # fmt: skip
    axes.set_xlim(lowest - 0.15 * (1.02 - lowest) - 0.005, 1.02)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xticks([tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= 1])
    axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:g} %")


def _amounts(axes: "Axes", results: Sequence[Result], metric: str) -> None:
    """Draw amounts as points on a logarithmic scale, with their values."""
    known = [(row, value) for row, r in enumerate(results) if (value := r.value(metric))]
    if not known:
        axes.set_xticks([])
        return
    least = min(value for _, value in known)
    ends = [value for _, value in known]
    for row, value in known:
        color = _ORANGE if results[row].kind in ("bundle", "whole") else _BLUE
        axes.plot([least / 3, value], [row, row], color=color, linewidth=2, alpha=0.45)
        axes.plot(value, row, "o", color=color, markersize=6)
        p90 = results[row].value("latency_p90_us") if metric == "latency_p50_us" else None
        end = max(value, p90 or value)
        ends.append(end)
        if p90:
            axes.plot([p90, p90], [row - 0.2, row + 0.2], color=color, linewidth=1.6, alpha=0.7)
        text = figures.large(value) if metric == "macs" else figures.amount(value)
        axes.annotate(text, (end, row), (6, 0), va="center", fontsize=8,
                      textcoords="offset points")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(least / 3, max(ends) * (max(ends) / least * 3) ** 0.3)


def _limit(axes: "Axes", results: Sequence[Result], metric: str) -> None:
    """Draw the budget's limit as a dashed line."""
    limits = [v.limit for v in results[-1].verdicts] if results else []
    names = (metric, "latency_p90_us") if metric == "latency_p50_us" else (metric,)
    low, high = axes.get_xlim()
    for limit in limits:
        if limit.metric in names and low < limit.value:
            axes.axvline(limit.value, color=_RED, linewidth=1, linestyle="--", alpha=0.6, zorder=0)
            axes.set_xlim(low, max(high, limit.value * (1.3 if limit.op == "max" else 1)))


def _history(epochs: Sequence[Mapping[str, Any]], kept_epoch: int | None) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8.5, 2.5), layout="constrained")
    loss, score = figure.subplots(1, 2)
    lines = (
        (loss, "train_loss", "train", _FAINT),
        (loss, "dev_loss", "dev", _BLUE),
        (score, "dev_accuracy", "accuracy", _BLUE),
        (score, "dev_balanced_accuracy", "balanced accuracy", _FAINT),
        (score, "dev_macro_recall", "macro recall", _ORANGE),
    )
    for axes, key, label, color in lines:
        points = [(row.get("epoch", i), row[key]) for i, row in enumerate(epochs, 1) if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, label=label, marker=".")
    for axes, title in ((loss, "Loss"), (score, "Dev score")):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if kept_epoch is not None:
            axes.axvline(kept_epoch, color=_FAINT, linewidth=0.8, linestyle=":", label="kept")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    return figure


def _frontier(points: Sequence[Mapping[str, Any]]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Accuracy with layers in FP32")
    coverages, accuracies = ([point[key] for point in points] for key in ("coverage", "accuracy"))
    axes.plot(coverages, accuracies, color=_BLUE, marker=".", linewidth=1)
    for point in points:
        at = (point["coverage"], point["accuracy"])
        if point.get("kept"):
            axes.plot(*at, "o", color=_ORANGE, markersize=8, label="shipped")
        if point["layers"]:
            axes.annotate(point["layers"][-1], at, (0, 5), fontsize=7, rotation=30,
                          textcoords="offset points", color=_FAINT)  # fmt: skip
    axes.set_xlim(1.04, -0.04)  # from all in INT8 to all in FP32
    axes.margins(y=0.3)
    axes.set_xlabel("INT8 coverage")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda x, _: f"{100 * x:.4g} %")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    return figure
