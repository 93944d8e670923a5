"""The pictures of a dataset, drawn with matplotlib without a display."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgekws.curation.explore import Exploration
from edgekws.report.plots import _BLUE as BLUE
from edgekws.report.plots import _FAINT as FAINT
from edgekws.report.plots import _ORANGE as ORANGE
from edgekws.report.plots import _svg as svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GREEN = "#3a9d6e"
COLORS = {"train": BLUE, "dev": ORANGE, "test": _GREEN}
TITLES = {
    "length_s": "Length, s",
    "rms_dbfs": "Loudness (RMS), dBFS",
    "peak_dbfs": "Largest sample, dBFS",
    "range_db": "Loud above quiet frames, dB",
}
MOST_LABELS = 80


def classes_svg(exploration: Exploration) -> str:
    """Return clips, speakers and loudness of every class as an SVG element."""
    return svg(lambda: _classes(exploration), "Clips, speakers and loudness of every class")


def histograms_svg(exploration: Exploration) -> str:
    """Return the distributions of lengths and levels over the splits as an SVG element."""
    return svg(
        lambda: _histograms(exploration), "Distributions of lengths and levels over the splits"
    )


def speakers_svg(exploration: Exploration) -> str:
    """Return the clips of every speaker, who spoke most first, as an SVG element."""
    return svg(lambda: _speakers(exploration), "Clips of every speaker, who spoke most first")


def color(split: str) -> str:
    """Return the colour of a split."""
    return COLORS.get(split, FAINT)


def _classes(exploration: Exploration) -> "Figure":
    from matplotlib.figure import Figure

    labels = exploration.labels[:MOST_LABELS]
    figure = Figure(figsize=(11, 1.1 + 0.21 * len(labels)), layout="constrained")
    clips, speakers, levels = figure.subplots(1, 3, sharey=True)
    rows = np.arange(len(labels))
    _stacked(clips, rows, labels, exploration.splits, exploration.counts)
    _stacked(speakers, rows, labels, exploration.splits, exploration.speakers)
    for row, label in zip(rows, labels, strict=True):
        if label in exploration.levels:
            _, low, left, middle, right, high, _ = exploration.levels[label]
            levels.plot([low, high], [row, row], color=BLUE, linewidth=1, alpha=0.6)
            levels.plot([left, right], [row, row], color=BLUE, linewidth=4, alpha=0.45)
            levels.plot(middle, row, "o", color=BLUE, markersize=4)
    titles = ("Clips", "Speakers", "Loudness (RMS), dBFS: median, 50 %, 90 %")
    for axes, title in zip((clips, speakers, levels), titles, strict=True):
        axes.set_title(title)
        axes.tick_params(axis="y", length=0)
    clips.set_yticks(rows, labels)
    clips.set_ylim(len(labels) - 0.4, -0.6)
    _legend(clips, exploration.splits)
    return figure


def _stacked(
    axes: "Axes",
    rows: "np.ndarray[tuple[int], np.dtype[np.int64]]",
    labels: Sequence[str],
    splits: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
) -> None:
    left = np.zeros(len(labels))
    for split in splits:
        widths = np.array([counts[label][split] for label in labels], float)
        axes.barh(rows, widths, 0.7, left, color=color(split), alpha=0.75, label=split)
        left += widths
    axes.set_xlim(0, max(left.max() * 1.05, 1))
    axes.locator_params(axis="x", integer=True, nbins=5)


def _legend(axes: "Axes", splits: Sequence[str]) -> None:
    if len(splits) > 1:
        axes.figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower left", ncols=4, fontsize=8
        )


def _histograms(exploration: Exploration) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
        histogram = exploration.histograms[name]
        edges = np.array(histogram.edges)
        below = np.zeros(len(edges) - 1)
        for split, counts in histogram.counts.items():
            top = below + np.array(counts)
            axes.stairs(top, edges, baseline=below, fill=True, color=color(split), alpha=0.75,
                        label=split)  # fmt: skip
            below = top
        axes.set_title(title)
        axes.locator_params(axis="y", integer=True, nbins=4)
        axes.set_ylim(0)
    figure.supylabel("clips", fontsize=8)
    _legend(panels[0], exploration.splits)
    return figure


def _speakers(exploration: Exploration) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 2.3), layout="constrained")
    axes = figure.subplots()
    clips = list(exploration.clips_per_speaker.values())
    axes.stairs(clips, np.arange(len(clips) + 1), fill=True, color=BLUE, alpha=0.75)
    axes.set_title("Clips of each speaker, who spoke most first")
    axes.set_xlabel("speakers")
    axes.set_ylabel("clips")
    axes.set_xlim(0, len(clips))
    axes.set_ylim(0)
    axes.locator_params(integer=True)
    return figure
