"""Detection trade-offs against loops over thresholds, and against scikit-learn."""

import math

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
def test_rates_are_what_a_loop_counts_at_every_threshold(
    mine: list[float], others: list[float]
) -> None:
    result = tradeoff("да", np.array(mine), np.array(others))
    assert (result.clips, result.others) == (len(mine), len(others))
    for threshold, miss, accepted in zip(
        result.thresholds, result.miss_rate, result.false_accept_rate, strict=True
    ):
        assert miss == pytest.approx(sum(s < threshold for s in mine) / len(mine))
        assert accepted == pytest.approx(sum(s >= threshold for s in others) / len(others))
    assert (result.miss_rate[0], result.false_accept_rate[0]) == (0, 1)
    assert (result.miss_rate[-1], result.false_accept_rate[-1]) == (1, 0)
    assert list(result.thresholds) == sorted(result.thresholds)


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_no_point_off_a_straight_run_is_left_out(mine: list[float], others: list[float]) -> None:
    result = tradeoff("да", np.array(mine), np.array(others))
    truth = np.array([1] * len(mine) + [0] * len(others))
    false_accepts, misses, _ = det_curve(truth, np.array(mine + others))
    for x, y in zip(false_accepts, misses, strict=True):
        on_curve = any(
            min(x0, x1) - 1e-9 <= x <= max(x0, x1) + 1e-9 and min(y0, y1) - 1e-9 <= y <= y1 + 1e-9
            for x0, x1, y0, y1 in zip(
                result.false_accept_rate,
                result.false_accept_rate[1:],
                result.miss_rate,
                result.miss_rate[1:],
                strict=False,
            )
        )
        assert on_curve, (x, y)


@given(scores, scores)
def test_points_in_the_middle_of_a_straight_run_alone_are_left_out(
    mine: list[float], others: list[float]
) -> None:
    result = tradeoff("да", np.array(mine), np.array(others))
    thresholds = sorted({*mine, *others})
    thresholds.append(math.nextafter(thresholds[-1], math.inf))
    counts = [(sum(s < t for s in mine), sum(s < t for s in others)) for t in thresholds]
    expected = [
        thresholds[i]
        for i in range(len(thresholds))
        if i in (0, len(thresholds) - 1)
        or not any(counts[i - 1][k] == counts[i][k] == counts[i + 1][k] for k in (0, 1))
    ]
    assert list(result.thresholds) == expected


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_the_equal_error_rate_lies_between_the_rates_around_it(
    mine: list[float], others: list[float]
) -> None:
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


def test_known_curves() -> None:
    apart = tradeoff("да", np.array([0.9, 0.8]), np.array([0.1, 0.2]))
    assert apart.eer == 0
    swapped = tradeoff("да", np.array([0.1, 0.2]), np.array([0.8, 0.9]))
    assert swapped.eer == 1
    level = tradeoff("да", np.array([0.5]), np.array([0.5]))
    assert level.eer == 0.5


def test_keywords_alone_have_curves_each_against_all_other_clips() -> None:
    rng = np.random.default_rng(0)
    targets = [0, 0, 1, 2, 2, 3]
    logits = rng.standard_normal((6, 4)).astype(np.float32)
    first, second = per_keyword(logits, examples(targets), LABELS)
    assert [(f.label, f.clips, f.others) for f in (first, second)] == [("да", 2, 4), ("no", 1, 5)]
    both = pooled(logits, examples(targets), LABELS, "all")
    assert both is not None
    assert (both.label, both.clips, both.others) == ("all", 3, 9)
    scores = softmax(logits)
    pairs = [(scores[n, k], targets[n] == k) for k in (0, 1) for n in range(6)]
    for result, kept in ((first, pairs[:6]), (second, pairs[6:]), (both, pairs)):
        assert result == tradeoff(
            result.label,
            np.array([score for score, mine in kept if mine]),
            np.array([score for score, mine in kept if not mine]),
        )


@given(st.lists(st.tuples(*[st.floats(-30, 30, width=32)] * 4), min_size=1, max_size=5))
def test_scores_are_the_slow_softmax(rows: list[tuple[float, ...]]) -> None:
    result = softmax(np.array(rows, np.float32))
    for row, scored in zip(rows, result, strict=True):
        odds = [math.exp(x) for x in row]
        assert scored.tolist() == pytest.approx([one / sum(odds) for one in odds], rel=1e-9)
    large = np.array([[1e4, 1e4 - 1, 0, 0], [0, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(softmax(large)[0, :2], [1 / (1 + 1 / math.e), 1 / (math.e + 1)])


def test_where_there_is_nothing_to_miss_or_to_accept_there_is_no_curve() -> None:
    logits = np.zeros((2, 4), np.float32)
    assert per_keyword(logits, examples([2, 3]), LABELS) == ()
    assert pooled(logits, examples([2, 3]), LABELS, "all") is None
    assert per_keyword(logits, examples([0, 0]), LABELS) == ()
    assert pooled(logits[:, :1], examples([0, 0]), LABELS[:1], "all") is None
