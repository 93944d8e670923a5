"""The pictures: drawn without a display, whatever the names and however little was measured."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np

from edgekws.core.report import Report
from edgekws.report.plots import _overview, frontier_svg, history_svg, overview_svg, write_overview


def test_overview_is_a_picture_with_something_on_it(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "overview.png"
    write_overview(report, path)
    picture = matplotlib.image.imread(path)
    assert picture.shape[1] > 1200
    ink = np.asarray(picture)[..., :3].min(axis=2) < 0.9
    assert 0.005 < np.mean(ink) < 0.5
    assert not ink[:, -4:].any()  # nothing runs out of the picture


def test_names_in_any_script_are_written_as_text(report: Report, tmp_path: Path) -> None:
    names = ("музыка", "توقف", "停止", "$x_1$ & <b>")
    results = tuple(replace(r, name=n) for r, n in zip(report.results, names, strict=True))
    named = replace(report, results=results)
    svg = overview_svg(named)
    assert "музыка" in svg
    assert "توقف" in svg
    assert "$x_1$ &amp; &lt;b&gt;" in svg
    write_overview(named, tmp_path / "named.png")


def test_pictures_take_their_ink_from_the_page(report: Report) -> None:
    for svg in (overview_svg(report), history_svg([{"train_loss": 1.0}], None)):
        assert svg.startswith("<svg")
        assert "currentColor" in svg
        assert "#010203" not in svg
        assert "width=" not in svg.partition(">")[0]


def test_draws_what_there_is(report: Report) -> None:
    bare = tuple(replace(r, measurements=(), verdicts=()) for r in report.results)
    for results in (bare, bare[:1], report.results[:1], ()):
        assert "<svg" in overview_svg(replace(report, results=results))
    assert "<svg" in history_svg([], 3)


def test_the_frontier_names_each_layer_and_marks_what_is_shipped() -> None:
    points = [
        {"layers": layers, "coverage": c, "accuracy": 0.9, "kept": not layers}
        for layers, c in (([], 1.0), (["stem"], 0.6), (["stem", "<b>"], 0.0))
    ]
    svg = frontier_svg(points)
    assert "shipped" in svg
    assert "stem" in svg
    assert "&lt;b&gt;" in svg
    assert "shipped" not in frontier_svg([point | {"kept": False} for point in points])
    assert "<svg" in frontier_svg(points[:1])


def test_importing_the_page_imports_no_matplotlib() -> None:
    code = "import sys, edgekws.report.html; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"


def test_amounts_have_a_panel_and_ticks_that_are_read(report: Report) -> None:
    figure = _overview(report)
    figure.draw_without_rendering()
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels)[:2] == ["Accuracy", "Parameters"]
    for axes in figure.axes[1:]:
        low, high = axes.get_xlim()
        texts = [tick.get_text() for tick in axes.get_xticklabels()
                 if low <= tick.get_position()[0] <= high]  # fmt: skip
        assert 2 <= len(texts) <= 6, axes.get_title()
        assert not any("^" in text or "e+" in text for text in texts)
        assert axes.xaxis.get_minorticklocs().size == 0
    assert "100 k" in [tick.get_text() for tick in panels["Parameters"].get_xticklabels()]
