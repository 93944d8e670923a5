"""Ranges by entropy, against the method written as plain loops, and in both backends."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekws.quantizers.int8 import entropy
from edgekws.quantizers.int8.entropy import divergence, entropy_range, histogram, range_of, ranges
from tests.quantizers.conftest import Case


def slowly(counts: list[int], start: int, end: int) -> float:
    """Clip, merge to 256 levels, spread over the bins that were not empty, compare."""
    true = list(counts[start:end])
    n = len(true)
    merged, filled = [0] * 256, [0] * 256
    for i, count in enumerate(true):
        merged[i * 256 // n] += count
        filled[i * 256 // n] += count > 0
    kept = [merged[i * 256 // n] / filled[i * 256 // n] if true[i] else 0.0 for i in range(n)]
    true[0] += sum(counts[:start])
    true[-1] += sum(counts[end:])
    pairs = [(p, max(q, 1e-4)) for p, q in zip(true, kept, strict=True) if p]
    sums = [sum(side) for side in zip(*pairs, strict=True)]
    return float(sum(p / sums[0] * math.log(p / sums[0] / (q / sums[1])) for p, q in pairs))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=300, max_size=700), st.integers(0, 20), st.integers(0, 20)
)
def test_the_divergence_is_that_of_the_method(counts: list[int], left: int, right: int) -> None:
    counts[150] += 1
    end = len(counts) - right
    expected = slowly(counts, left, end)
    assert divergence(np.array(counts), left, end) == pytest.approx(expected, abs=1e-12)


def test_the_range_is_the_best_of_those_that_reach_equally_far() -> None:
    values = np.random.default_rng(3).standard_t(4, size=20_000).astype(np.float32)
    span = float(values.min()), float(values.max())
    counts = histogram(values, span)
    edges = np.linspace(*span, entropy.BINS + 1)
    zero = int(np.abs(edges).argmin())
    widest = max(zero, entropy.BINS - zero)
    lost = {}
    for reach in range(widest, 127, -entropy.STEP):
        start, end = max(zero - reach, 0), min(zero + reach, entropy.BINS)
        if end - start >= 256:
            lost[start, end] = slowly(counts.tolist(), start, end)
    best = min(lost, key=lost.__getitem__)
    assert entropy_range(counts, span) == pytest.approx((edges[best[0]], edges[best[1]]))
    assert best != max(lost, key=lambda pair: pair[1] - pair[0])


def test_an_outlier_is_clipped_and_zeros_are_not_counted() -> None:
    values = np.abs(np.random.default_rng(1).normal(size=100_000)).astype(np.float32)
    with_outlier = np.append(values, np.float32(40))
    low, high = range_of(with_outlier)
    assert low == 0
    assert 2 < high < 8
    assert range_of(np.append(with_outlier, np.zeros(500_000, np.float32))) == (low, high)


def test_the_whole_range_is_kept_if_uint8_can_represent_it() -> None:
    levels = np.arange(256, dtype=np.float32).repeat(50)
    assert range_of(levels) == (0, 255)
    assert range_of(-levels) == (-255, 0)
    assert range_of(np.zeros(9, np.float32)) == (0, 0)


def test_ranges_of_a_graph_are_those_of_all_its_values(
    known_case: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = known_case("spectrogram")
    monkeypatch.setattr(entropy, "entropy_range", lambda counts, span: (*span, counts.sum()))
    by_name = ranges(case.lowered, case.clips)
    assert [*by_name["features"]] == [case.clips.min(), case.clips.max(), case.clips.size]
    assert len(by_name) == 1 + len(case.lowered.graph.node)
