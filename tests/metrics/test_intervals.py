"""Intervals against exact values, and against what simulated speakers do."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from edgekws.metrics import intervals
from edgekws.metrics.intervals import Interval, Variance

SPEAKERS = (2, 3, 6, 10, 25)
RUNS = 400
LEAST = 0.93
"""Of `RUNS` intervals; the three standard errors of a simulation are taken off where it is used."""

Counts = NDArray[np.int64]
Draw = Callable[[np.random.Generator, int], Interval | None]


def held(draw: Draw, truth: float, speakers: int, seed: int = 0) -> float:
    """Return the share of simulated intervals that hold the truth."""
    rng = np.random.default_rng(seed)
    result = [draw(rng, speakers) for _ in range(RUNS)]
    assert all(result)
    return float(np.mean([one[0] <= truth <= one[1] for one in result if one]))


def bound() -> float:
    return LEAST - 3 * float((LEAST * (1 - LEAST) / RUNS) ** 0.5)


@cache
def talents(mean: float, apart: float) -> NDArray[np.float64]:
    """Return shares of mean `mean`, whose log-odds are normally distributed about one value."""
    odds = np.random.default_rng(9).standard_normal(20_000) * apart
    low, high = -9.0, 9.0
    for _ in range(40):
        middle = (low + high) / 2
        below = (1 / (1 + np.exp(-(middle + odds)))).mean() < mean
        low, high = (middle, high) if below else (low, middle)
    return np.asarray(1 / (1 + np.exp(-(low + odds))))


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("mean", [0.8, 0.95])
@pytest.mark.parametrize("speakers", SPEAKERS)
def test_a_share_is_covered(speakers: int, mean: float, apart: float) -> None:
    def draw(rng: np.random.Generator, speakers: int) -> Interval | None:
        clips = 60
        right = rng.binomial(clips, rng.choice(talents(mean, apart), speakers)) / clips
        value = float(right.mean())
        weight = np.full(speakers, 1 / speakers)
        influence = (right - value) / speakers
        return intervals.share(value, influence, weight, 1 / (speakers * clips), speakers)

    assert held(draw, mean, speakers) >= bound()


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [3.0, 60.0])
@pytest.mark.parametrize("speakers", SPEAKERS)
def test_an_hourly_rate_is_covered(speakers: int, rate: float, apart: float) -> None:
    """The rates of speakers have a Gamma distribution whose deviation is `apart` of its mean."""

    def draw(rng: np.random.Generator, speakers: int) -> Interval | None:
        rates = rate * (rng.gamma(apart**-2, apart**2, speakers) if apart else np.ones(speakers))
        seconds = rng.uniform(150, 450, speakers)
        counts = rng.poisson(rates * seconds / intervals.HOUR_S)
        return intervals.hourly(counts, seconds, speakers)

    assert held(draw, rate, speakers) >= bound()


@pytest.mark.parametrize("speakers", SPEAKERS)
def test_a_difference_of_nothing_is_called_one_in_one_case_of_twenty_at_most(speakers: int) -> None:
    rng = np.random.default_rng(1)
    called = []
    for _ in range(1000):
        each = rng.standard_normal(speakers) * rng.uniform(0.5, 2)
        value, variance = (
            float(each.mean()),
            intervals.between((each - each.mean()) / speakers, speakers),
        )
        assert variance
        low, high = intervals.difference(value, variance)
        p = intervals.p_value(value, variance)
        assert (p < 0.05) == (not low <= 0 <= high)
        called.append(p < 0.05)
    assert np.mean(called) <= 0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5


def test_one_speaker_has_no_interval() -> None:
    one, alone = np.array([0.0]), np.array([1.0])
    assert intervals.share(0.9, one, alone, 0.01, 1) is None
    assert intervals.hourly(np.array([3]), np.array([600.0]), 1) is None
    assert intervals.between(one, 1) is None


def test_all_or_nothing_is_exact_where_no_speaker_is_known() -> None:
    weight = np.full(50, 0.02)
    result = [intervals.share(value, 0 * weight, weight, 0.02, 0) for value in (1.0, 0.0)]
    assert result[0] == pytest.approx((0.9289, 1.0), abs=1e-4)
    assert result[1] == pytest.approx((0.0, 0.0711), abs=1e-4)
    # R, poisson.test(0, 0.5) and poisson.test(4, 2)
    assert intervals.garwood(0, 1800) == pytest.approx((0, 7.3778), abs=1e-4)
    assert intervals.garwood(4, 7200) == pytest.approx((0.5449, 5.1208), abs=1e-4)


def test_all_or_nothing_says_little_of_few_speakers() -> None:
    """At the end of the interval speakers drawn from a Beta distribution are as one in 1 of 40."""
    weight = np.array([0.5, 0.5])
    low, high = intervals.share(1.0, 0 * weight, weight, 0.02, 2) or (0, 0)
    assert high == 1
    together = 0.75**2 * low * (1 - low)
    rng = np.random.default_rng(0)
    a, b = low * (1 / together - 1), (1 - low) * (1 / together - 1)
    chance = rng.beta(a, b, (400_000, 2)) ** 25
    assert chance.prod(axis=1).mean() == pytest.approx(0.025, abs=0.001)
    assert low < intervals.clopper_pearson(50, 50)[0]
    mirrored = intervals.share(0.0, 0 * weight, weight, 0.02, 2)
    assert mirrored == pytest.approx((0.0, 1 - low))


def test_no_event_says_little_of_few_speakers() -> None:
    """Rates that are Gamma distributed leave all speakers quiet in one of 40 cases."""
    seconds = np.array([300.0, 900.0, 600.0])
    low, high = intervals.hourly(np.zeros(3, np.int64), seconds, 3) or (1, 1)
    assert low == 0
    per_second = high / intervals.HOUR_S
    assert np.prod(1 / (1 + per_second * seconds)) == pytest.approx(0.025)
    unknown = intervals.hourly(np.zeros(3, np.int64), seconds, 0)
    assert unknown == intervals.garwood(0, 1800)


def test_variances_add_up_with_the_degrees_of_freedom_of_both() -> None:
    both = Variance(1.0, 4) + Variance(3.0, 9)
    assert both.value == 4
    assert both.df == pytest.approx(16 / (1 / 4 + 9 / 9))
    assert Variance(0.0, 4) + Variance(0.0, 9) == Variance(0.0, 4)
    assert Variance(0.0, 4) + Variance(2.0, 9) == Variance(2.0, 9)


def test_speakers_and_lone_clips_are_two_parts_of_a_variance() -> None:
    influence = np.array([0.2, -0.2, 0.1, -0.05, -0.05])
    result = intervals.between(influence, 2)
    assert result
    assert result.value == pytest.approx(2 * 0.08 + 1.5 * 0.015)
    result = intervals.between(influence[:2], 0)
    assert result is not None
    assert result.value == pytest.approx(0.16)
    assert result.df == 1.0


def assumed(value: float, clips: Sequence[float], apart: float) -> float:
    """Return the variance that is assumed at least, summed over all pairs of clips.

    `clips` are the speakers of the clips; two of one speaker have the correlation that speakers
    `apart` in their log-odds give them.
    """
    pairs = [(a, b) for a in range(len(clips)) for b in range(len(clips)) if clips[a] == clips[b]]
    bernoulli = value * (1 - value)
    return sum(
        bernoulli * (1 if a == b else apart**2 * bernoulli) / len(clips) ** 2 for a, b in pairs
    )


@pytest.mark.parametrize("more", [None, Variance(0.004, 2)])
@pytest.mark.parametrize(
    ("right", "clips"),
    [([10, 8, 8, 6], [10, 10, 10, 10]), ([9, 9, 10, 0], [10, 10, 10, 10]), ([3, 19], [4, 25])],
)
def test_a_share_by_hand(right: list[int], clips: list[int], more: Variance | None) -> None:
    n, total, value = len(clips), sum(clips), sum(right) / sum(clips)
    influence = [(r - value * c) / total for r, c in zip(right, clips, strict=True)]
    detected = [speaker for speaker, count in enumerate(clips) for _ in range(count)]
    seen = n / (n - 1) * sum(one**2 for one in influence)
    df: float = n - 1
    variance = max(seen, assumed(value, detected, 0.75))
    if more:
        both = variance + more.value
        df = both**2 / (variance**2 / df + more.value**2 / more.df)
        variance = both
    half = stats.t.ppf(0.975, df) * variance**0.5 / (value * (1 - value))
    middle = np.log(value / (1 - value))
    weight = np.array(clips) / total
    result = intervals.share(value, np.array(influence), weight, 1 / total, n, more)
    ends = [1 / (1 + np.exp(-(middle + side * half))) for side in (-1, 1)]
    assert result == pytest.approx(ends)


@pytest.mark.parametrize(
    ("counts", "seconds"),
    [
        ([3, 4, 5, 4], [600.0, 900.0, 900.0, 500.0]),
        ([12, 0, 1, 0], [600.0, 900.0, 300.0, 60.0]),
        ([1, 1, 0, 0], [60.0, 9.0, 10.0, 10.0]),
    ],
)
def test_an_hourly_rate_by_hand(counts: list[int], seconds: list[float]) -> None:
    n, count, total = len(counts), sum(counts), sum(seconds)
    rate = count / total
    seen = n / (n - 1) * sum((c - rate * s) ** 2 for c, s in zip(counts, seconds, strict=True))
    least = count + sum((rate * s) ** 2 for s in seconds)  # who differ by as much as their mean
    error = max(seen, least) ** 0.5 / count  # of the logarithm
    half = stats.t.ppf(0.975, n - 1) * error
    exact = [stats.gamma.ppf(0.025, count), stats.gamma.ppf(0.975, count + 1)]
    low = min(exact[0] / total, rate * np.exp(-half)) * 3600
    high = max(exact[1] / total, rate * np.exp(half)) * 3600
    result = intervals.hourly(np.array(counts), np.array(seconds), n)
    assert result == pytest.approx((low, high))


@pytest.mark.parametrize("counts", [[1, 0], [7, 6], [30, 0], [1, 0, 0], [2, 3, 9]])
def test_an_hourly_rate_of_two_or_three_ends_where_so_few_or_many_are_one_in_forty(
    counts: list[int],
) -> None:
    """The rates of groups are Gamma distributed, apart by their mean or what the counts show."""
    n, count, mean = len(counts), sum(counts), sum(counts) / len(counts)
    seen = n / (n - 1) * sum((c - mean) ** 2 for c in counts)
    shape = 1 / max(1.0, (seen - count) / (n * mean**2))
    low, high = intervals.hourly(np.array(counts), np.full(n, 600.0), n) or (0, 0)
    for end, at_least in ((low, True), (high, False)):
        alike, apart = (
            stats.poisson(n * end / 6),
            stats.nbinom(n * shape, shape / (shape + end / 6)),
        )
        tails = [of.sf(count - 1) if at_least else of.cdf(count) for of in (alike, apart)]
        assert max(tails) == pytest.approx(0.025)


def test_two_recordings_with_an_alarm_between_them_have_a_bound_that_says_something() -> None:
    """Student's quantile of one degree of freedom made it 17 million an hour."""
    low, high = intervals.hourly(np.array([1, 0]), np.array([600.0, 600.0]), 2) or (0, 0)
    assert 0 < low < 3 < intervals.garwood(1, 1200)[1] < high < 100


def test_events_of_nobody_known_have_the_exact_interval() -> None:
    for counts in ([3], [0], [0, 0, 0], [2, 0]):
        seconds = np.full(len(counts), 1200.0)
        result = intervals.hourly(np.array(counts), seconds, 0)
        assert result == intervals.garwood(sum(counts), 1200.0 * len(counts))


@pytest.mark.parametrize("speakers", [2, 3, 40])
def test_silence_ends_where_speakers_would_be_as_quiet_in_one_of_forty_cases(speakers: int) -> None:
    """Their rates are Gamma distributed: one of no event in s has (1 + v r s)^(-1/v)."""
    seconds = np.linspace(300.0, 900.0, speakers)
    apart = min(1.0, 25 / speakers)
    low, high = intervals.hourly(np.zeros(speakers, np.int64), seconds, speakers) or (1, 1)
    quiet = np.prod([(1 + apart * high / 3600 * one) ** (-1 / apart) for one in seconds])
    assert low == 0
    assert quiet == pytest.approx(0.025)


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (1, 20), (7, 20), (19, 20), (20, 20)])
def test_an_exact_interval_ends_where_the_tails_are_a_fortieth(hits: int, n: int) -> None:
    low, high = intervals.clopper_pearson(hits, n)
    assert (low, high) == pytest.approx(stats.binomtest(hits, n).proportion_ci(0.95, "exact"))
    assert (low == 0, high == 1) == (hits == 0, hits == n)
    if hits:
        assert stats.binom.sf(hits - 1, n, low) == pytest.approx(0.025)
    if hits < n:
        assert stats.binom.cdf(hits, n, high) == pytest.approx(0.025)


def test_quantiles_and_p_values_are_students() -> None:
    for df in (1, 2.5, 30):
        assert intervals.quantile(df) == pytest.approx(stats.t.ppf(0.975, df))
        assert intervals.quantile(df, 5) == pytest.approx(stats.t.ppf(0.995, df))
        for value in (-0.3, 0.0, 0.2):
            result = intervals.p_value(value, Variance(0.04, df))
            assert result == pytest.approx(2 * stats.t.sf(abs(value) / 0.2, df))
        half = stats.t.ppf(0.975, df) * 0.2
        low, high = intervals.difference(0.1, Variance(0.04, df))
        assert (low, high) == pytest.approx((0.1 - half, 0.1 + half))
    assert intervals.p_value(0.0, Variance(0.0, 3)) == 1.0
    assert intervals.p_value(-0.1, Variance(0.0, 3)) == 0.0


def test_what_is_assumed_of_few_speakers_fades_with_their_number() -> None:
    assert intervals.spread(0) == 0
    assert intervals.spread(2) == intervals.spread(25) == 0.75**2
    assert intervals.spread(26) == pytest.approx(0.75**2 * 25 / 26)
    assert intervals.spread(100) == pytest.approx(0.75**2 / 4)
    assert intervals.spread(100, 1.0) == pytest.approx(1 / 4)
