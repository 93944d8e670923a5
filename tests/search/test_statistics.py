"""Intervals and verdicts against slow loops over single clips."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from edgekws.search.effects import Cell, effects
from edgekws.search.importance import marginals
from edgekws.search.space import Axis
from edgekws.search.statistics import (
    Estimate,
    PairedScores,
    Scored,
    average,
    difference,
    estimate,
    over_seeds,
    weighted,
)

Table = Callable[[float, int], dict[str, Any]]

AXES = (
    Axis("sound", ("plain", "augmented"), levels={"plain": {}, "augmented": {}}),
    Axis("teacher", ("none", "one"), levels={"none": {}, "one": {}}),
)


def clips(table: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Return group, label and right or wrong of every single clip."""
    return [
        (table["groups"][g], label, int(i < right))
        for g, label, n, right in table["cells"]
        for i in range(n)
    ]


def slow(table: dict[str, Any], objective: str) -> float:
    """Return the objective from single clips."""
    detected = clips(table)
    if objective == "accuracy":
        return float(np.mean([right for _, _, right in detected]))
    labels = [i for i, name in enumerate(table["labels"]) if name != "_silence_"]
    recalls = [[right for _, label, right in detected if label == one] for one in labels]
    return float(np.mean([np.mean(recall) for recall in recalls if recall]))


def with_silence(table: dict[str, Any]) -> dict[str, Any]:
    """Add three clips without a speaker, of `_silence_`."""
    names = [*table["groups"], "a", "b", "c"]
    cells = [*table["cells"], [10, 2, 1, 1], [11, 2, 1, 0], [12, 2, 1, 1]]
    return {**table, "groups": names, "labels": ["up", "down", "_silence_"], "cells": cells}


@pytest.mark.parametrize("objective", ["accuracy", "macro_recall"])
def test_scores_are_those_of_single_clips(made_table: Table, objective: str) -> None:
    tables = {key: with_silence(made_table(0.8, n)) for n, key in enumerate("ab")}
    paired_scores = PairedScores(tables, objective)
    for key, table in tables.items():
        assert paired_scores.shares[key].value == pytest.approx(slow(table, objective))
        assert paired_scores.level([key]) == paired_scores.shares[key].ci95()


def test_a_gap_has_the_doubt_of_speakers_and_of_seeds(made_table: Table) -> None:
    tables = {f"{s}{c}": made_table(0.7 + 0.1 * c, 10 * s + c) for s in range(3) for c in range(2)}
    paired_scores = PairedScores(tables, "accuracy")
    gap = difference(paired_scores.mean(["01", "11", "21"]), paired_scores.mean(["00", "10", "20"]))
    by_seed = [
        paired_scores.shares[f"{s}1"].value - paired_scores.shares[f"{s}0"].value for s in range(3)
    ]
    influence = np.mean(
        [
            paired_scores.shares[f"{s}1"].influence - paired_scores.shares[f"{s}0"].influence
            for s in range(3)
        ],
        0,
    )
    speakers, seeds = 10 / 9 * np.square(influence).sum(), np.var(by_seed, ddof=1) / 3
    error = (speakers + seeds) ** 0.5
    df = (speakers + seeds) ** 2 / (speakers**2 / 9 + seeds**2 / 2)
    result = paired_scores.estimate(gap)
    value = float(np.mean(by_seed))
    half = stats.t.ppf(0.975, df) * error
    assert result.value == pytest.approx(value)
    assert result.ci95 == pytest.approx((value - half, value + half))
    assert result.p == pytest.approx(2 * stats.t.sf(abs(value) / error, df))


def test_one_speaker_leaves_everything_open(made_table: Table) -> None:
    tables = {key: made_table(0.8, n) for n, key in enumerate("ab")}
    for table in tables.values():
        table["speakers"], table["groups"] = 1, table["groups"][:1]
        table["cells"] = table["cells"][:2]
    paired_scores = PairedScores(tables, "accuracy")
    assert paired_scores.level(["a"]) is None
    gap = paired_scores.estimate(difference(paired_scores.mean(["a"]), paired_scores.mean(["b"])))
    assert (gap.ci95, gap.p) == (None, 1.0)


def test_one_speaker_leaves_everything_open_whatever_the_seeds() -> None:
    one = Scored(0.1, np.zeros(1), np.array([0.1, 0.12, 0.08]), 0.01)
    assert estimate(one, 1) == Estimate(0.1, None, 1.0)
    assert estimate(one, 0).ci95 == pytest.approx(
        (0.1 - 4.3027 * 0.02 / 3**0.5, 0.1 + 4.3027 * 0.02 / 3**0.5), abs=1e-5
    )


def test_sums_take_the_seeds_that_all_have_and_the_smallest_step() -> None:
    parts = (
        Scored(0.5, np.array([0.1, -0.1]), np.array([0.4, 0.6]), 0.02),
        Scored(0.2, np.array([0.0, 0.2]), np.array([0.1, 0.2, 0.3]), 0.05),
    )
    result = weighted(parts, np.array([2.0, -0.5]))
    assert result.value == pytest.approx(0.9)
    assert result.influence.tolist() == pytest.approx([0.2, -0.3])
    assert result.by_seed.tolist() == pytest.approx([0.75, 1.1])
    assert result.step == pytest.approx(0.025)
    assert average(parts).step == pytest.approx(0.01)


def test_doubt_is_at_least_a_clip() -> None:
    still = Scored(0.1, np.zeros(5), np.array([0.1]), 0.03)
    low, high = estimate(still, 5).ci95 or (0, 0)
    assert high - 0.1 == pytest.approx(2.7764 * 0.03, abs=1e-5)  # Student's t of 4
    assert 0.1 - low == pytest.approx(high - 0.1)


def test_tables_may_hold_some_of_the_speakers_or_nothing_that_counts(made_table: Table) -> None:
    whole = made_table(0.8, 1)
    part = {**whole, "speakers": 7, "groups": whole["groups"][:7], "cells": whole["cells"][:14]}
    for tables in ({"a": whole, "b": part}, {"b": part, "a": whole}):
        assert PairedScores(tables, "accuracy").speakers == 10
    assert PairedScores({}, "accuracy").speakers == 0
    silent = {**whole, "labels": ["_silence_", "_silence_"]}
    mean = PairedScores({"a": silent}, "macro_recall").mean(["a"])
    assert (mean.value, mean.step) == (0.0, 0.0)


def test_a_step_is_one_clip_of_one_trial(made_table: Table) -> None:
    paired_scores = PairedScores(
        {key: made_table(0.8, n) for n, key in enumerate("abc")}, "accuracy"
    )
    assert paired_scores.mean(["a"]).step == pytest.approx(1 / 200)
    assert paired_scores.mean(["a", "b", "c"]).step == pytest.approx(1 / 600)


@pytest.mark.parametrize("speakers", [2, 3, 6, 10, 25])
def test_a_sweep_of_nothing_finds_something_in_one_case_of_twenty_at_most(speakers: int) -> None:
    """Four factors of two levels that do nothing, on speakers that find other networks easy."""
    rng, runs, wrong = np.random.default_rng(2), 150, 0
    axes = [Axis(f, ("off", "on"), levels={"off": {}, "on": {}}) for f in "pqrs"]
    choices = list(itertools.product(("off", "on"), repeat=4))
    for _ in range(runs):
        talent, tables, cells = rng.normal(2, 0.7, (speakers, 1)), {}, []
        for n, levels in enumerate(choices):
            odds = talent + rng.normal(0, 0.4, (speakers, 1))
            right = rng.binomial(30, 1 / (1 + np.exp(-odds.repeat(2, 1))))
            tables[str(n)] = {
                "speakers": speakers,
                "groups": [f"s{s}" for s in range(speakers)],
                "labels": ["up", "down"],
                "cells": [[s, label, 30, int(right[s, label])]
                          for s in range(speakers) for label in range(2)],
            }  # fmt: skip
            cells.append(Cell(dict(zip("pqrs", levels, strict=True)), (str(n),)))
        result = effects(axes, cells, PairedScores(tables, "accuracy"))
        assert len(result) == 10
        wrong += any(effect.sign for effect in result)
    assert wrong / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def cells_and_scores(made_table: Table, shares: dict[tuple[str, str], float]) -> Any:
    tables: dict[str, Any] = {}
    cells: list[Cell] = []
    for (sound, teacher), share in shares.items():
        keys = tuple(f"{sound} {teacher} {seed}" for seed in range(3))
        chance = len(tables)
        tables |= {key: made_table(share, chance + n) for n, key in enumerate(keys)}
        cells.append(Cell({"sound": sound, "teacher": teacher}, keys))
    return cells, PairedScores(tables, "accuracy")


def test_effects_are_differences_of_means_and_the_verdict_says_which_way(made_table: Table) -> None:
    shares = {("plain", "none"): 0.6, ("plain", "one"): 0.6,
              ("augmented", "none"): 0.9, ("augmented", "one"): 0.9}  # fmt: skip
    cells, paired_scores = cells_and_scores(made_table, shares)
    value = {
        tuple(c.params.values()): np.mean([paired_scores.shares[key].value for key in c.keys])
        for c in cells
    }
    sound, teacher, both = effects(AXES, cells, paired_scores)
    means = [value["augmented", t] - value["plain", t] for t in ("none", "one")]
    assert sound.estimate.value == pytest.approx(np.mean(means))
    assert both.estimate.value == pytest.approx(means[1] - means[0])
    assert (sound.verdict, teacher.verdict) == ("helps", "no measurable effect")
    assert "sound: augmented helps against plain: +" in sound.sentence()
    assert "teacher: one has no measurable effect against none" in teacher.sentence()
    assert "augmented and one together: no measurable difference from the sum" in both.sentence()


def test_what_hurts_is_said_to_hurt(made_table: Table) -> None:
    shares = {("plain", "none"): 0.9, ("plain", "one"): 0.5,
              ("augmented", "none"): 0.9, ("augmented", "one"): 0.9}  # fmt: skip
    _, teacher, both = effects(AXES, *cells_and_scores(made_table, shares))
    assert teacher.verdict == "hurts"
    assert "together: more than the sum of both" in both.sentence()


def test_a_missing_combination_leaves_out_what_is_compared_with_it(made_table: Table) -> None:
    shares = {("plain", "none"): 0.6, ("augmented", "none"): 0.9, ("augmented", "one"): 0.7}
    cells, paired_scores = cells_and_scores(made_table, shares)
    result = effects(AXES, cells, paired_scores)
    assert [effect.of for effect in result] == [(("sound", "augmented"),), (("teacher", "one"),)]
    gap = paired_scores.mean(cells[1].keys).value - paired_scores.mean(cells[0].keys).value
    assert result[0].estimate.value == pytest.approx(gap)


def grid(paired_scores: PairedScores, cells: list[Cell]) -> Any:
    return [(cell.params, paired_scores.mean(cell.keys)) for cell in cells]


def test_means_at_every_value_have_the_doubt_of_speakers_and_seeds(made_table: Table) -> None:
    shares = {(s, t): 0.7 for s in ("plain", "augmented") for t in ("none", "one")}
    cells, paired_scores = cells_and_scores(made_table, shares)
    for row in marginals(AXES, grid(paired_scores, cells), paired_scores.speakers):
        mine = [c for c in cells if c.params[row["axis"]] == row["value"]]
        mean = average([paired_scores.mean(cell.keys) for cell in mine])
        assert row["mean"] == pytest.approx(mean.value)
        low, high = paired_scores.estimate(mean).ci95 or (0, 0)
        assert row["ci95"][0] <= low + 1e-9  # or wider, by what the residuals say
        assert row["ci95"][1] >= high - 1e-9


def test_seeds_that_disagree_widen_the_means_at_every_value() -> None:
    cells = [{"sound": s, "teacher": t} for s in ("plain", "augmented") for t in ("none", "one")]
    alike = [(cell, over_seeds([0.7, 0.7, 0.7])) for cell in cells]
    apart = [(cell, over_seeds([0.6, 0.7, 0.8])) for cell in cells]
    narrow, wider = (marginals(AXES, scores, 0) for scores in (alike, apart))
    assert len(narrow) == 4
    for row, wide in zip(narrow, wider, strict=True):
        assert row["mean"] == wide["mean"] == pytest.approx(0.7)
        assert row["ci95"] == pytest.approx((0.7, 0.7))
        assert wide["ci95"][1] - wide["ci95"][0] > 0.1
