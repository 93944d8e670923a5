"""Intervals and verdicts against slow loops over single clips."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgekws.search import statistics
from edgekws.search.effects import Cell, effects
from edgekws.search.importance import marginals
from edgekws.search.space import Axis
from edgekws.search.statistics import Bench, difference, over_seeds

Table = Callable[[float, int], dict[str, Any]]

AXES = (
    Axis("sound", ("plain", "augmented"), levels={"plain": {}, "augmented": {}}),
    Axis("teacher", ("none", "one"), levels={"none": {}, "one": {}}),
)


@pytest.fixture(autouse=True)
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 60)


def clips(table: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return group, label and right or wrong of every single clip."""
    return [
        (table["groups"][g], label, int(i < right))
        for g, label, n, right in table["cells"]
        for i in range(n)
    ]


def slow(table: dict[str, Any], drawn: dict[str, int], objective: str) -> float:
    """Return the objective of a draw, in which a group stands `drawn[group]` times."""
    heard = [clip for clip in clips(table) for _ in range(drawn[clip[0]])]
    if objective == "accuracy":
        return float(np.mean([right for _, _, right in heard]))
    labels = [i for i, name in enumerate(table["labels"]) if name != "_silence_"]
    recalls = [[right for _, label, right in heard if label == one] for one in labels]
    return float(np.mean([np.mean(recall) for recall in recalls if recall]))


def with_silence(table: dict[str, Any]) -> dict[str, Any]:
    """Add three clips without a speaker, of `_silence_`."""
    names = [*table["groups"], "a", "b", "c"]
    cells = [*table["cells"], [10, 2, 1, 1], [11, 2, 1, 0], [12, 2, 1, 1]]
    return {**table, "groups": names, "labels": ["up", "down", "_silence_"], "cells": cells}


@pytest.mark.parametrize("objective", ["accuracy", "macro_recall"])
def test_scores_and_draws_are_those_of_single_clips(made_table: Table, objective: str) -> None:
    tables = {key: with_silence(made_table(0.8, n)) for n, key in enumerate("ab")}
    bench = Bench(tables, objective)
    names = tables["a"]["groups"]
    weights = statistics._weights(13, 10)
    assert set(weights[:, :10].sum(1)) == {10}  # speakers and single clips have urns of their own
    assert set(weights[:, 10:].sum(1)) == {3}
    for key, table in tables.items():
        once = dict.fromkeys(names, 1)
        assert bench.scored[key].value == pytest.approx(slow(table, once, objective))
        for draw in (0, 7, 59):
            times = dict(zip(names, weights[draw].astype(int), strict=True))
            assert bench.scored[key].draws[draw] == pytest.approx(slow(table, times, objective))


def test_an_interval_is_that_of_the_draws_widened_for_few_seeds(made_table: Table) -> None:
    tables = {f"{s}{c}": made_table(0.7 + 0.1 * c, 10 * s + c) for s in range(3) for c in range(2)}
    bench = Bench(tables, "accuracy")
    seeds = statistics._seed_weights(3)
    draws = []
    for draw in range(statistics.RESAMPLES):
        gaps = [bench.scored[f"{s}1"].draws[draw] - bench.scored[f"{s}0"].draws[draw]
                for s in range(3)]  # fmt: skip
        draws.append(sum(weight * gap for weight, gap in zip(seeds[draw], gaps, strict=True)))
    gap = difference(bench.mean(["01", "11", "21"]), bench.mean(["00", "10", "20"]))
    low, high = np.percentile(draws, (2.5, 97.5))
    wider = (3 / 2) ** 0.5
    value = float(np.mean([
        bench.scored[f"{s}1"].value - bench.scored[f"{s}0"].value for s in range(3)
    ]))  # fmt: skip
    found = bench.estimate(gap, 3)
    assert found.value == pytest.approx(value)
    assert found.ci95 == pytest.approx(
        (value + wider * (low - value), value + wider * (high - value))
    )


def cells_and_bench(made_table: Table, shares: dict[tuple[str, str], float]) -> Any:
    tables, cells = {}, []
    for (sound, teacher), share in shares.items():
        keys = tuple(f"{sound} {teacher} {seed}" for seed in range(3))
        chance = len(tables)
        tables |= {key: made_table(share, chance + n) for n, key in enumerate(keys)}
        cells.append(Cell({"sound": sound, "teacher": teacher}, keys))
    return cells, Bench(tables, "accuracy")


def test_effects_are_differences_of_means_and_the_verdict_says_which_way(made_table: Table) -> None:
    shares = {("plain", "none"): 0.6, ("plain", "one"): 0.6,
              ("augmented", "none"): 0.9, ("augmented", "one"): 0.9}  # fmt: skip
    cells, bench = cells_and_bench(made_table, shares)
    value = {
        tuple(c.params.values()): np.mean([bench.scored[key].value for key in c.keys])
        for c in cells
    }
    sound, teacher, both = effects(AXES, cells, bench)
    means = [value["augmented", t] - value["plain", t] for t in ("none", "one")]
    assert sound.estimate.value == pytest.approx(np.mean(means))
    assert both.estimate.value == pytest.approx(means[1] - means[0])
    assert (sound.verdict, teacher.verdict) == ("helps", "not told apart")
    assert "sound: augmented helps against plain: +" in sound.sentence()
    assert "teacher: one is not told apart against none" in teacher.sentence()
    assert "augmented and one together: not told apart from the sum" in both.sentence()


def test_what_hurts_is_said_to_hurt(made_table: Table) -> None:
    shares = {("plain", "none"): 0.9, ("plain", "one"): 0.5,
              ("augmented", "none"): 0.9, ("augmented", "one"): 0.9}  # fmt: skip
    _, teacher, both = effects(AXES, *cells_and_bench(made_table, shares))
    assert teacher.verdict == "hurts"
    assert "together: more than the sum of both" in both.sentence()


def test_a_missing_combination_leaves_out_what_is_compared_with_it(made_table: Table) -> None:
    shares = {("plain", "none"): 0.6, ("augmented", "none"): 0.9, ("augmented", "one"): 0.7}
    cells, bench = cells_and_bench(made_table, shares)
    found = effects(AXES, cells, bench)
    assert [effect.of for effect in found] == [(("sound", "augmented"),), (("teacher", "one"),)]
    gap = bench.mean(cells[1].keys).value - bench.mean(cells[0].keys).value
    assert found[0].estimate.value == pytest.approx(gap)


def grid(bench: Bench, cells: list[Cell]) -> Any:
    return [(cell.params, bench.mean(cell.keys)) for cell in cells]


def test_means_at_every_value_are_drawn_over_speakers_and_seeds(made_table: Table) -> None:
    shares = {(s, t): 0.7 for s in ("plain", "augmented") for t in ("none", "one")}
    cells, bench = cells_and_bench(made_table, shares)
    found = marginals(AXES, grid(bench, cells), (bench.speakers, 3))
    seeds = statistics._seed_weights(3)
    for row in found:
        mine = [c for c in cells if c.params[row["axis"]] == row["value"]]
        means = []
        for draw in range(statistics.RESAMPLES):
            drawn = [bench.scored[k].draws[draw] for c in mine for k in c.keys]
            means.append(float(np.mean(np.reshape(drawn, (len(mine), 3)) @ seeds[draw])))
        mean = np.mean([bench.mean(cell.keys).value for cell in mine])
        low, high = mean + (3 / 2) ** 0.5 * (np.percentile(means, (2.5, 97.5)) - mean)
        assert row["mean"] == pytest.approx(mean)
        assert row["ci95"] == pytest.approx((low, high))  # wider than what the residuals say


def test_seeds_that_disagree_widen_the_means_at_every_value() -> None:
    cells = [{"sound": s, "teacher": t} for s in ("plain", "augmented") for t in ("none", "one")]
    alike = [(cell, over_seeds([0.7, 0.7, 0.7])) for cell in cells]
    apart = [(cell, over_seeds([0.6, 0.7, 0.8])) for cell in cells]
    narrow, wider = (marginals(AXES, scores, (0, 3)) for scores in (alike, apart))
    assert len(narrow) == 4
    for row, wide in zip(narrow, wider, strict=True):
        assert row["mean"] == wide["mean"] == pytest.approx(0.7)
        assert row["ci95"] == pytest.approx((0.7, 0.7))
        assert wide["ci95"][1] - wide["ci95"][0] > 0.1
