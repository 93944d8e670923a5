"""Effects of hand-made scores: by hand, corrected for their number, and in words."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from edgekws.metrics.paired import holm
from edgekws.search.effects import Cell, Effect, effects
from edgekws.search.space import Axis
from edgekws.search.statistics import Estimate, PairedScores

Table = Callable[[float, int], dict[str, Any]]

SIZES = Axis("size", ("s", "m", "l"), levels={"s": {}, "m": {}, "l": {}})
NOISE = Axis("noise", ("off", "on"), levels={"off": {}, "on": {}})
RATE = Axis("rate", (8, 16))


def grid(made_table: Table, seeds: int = 2) -> tuple[list[Cell], PairedScores, dict[Any, float]]:
    """All combinations of two factors and a plain parameter, and the mean score of each."""
    tables: dict[str, Any] = {}
    cells: list[Cell] = []
    means: dict[Any, float] = {}
    for n, (size, noise, rate) in enumerate(itertools.product("sml", ("off", "on"), (8, 16))):
        keys = tuple(f"{n} {seed}" for seed in range(seeds))
        share = 0.5 + 0.1 * "sml".index(size) + 0.02 * n
        tables |= {key: made_table(share, 7 * n + i) for i, key in enumerate(keys)}
        cells.append(Cell({"size": size, "noise": noise, "rate": rate}, keys))
    paired_scores = PairedScores(tables, "accuracy")
    for cell in cells:
        means[tuple(cell.params.values())] = paired_scores.mean(cell.keys).value
    return cells, paired_scores, means


def test_every_level_and_every_pair_of_levels_by_hand(made_table: Table) -> None:
    cells, paired_scores, mean = grid(made_table)
    result = {effect.of: effect for effect in effects((RATE, SIZES, NOISE), cells, paired_scores)}
    expected: dict[tuple[tuple[str, str], ...], float] = {}
    for size in "ml":
        gaps = [mean[size, n, r] - mean["s", n, r] for n in ("off", "on") for r in (8, 16)]
        expected[(("size", size),)] = sum(gaps) / 4
        both = [
            mean[size, "on", r] - mean[size, "off", r] - mean["s", "on", r] + mean["s", "off", r]
            for r in (8, 16)
        ]
        expected[("size", size), ("noise", "on")] = sum(both) / 2
    gaps = [mean[s, "on", r] - mean[s, "off", r] for s in "sml" for r in (8, 16)]
    expected[(("noise", "on"),)] = sum(gaps) / 6
    assert {of: one.estimate.value for of, one in result.items()} == pytest.approx(expected)
    assert result[("size", "l"), ("noise", "on")].against == ("s", "off")
    p_values = [one.estimate.p for one in result.values()]
    assert [one.p_corrected for one in result.values()] == list(holm(p_values))


def test_a_hole_elsewhere_leaves_every_combination_its_weight(made_table: Table) -> None:
    """Combinations are found by name: the order of their values does not matter either."""
    cells, paired_scores, mean = grid(made_table)
    hole = {"size": "m", "noise": "off", "rate": 8}
    left = [Cell(dict(reversed([*cell.params.items()])), cell.keys) if n // 2 % 2 else cell
            for n, cell in enumerate(cells) if cell.params != hole]  # fmt: skip
    result = {
        one.of: one.estimate.value for one in effects((SIZES, NOISE, RATE), left, paired_scores)
    }
    both = [
        mean["l", "on", r] - mean["l", "off", r] - mean["s", "on", r] + mean["s", "off", r]
        for r in (8, 16)
    ]
    assert result[("size", "l"), ("noise", "on")] == pytest.approx(sum(both) / 2)
    alone = mean["m", "on", 16] - mean["m", "off", 16] - mean["s", "on", 16] + mean["s", "off", 16]
    assert result[("size", "m"), ("noise", "on")] == pytest.approx(alone)


@pytest.mark.parametrize(
    ("value", "p", "sign", "verdict"),
    [
        (0.01, 0.0499, 1, "helps"),
        (-0.01, 0.0499, -1, "hurts"),
        (0.01, 0.05, 0, "no measurable effect"),
        (0.01, None, 0, "no measurable effect"),
    ],
)
def test_an_effect_is_measurable_below_a_twentieth(
    value: float, p: float | None, sign: int, verdict: str
) -> None:
    one = Effect((("noise", "on"),), ("off",), Estimate(value, (value - 1, value + 1)), p)
    assert (one.sign, one.verdict) == (sign, verdict)
    assert one.to_dict()["verdict"] == verdict


def test_sentences_give_points_of_a_hundred() -> None:
    gain = Estimate(0.0123, (0.001, 0.0236), 0.01)
    noise, size = ("noise", "on"), ("size", "m")
    assert Effect((noise,), ("off",), gain, 0.01).sentence() == (
        "noise: on helps against off: +1.23 points [+0.10, +2.36]"
    )
    assert Effect((noise,), ("off",), Estimate(-0.02, None)).sentence() == (
        "noise: on has no measurable effect against off: −2.00 points"
    )
    for p, words in ((0.01, "more than the sum of both"), (0.2, "no measurable difference from")):
        reported = Effect((size, noise), ("s", "off"), gain, p).sentence()
        assert reported.startswith(f"m and on together: {words}")
    less = Effect((size, noise), ("s", "off"), Estimate(-0.1, (-0.2, -0.01)), 0.01).sentence()
    assert less == "m and on together: less than the sum of both: −10.00 points [−20.00, −1.00]"
