"""Detection trade-offs against loops over thresholds, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import det_curve

from edgekws.core.corpus import Examples
from edgekws.metrics.detection_tradeoff import per_keyword, pooled, softmax, tradeoff

LABELS = ("да", "no", "_unknown_", "_silence_")
scores = st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=30)


def examples(targets: list[int]) -> Examples:
    n = len(targets)
    names = tuple(f"clip {i}" for i in range(n))
    return Examples(np.zeros((n, 1, 1), np.float32), np.array(targets), np.array([""] * n), names)


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_rates_are_what_a_loop_counts_at_every_threshold(mine: list[float], others: list[float]):
    found = tradeoff("да", np.array(mine), np.array(others))
    assert (found.clips, found.others) == (len(mine), len(others))
    for threshold, miss, accepted in zip(
        found.thresholds, found.miss_rate, found.false_accept_rate, strict=True
    ):
        assert miss == pytest.approx(sum(s < threshold for s in mine) / len(mine))
        assert accepted == pytest.approx(sum(s >= threshold for s in others) / len(others))
    assert (found.miss_rate[0], found.false_accept_rate[0]) == (0, 1)
    assert (found.miss_rate[-1], found.false_accept_rate[-1]) == (1, 0)
    assert list(found.thresholds) == sorted(found.thresholds)


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_no_point_off_a_straight_run_is_left_out(mine: list[float], others: list[float]):
    found = tradeoff("да", np.array(mine), np.array(others))
    truth = np.array([1] * len(mine) + [0] * len(others))
    false_accepts, misses, _ = det_curve(truth, np.array(mine + others))
    for x, y in zip(false_accepts, misses, strict=True):
        on_curve = any(
            min(x0, x1) - 1e-9 <= x <= max(x0, x1) + 1e-9 and min(y0, y1) - 1e-9 <= y <= y1 + 1e-9
            for x0, x1, y0, y1 in zip(
                found.false_accept_rate,
                found.false_accept_rate[1:],
                found.miss_rate,
                found.miss_rate[1:],
                strict=False,
            )
        )
        assert on_curve, (x, y)


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_the_equal_error_rate_lies_between_the_rates_around_it(
    mine: list[float], others: list[float]
):
    eer = tradeoff("да", np.array(mine), np.array(others)).eer
    points = []
    for threshold in [*sorted({*mine, *others}), 2.0]:
        miss = sum(s < threshold for s in mine) / len(mine)
        points.append((miss, sum(s >= threshold for s in others) / len(others)))
    after = next(i for i, (miss, accepted) in enumerate(points) if miss >= accepted)
    (m0, a0), (m1, a1) = points[after - 1], points[after]
    steps = np.linspace(0, 1, 2001)
    gaps = np.abs((a0 + steps * (a1 - a0)) - (m0 + steps * (m1 - m0)))
    assert eer == pytest.approx(m0 + steps[gaps.argmin()] * (m1 - m0), abs=1e-3)


def test_known_curves():
    apart = tradeoff("да", np.array([0.9, 0.8]), np.array([0.1, 0.2]))
    assert apart.eer == 0
    swapped = tradeoff("да", np.array([0.1, 0.2]), np.array([0.8, 0.9]))
    assert swapped.eer == 1
    level = tradeoff("да", np.array([0.5]), np.array([0.5]))
    assert level.eer == 0.5


def test_keywords_alone_have_curves_each_against_all_other_clips():
    rng = np.random.default_rng(0)
    targets = [0, 0, 1, 2, 2, 3]
    logits = rng.standard_normal((6, 4)).astype(np.float32)
    first, second = per_keyword(logits, examples(targets), LABELS)
    assert [(f.label, f.clips, f.others) for f in (first, second)] == [("да", 2, 4), ("no", 1, 5)]
    both = pooled(logits, examples(targets), LABELS, "all")
    assert both is not None
    assert (both.label, both.clips, both.others) == ("all", 3, 9)
    np.testing.assert_allclose(softmax(logits).sum(axis=1), 1)


def test_where_there_is_nothing_to_miss_or_to_accept_there_is_no_curve():
    logits = np.zeros((2, 4), np.float32)
    assert per_keyword(logits, examples([2, 3]), LABELS) == ()
    assert pooled(logits, examples([2, 3]), LABELS, "all") is None
    assert per_keyword(logits, examples([0, 0]), LABELS) == ()
    assert pooled(logits[:, :1], examples([0, 0]), LABELS[:1], "all") is None
