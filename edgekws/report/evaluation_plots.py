"""The picture of an evaluation: confusion matrix, recall with its interval, DET curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekws.core import figures
from edgekws.evaluation.evaluate import Evaluation
from edgekws.report.plots import write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgekws.metrics.detection_tradeoff import Tradeoff

_INK, _FAINT, _BLUE = "#1b1f24", "#8a8f98", "#3b7ddd"
_WORST = ("#d0453b", "#e08a1e", "#3b7ddd", "#2c9c6a", "#8457c5", "#a3622f")
"""Colours of the keywords drawn distinctly; all others are drawn faintly."""

_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_LOWEST, _HIGHEST = 0.0005, 0.5
_CELL = 0.22
"""Inches a class takes up."""


def write_picture(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write one row of panels per model; the format follows the suffix.

    Cells hold clips and are coloured by their share of the label's clips. The DET axes are those
    of the normal deviate (Martin et al. 1997); rates below 0.05 % lie on the edge.
    """
    write_figure(lambda: _figure(evaluations), path)


def _figure(evaluations: Sequence[Evaluation]) -> "Figure":
    from matplotlib.figure import Figure

    side = max(2.4, _CELL * max(len(evaluation.per_class) for evaluation in evaluations))
    size = (side + 8.6, (side + 1.8) * len(evaluations))
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subfigures(len(evaluations), 1, squeeze=False)[:, 0]
    lowest = min(
        low
        for evaluation in evaluations
        for row in evaluation.per_class
        for low, _ in [row["recall_ci95"] or (row["recall"] or 1, 1)]
    )
    for part, evaluation in zip(rows, evaluations, strict=True):
        part.suptitle(_short(evaluation.name, size[0]), x=0.01, ha="left", weight="bold")
        matrix, recall, curves = part.subplots(1, 3, width_ratios=[side + 0.8, 2.4, 4.4])
        _confusion(matrix, evaluation)
        _recall(recall, evaluation, lowest)
        _det(curves, evaluation)
    return figure


def _short(name: str, inches: float) -> str:
    """Return a name, shortened to its end if it is too long for the picture."""
    most = int(10 * inches)
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _confusion(axes: "Axes", evaluation: Evaluation) -> None:
    labels = [row["label"] for row in evaluation.per_class]
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(shares**0.5, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for i, j in zip(*np.nonzero(counts), strict=True):
        color = "white" if shares[i, j] > 0.4 else _INK
        size = 6 if counts[i, j] < 1000 else 5
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=size, color=color)
    axes.set_title("Clips: label by row, called by column")
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _recall(axes: "Axes", evaluation: Evaluation, lowest: float) -> None:
    """Draw recall and its interval in the rows of the confusion matrix."""
    for i, row in enumerate(evaluation.per_class):
        if row["recall"] is None:
            continue
        low, high = row["recall_ci95"] or (row["recall"], row["recall"])
        axes.plot([low, high], [i, i], color=_BLUE, linewidth=2, alpha=0.45)
        axes.plot(row["recall"], i, "o", color=_BLUE, markersize=4)
    overall = next((m for m in evaluation.measurements if m.metric == "accuracy"), None)
    if overall:
        axes.axvline(overall.value, color=_FAINT, linewidth=0.8, linestyle=":")
    axes.set_ylim(len(evaluation.per_class) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xlim(lowest - 0.05 * (1 - lowest) - 0.005, 1 + 0.03 * (1 - lowest) + 0.005)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.4g} %" if x <= 1 else "")
    axes.set_title("Recall, 95 % by speaker")
    axes.set_xlabel("dotted: accuracy", fontsize=8)


def _det(axes: "Axes", evaluation: Evaluation) -> None:
    ranked = sorted(evaluation.detection, key=lambda tradeoff: -tradeoff.eer)
    for tradeoff in reversed(ranked[len(_WORST) :]):
        _curve(axes, tradeoff, _FAINT, 0.6, None)
    for tradeoff, color in zip(ranked, _WORST, strict=False):
        _curve(axes, tradeoff, color, 1.2, tradeoff.label)
    if evaluation.pooled:
        _curve(axes, evaluation.pooled, _INK, 2, evaluation.pooled.label)
    if (rest := len(ranked) - len(_WORST)) > 0:
        axes.plot([], [], color=_FAINT, linewidth=0.6, label=f"the other {rest}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(_deviates(_TICKS), [f"{100 * tick:g}" for tick in _TICKS])
    axes.plot(*[_deviates([_LOWEST, _HIGHEST])] * 2, color=_FAINT, linewidth=0.6, linestyle=":")
    axes.set_xlim(*_deviates([_LOWEST, _HIGHEST]))
    axes.set_ylim(*_deviates([_LOWEST, _HIGHEST]))
    axes.grid(color=_FAINT, alpha=0.25, linewidth=0.5)
    axes.set_title("DET of the softmax score")
    axes.set_xlabel("false accepts, % of other clips")
    axes.set_ylabel("misses, % of the keyword's clips")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7, loc="upper right", title="EER, worst first", title_fontsize=7)


def _curve(axes: "Axes", tradeoff: "Tradeoff", color: str, width: float, label: str | None) -> None:
    text = f"{figures.share(tradeoff.eer)}  {label}" if label is not None else None
    across, up = _deviates(tradeoff.false_accept_rate), _deviates(tradeoff.miss_rate)
    axes.plot(across, up, color=color, linewidth=width, label=text, clip_on=False)


def _deviates(rates: Sequence[float]) -> list[float]:
    """Return the normal deviates of rates, within the axes."""
    from scipy.special import ndtri

    deviates: list[float] = ndtri(np.clip(rates, _LOWEST, _HIGHEST)).tolist()
    return deviates
