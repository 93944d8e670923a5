"""Means at every value against another way to solve the same model, and shares of the variance."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from edgekws.search.importance import FEWEST, importance, marginals
from edgekws.search.model import Range
from edgekws.search.space import Axis
from edgekws.search.statistics import Scored, over_seeds

RATE, MELS = Axis("rate", (8, 16)), Axis("mels", (10, 20, 40))
WIDTH = Axis("width", (), Range(low=0.0, high=1.0))


def scores(rows: list[tuple[int, int, float]]) -> list[tuple[dict[str, Any], Scored]]:
    return [({"rate": r, "mels": m, "width": 0.5}, over_seeds([y])) for r, m, y in rows]


def by_differences(
    rows: list[tuple[int, int, float]], axis: Axis, value: Any
) -> tuple[float, float]:
    """Mean and half the interval by a model of differences to the first value of each axis."""
    used = {a.name: [v for v in a.values if any(v == r[i] for r in rows)]
            for i, a in enumerate((RATE, MELS))}  # fmt: skip
    table = [[1.0, *(float(r == v) for v in used["rate"][1:]),
              *(float(m == v) for v in used["mels"][1:])] for r, m, _ in rows]  # fmt: skip
    x, y = np.array(table), np.array([row[2] for row in rows])
    fitted, *_ = np.linalg.lstsq(x, y, rcond=None)
    at = [1.0]
    for name, values in used.items():
        at += [float(v == value) if name == axis.name else 1 / len(values) for v in values[1:]]
    free = len(y) - x.shape[1]
    noise = ((y - x @ fitted) ** 2).sum() / free
    error = np.sqrt(noise * np.array(at) @ np.linalg.inv(x.T @ x) @ np.array(at))
    return float(at @ fitted), float(stats.t.ppf(0.975, free) * error)


# Residuals are so small that no interval is cut off at 0 or 1.
FULL = [
    (8, 10, 0.5),
    (8, 20, 0.61),
    (8, 40, 0.66),
    (16, 10, 0.502),
    (16, 20, 0.61),
    (16, 40, 0.661),
]


@pytest.mark.parametrize(
    "rows",
    [FULL, FULL[:5], FULL[1:], [*FULL, (8, 10, 0.54)], [r for r in FULL if r[1] < 40] + FULL[:1]],
)
def test_means_are_those_of_an_additive_model_with_the_noise_of_its_residuals(
    rows: list[tuple[int, int, float]],
) -> None:
    result = marginals((RATE, WIDTH, MELS), scores(rows), 0)
    used = [
        (a, v) for i, a in enumerate((RATE, MELS)) for v in a.values if v in {r[i] for r in rows}
    ]
    assert [(row["axis"], row["value"]) for row in result] == [(a.name, v) for a, v in used]
    for (axis, value), row in zip(used, result, strict=True):
        mean, half = by_differences(rows, axis, value)
        assert row["n"] == sum(value in r[:2] for r in rows)
        assert row["mean"] == pytest.approx(mean)
        assert row["ci95"] == pytest.approx((mean - half, mean + half))


def test_holes_in_a_grid_do_not_mix_the_parameters() -> None:
    effect = {8: 0.0, 16: 0.1, 10: 0.5, 20: 0.6, 40: 0.8}
    rows = [(r, m, effect[r] + effect[m]) for r, m, _ in FULL if (r, m) != (16, 40)]
    result = {row["value"]: row["mean"] for row in marginals((RATE, MELS), scores(rows), 0)}
    assert result == pytest.approx({8: 1.9 / 3, 16: 1.9 / 3 + 0.1, 10: 0.55, 20: 0.65, 40: 0.85})


def test_as_many_trials_as_the_model_has_numbers_tell_nothing() -> None:
    assert marginals((RATE, MELS), scores(FULL[:4]), 0) == []
    assert marginals((RATE, MELS), scores(FULL[:5]), 0) != []


@pytest.mark.parametrize("apart", [0.001, 0.01, 0.1])
def test_the_interval_is_the_wider_of_residuals_and_seeds(apart: float) -> None:
    """Three seeds, `apart` from each other: their mean is in doubt by t(2) · apart / √3."""
    seeds = [
        (p, over_seeds([one.value + d for d in (-apart, 0, apart)])) for p, one in scores(FULL)
    ]
    of_seeds = stats.t.ppf(0.975, 2) * apart / 3**0.5
    for row in marginals((RATE, MELS), seeds, 0):
        axis = RATE if row["axis"] == "rate" else MELS
        mean, half = by_differences(FULL, axis, row["value"])
        wider = max(half, of_seeds)
        assert row["mean"] == pytest.approx(mean)
        assert row["ci95"] == pytest.approx((mean - wider, mean + wider))


@pytest.mark.parametrize(("value", "end"), [(0.02, 0), (0.98, 1)])
def test_the_interval_of_a_share_ends_at_0_and_1(value: float, end: int) -> None:
    seeds = [
        ({"rate": r, "mels": m}, over_seeds([value - 0.1, value, value + 0.1])) for r, m, _ in FULL
    ]
    for row in marginals((RATE, MELS), seeds, 0):
        assert row["ci95"][end] == end
        half = stats.t.ppf(0.975, 2) * 0.1 / 3**0.5
        assert abs(row["ci95"][1 - end] - value) == pytest.approx(half)


def test_speakers_leave_their_doubt_too() -> None:
    """Two speakers who move every score by 0.1, one up and one down: a variance of 0.04."""
    moved = [(p, Scored(y, np.array([0.1, -0.1]), np.array([y])))
             for p, y in (({"rate": r, "mels": m}, y) for r, m, y in FULL)]  # fmt: skip
    for row in marginals((RATE, MELS), moved, 2):
        low, high = row["mean"] - 12.706 * 0.2, row["mean"] + 12.706 * 0.2
        assert row["ci95"] == pytest.approx((max(0, low), min(1, high)))


def test_all_of_the_variance_is_that_of_the_parameter_that_matters() -> None:
    result = importance(
        (RATE, MELS), [({"rate": r, "mels": m}, 0.01 * m) for r, m, _ in FULL for _ in range(3)]
    )
    assert sum(result.values()) == pytest.approx(1)
    assert result["mels"] > 0.95
    assert list(result) == ["mels", "rate"]


def test_of_few_trials_or_equal_ones_nothing_is_said() -> None:
    tried = [({"rate": r, "mels": m}, y) for r, m, y in FULL]
    assert importance((RATE, MELS), tried[: FEWEST - 1]) == {}
    assert set(importance((RATE, MELS), tried[:FEWEST])) == {"rate", "mels"}
    assert importance((RATE, MELS), [(params, 0.5) for params, _ in tried]) == {}
    two = [(params, 0.5 + 0.1 * (n == 0)) for n, (params, _) in enumerate(tried)]
    assert importance((RATE, MELS), two) != {}
