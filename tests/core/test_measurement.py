"""Budgets bite, and margins have the right sign."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.core.measurement import METRICS, Budget, Limit, Measurement, Op

VALUES = st.floats(-1e9, 1e9)
OPS = st.sampled_from(["max", "min"])


def _judge(op: Op, limit: float, measured: float) -> tuple[bool, float | None]:
    budget = Budget((Limit("params", op, limit),))
    (verdict,) = budget.check([Measurement("params", measured)])
    return verdict.ok, verdict.margin


@given(OPS, VALUES, VALUES)
def test_margin_is_negative_exactly_when_broken(op: Op, limit: float, measured: float) -> None:
    ok, margin = _judge(op, limit, measured)
    assert ok == (measured <= limit if op == "max" else measured >= limit)
    assert margin is not None
    assert ok == (margin >= 0)


@given(OPS, VALUES)
def test_a_limit_that_is_just_met_holds(op: Op, limit: float) -> None:
    assert _judge(op, limit, limit) == (True, 0)


def test_margin_is_a_share_of_the_limit() -> None:
    assert _judge("max", 200, 150) == (True, 0.25)
    assert _judge("min", 0.8, 0.4) == (False, -0.5)


@pytest.mark.parametrize("op", ["max", "min"])
def test_missing_or_nan_fails(op: Op) -> None:
    assert _judge(op, 1, math.nan) == (False, None)
    (verdict,) = Budget((Limit("macs", op, 1),)).check([Measurement("params", 0)])
    assert (verdict.ok, verdict.measured, verdict.margin) == (False, None, None)


def test_infinite_measurements() -> None:
    assert not _judge("max", 1, math.inf)[0]
    assert not _judge("min", 1, -math.inf)[0]


@given(st.lists(st.tuples(st.sampled_from(sorted(METRICS)), OPS, VALUES)))
def test_one_verdict_a_limit_in_order(rows: list[tuple[str, Op, float]]) -> None:
    limits = tuple(Limit(*row) for row in rows)
    assert tuple(verdict.limit for verdict in Budget(limits).check([])) == limits


@pytest.mark.parametrize("metric", METRICS)
def test_keys_are_read_back(metric: str) -> None:
    limit = Limit(metric, "max", 3)
    assert Limit.parse(limit.key, 3) == limit


@pytest.mark.parametrize("key", ["params", "max_", "most_params", "max_speed", "maxparams"])
def test_unknown_keys(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is not max_ or min_ and one of params, macs"):
        Limit.parse(key, 1)
