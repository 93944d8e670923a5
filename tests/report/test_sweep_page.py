"""The page of a sweep: every section, everything escaped, the same bytes twice."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from edgekws.cli.search_tables import result_tables
from edgekws.report.sweep_page import write_page
from edgekws.report.sweep_plots import _fronts
from edgekws.search.results import Results, Standing


def standing(mels: int, state: Any, **more: Any) -> Standing:
    params = {"front_end.n_mels": mels, "<b>": "x"}
    return Standing(str(mels), params, (1,), (), state, 4, **more)


def results() -> Results:
    weight = {"params": 1000.0, "macs": 2e5}
    standings = (
        standing(40, "final", value=0.9, ci95=(0.85, 0.95), behind=(0.0, 0.0, 0.0), tied=True,
                 best=True, measured=weight),
        standing(20, "final", value=0.8, ci95=(0.75, 0.86), behind=(-0.1, -0.2, -0.01),
                 measured=weight),
        standing(8, "pruned", value=0.5),
        standing(6, "failed", error="it <broke>"),
    )  # fmt: skip
    marginals = [
        {"axis": "front_end.n_mels", "value": mels, "n": 1, "mean": 0.5, "ci95": (0.4, 0.6)}
        for mels in (8, 20)
    ]
    reasons = [{"key": "front_end.n_mels", "count": 2, "message": "no <bin>", "first": []}]
    effect = {"of": [["sound", "all"]], "against": ["none"], "value": 0.01, "ci95": (-0.01, 0.03),
              "verdict": "not told apart", "sentence": "sound: all is not told apart"}  # fmt: skip
    return Results(
        name="проба",
        base="arabic-5",
        objective="accuracy",
        evaluate_on="dev",
        axes=("front_end.n_mels", "<b>"),
        valid=4,
        invalid=2,
        reasons=reasons,
        standings=standings,
        importance={"front_end.n_mels": 0.9, "<b>": 0.1},
        marginals=marginals,
        compared_at=2,
        pareto={"macs": ["40"], "params": ["40"]},
        effects=[effect],
        failures=[{"params": {"front_end.n_mels": 6}, "error": "it <broke>"}],
        timing={"wall_s": 60.0, "workers": 2},
        best=None,
        notes=("one seed",),
    )


@pytest.fixture
def found() -> Results:
    return results()


def test_shows_everything_and_escapes_it(found: Results, tmp_path: Path) -> None:
    write_page(found, tmp_path / "a.html")
    write_page(found, tmp_path / "b.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "b.html").read_text(encoding="utf-8")
    for heading in ("Effects", "Ranking", "What matters", "Fronts", "What cannot be", "Failed"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("<svg") == 3
    assert "it &lt;broke&gt;" in page
    assert "no &lt;bin&gt;" in page
    assert "<b>x" not in page
    assert "prefers-color-scheme: dark" in page
    assert "90.0 %" in page
    assert "−10.0 [−20.0, −1.0]" in page


def test_the_best_is_not_tied_with_itself(found: Results, tmp_path: Path) -> None:
    found.standings[1].tied = True
    write_page(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r'data-value="[-0-9.]+">([^<]*)<', page) == ["best", "tie [−20.0, −1.0]"]
    rows = result_tables(found)[0][0][2]
    assert [row[4] for row in rows] == ["best", "tie", "", ""]


def test_keys_that_end_alike_have_names_that_tell_them_apart(
    found: Results, tmp_path: Path
) -> None:
    params = {"steps.0.training.epochs": 4, "steps.1.training.epochs": 2, "seed": 1}
    found.standings[0].params = params
    alike = replace(
        found, axes=tuple(params), standings=found.standings[:1], effects=[], marginals=[]
    )
    write_page(alike, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    told = "0.training.epochs 4, 1.training.epochs 2, seed 1"
    assert f"Best: {told}" in re.sub(r"<[^>]*>", "", page)
    assert "<th>0.training.epochs</th><th>1.training.epochs</th><th>seed</th>" in page
    assert result_tables(alike)[0][0][2][0][0] == told


def test_a_sweep_of_which_nothing_came_to_its_end_has_a_page(
    found: Results, tmp_path: Path
) -> None:
    bare = replace(found, standings=found.standings[3:], importance={}, marginals=[], effects=[])
    write_page(bare, tmp_path / "page.html")
    assert "No trial was completed" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_names_in_the_scatter_do_not_lie_on_one_another(found: Results) -> None:
    networks = tuple(
        Standing(
            str(i), {"backbone": f"network-{i}"}, (1,), (), "final", 4, ci95=(0.3, 0.99),
            value=0.9 - 0.0005 * i, measured={"params": 9e3 + 40 * i, "macs": 7e5 * 1.1**i},
        )
        for i in range(20)
    )  # fmt: skip
    ids = [one.id for one in networks]
    named = replace(found, standings=networks, pareto={"macs": ids[:2], "params": ids[:1]})
    figure = _fronts(named)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        assert len(boxes) == 20
        assert [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)] == []
        assert min(box.y0 for box in boxes) > axes.get_window_extent().y0


def test_a_sweep_has_no_budget_to_be_green_about(found: Results, tmp_path: Path) -> None:
    write_page(found, tmp_path / "a.html")
    assert 'class="banner neutral"' in (tmp_path / "a.html").read_text(encoding="utf-8")
