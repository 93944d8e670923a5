"""Means at every value against another way to solve the same model, and shares of the variance."""

from typing import Any

import numpy as np
import pytest

from edgekws.search.importance import FEWEST, importance, marginals
from edgekws.search.model import Range
from edgekws.search.space import Axis
from edgekws.search.statistics import RESAMPLES, Scored

RATE, MELS = Axis("rate", (8, 16)), Axis("mels", (10, 20, 40))
WIDTH = Axis("width", (), Range(low=0.0, high=1.0))


def surely(value: float) -> Scored:
    """A score that no draw moves."""
    return Scored(value, np.full(RESAMPLES, value))


def scores(rows: list[tuple[int, int, float]]) -> list[tuple[dict[str, Any], Scored]]:
    return [({"rate": r, "mels": m, "width": 0.5}, surely(y)) for r, m, y in rows]


def by_differences(
    rows: list[tuple[int, int, float]], axis: Axis, value: Any
) -> tuple[float, float]:
    """Mean and standard error by a model of differences to the first value, all columns needed."""
    used = {a.name: [v for v in a.values if any(v == r[i] for r in rows)]
            for i, a in enumerate((RATE, MELS))}  # fmt: skip
    table = [[1.0, *(float(r == v) for v in used["rate"][1:]),
              *(float(m == v) for v in used["mels"][1:])] for r, m, _ in rows]  # fmt: skip
    x, y = np.array(table), np.array([row[2] for row in rows])
    fitted, *_ = np.linalg.lstsq(x, y, rcond=None)
    at = [1.0]
    for name, values in used.items():
        at += [float(v == value) if name == axis.name else 1 / len(values) for v in values[1:]]
    noise = ((y - x @ fitted) ** 2).sum() / (len(y) - x.shape[1])
    at = np.array(at)
    return float(at @ fitted), float(np.sqrt(noise * at @ np.linalg.inv(x.T @ x) @ at))


FULL = [(8, 10, 0.5), (8, 20, 0.61), (8, 40, 0.66), (16, 10, 0.58), (16, 20, 0.7), (16, 40, 0.71)]


@pytest.mark.parametrize(
    "rows",
    [FULL, FULL[:5], FULL[1:], [*FULL, (8, 10, 0.54)], [r for r in FULL if r[1] < 40] + FULL[:1]],
)
def test_means_are_those_of_an_additive_model_with_the_noise_of_its_residuals(rows):
    found = marginals((RATE, WIDTH, MELS), scores(rows), (0, 1))
    used = [
        (a, v) for i, a in enumerate((RATE, MELS)) for v in a.values if v in {r[i] for r in rows}
    ]
    assert [(row["axis"], row["value"]) for row in found] == [(a.name, v) for a, v in used]
    for (axis, value), row in zip(used, found, strict=True):
        mean, error = by_differences(rows, axis, value)
        assert row["n"] == sum(value in r[:2] for r in rows)
        assert row["mean"] == pytest.approx(mean)
        assert row["ci95"] == pytest.approx((mean - 1.96 * error, mean + 1.96 * error))


def test_holes_in_a_grid_do_not_mix_the_parameters():
    effect = {8: 0.0, 16: 0.1, 10: 0.5, 20: 0.6, 40: 0.8}
    rows = [(r, m, effect[r] + effect[m]) for r, m, _ in FULL if (r, m) != (16, 40)]
    found = {row["value"]: row["mean"] for row in marginals((RATE, MELS), scores(rows), (0, 1))}
    assert found == pytest.approx({8: 1.9 / 3, 16: 1.9 / 3 + 0.1, 10: 0.55, 20: 0.65, 40: 0.85})


def test_as_many_trials_as_the_model_has_numbers_tell_nothing():
    assert marginals((RATE, MELS), scores(FULL[:4]), (0, 1)) == []
    assert marginals((RATE, MELS), scores(FULL[:5]), (0, 1)) != []


def test_the_interval_is_the_wider_one_on_either_side():
    drawn = np.linspace(-0.5, 0.1, RESAMPLES)
    parts = [(params, Scored(one.value, one.value + drawn)) for params, one in scores(FULL)]
    for row, (params, _) in zip(
        marginals((RATE, MELS), parts, (0, 1)),
        [({"rate": v}, 0) for v in RATE.values] + [({"mels": v}, 0) for v in MELS.values],
        strict=True,
    ):
        ((name, value),) = params.items()
        mean, error = by_differences(FULL, RATE if name == "rate" else MELS, value)
        low, high = np.percentile(drawn, (2.5, 97.5))
        expected = min(mean + low, mean - 1.96 * error), max(mean + high, mean + 1.96 * error)
        assert row["ci95"] == pytest.approx(expected)


def test_all_of_the_variance_is_that_of_the_parameter_that_matters():
    found = importance(
        (RATE, MELS), [({"rate": r, "mels": m}, 0.01 * m) for r, m, _ in FULL for _ in range(3)]
    )
    assert sum(found.values()) == pytest.approx(1)
    assert found["mels"] > 0.95
    assert list(found) == ["mels", "rate"]


def test_of_few_trials_or_equal_ones_nothing_is_said():
    tried = [({"rate": r, "mels": m}, y) for r, m, y in FULL]
    assert importance((RATE, MELS), tried[: FEWEST - 1]) == {}
    assert set(importance((RATE, MELS), tried[:FEWEST])) == {"rate", "mels"}
    assert importance((RATE, MELS), [(params, 0.5) for params, _ in tried]) == {}
    two = [(params, 0.5 + 0.1 * (n == 0)) for n, (params, _) in enumerate(tried)]
    assert importance((RATE, MELS), two) != {}
