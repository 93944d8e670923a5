"""95 % intervals that hold for few speakers: for shares, differences and hourly rates.

Clips of one speaker are correlated, so an estimate is written as a sum over groups: the speakers,
and each clip without a speaker as its own group. `influence` `(G,)` is what each group adds to the
error of the estimate (its linearization), speakers first. The variance is that between groups,
and the quantile is Student's with one degree of freedom fewer than there are speakers (Cameron &
Miller 2015, "A practitioner's guide to cluster-robust inference"). With one speaker there is no
interval.

A variance estimated from few speakers is often too small by chance. So it is never taken to be
less than that of speakers who differ by `SPREAD` on the logit scale (rates: by `RATE_SPREAD` of
their mean), an assumption that fades out above `MANY_SPEAKERS` speakers, and never less than that
of independent samples. For rates of two or three groups the assumption stands alone.
`tools/interval_coverage.py` simulates how often the intervals contain the true value.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPREAD = 0.75
"""Smallest standard deviation assumed for the log-odds of speakers."""

RATE_SPREAD = 1.0
"""Smallest standard deviation assumed for the rates of speakers, as a share of the mean."""

LEAST_DF = 3.0
"""Degrees of freedom below which the spread of rates between groups is not estimated alone."""

MANY_SPEAKERS = 25
"""Above this number of speakers, the assumed spread fades out."""

FEW_SPEAKERS = 8
"""With fewer speakers, read every figure with care."""

HOUR_S = 3600.0

_TAIL = 0.025

Array = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Variance:
    """A variance and its degrees of freedom; sums follow Satterthwaite (1946)."""

    value: float
    df: float

    def __add__(self, other: "Variance") -> "Variance":
        total = self.value + other.value
        parts = [(part.value / total) ** 2 / part.df for part in (self, other) if part.value]
        return Variance(total, 1 / sum(parts) if parts else min(self.df, other.df))

    def at_least(self, value: float) -> "Variance":
        """Return a variance that is no less than `value`."""
        return Variance(max(self.value, value), self.df)


def between(influence: Array, speakers: int) -> Variance | None:
    """Return the variance between groups, `None` with a single speaker.

    >>> between(np.array([2.0, -1.0, -1.0]), 3)
    Variance(value=9.0, df=2.0)
    """
    parts = []
    for deviations in (influence[:speakers], influence[speakers:]):
        n = len(deviations)
        if n > 1:
            parts.append(Variance(n / (n - 1) * float(np.square(deviations).sum()), n - 1.0))
    if speakers == 1 or not parts:
        return None
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def share(
    value: float,
    influence: Array,
    weight: Array,
    squares: float,
    speakers: int,
    more: Variance | None = None,
) -> Interval | None:
    """Return the interval of a weighted share of samples.

    `weight` `(G,)` is the weight of all samples of a group, `squares` the sum of the squared
    weights of single samples; the weights add up to 1. `more` is variance independent of the
    samples. The interval is Student's on the logit scale. If all samples count or none do, it is
    that of Clopper and Pearson (1934), or wider: it ends at the share at which speakers with
    Beta-distributed shares would all agree in one of 40 cases. `None` with a single speaker.
    """
    if speakers == 1:
        return None
    variance = between(influence, speakers)
    if variance is None:
        return clopper_pearson(value / squares, 1 / squares)
    if not 0 < value < 1:
        low = _lowest_perfect(weight / squares, speakers)
        return (0.0, 1 - low) if value < 0.5 else (low, 1.0)
    bernoulli = value * (1 - value)
    together = spread(speakers) * bernoulli  # the correlation of two samples of one speaker
    pairs = float(np.square(weight).sum()) - squares
    variance = variance.at_least(bernoulli * (squares + together * pairs))
    if more:
        variance += more
    half = quantile(variance.df) * variance.value**0.5 / bernoulli
    logit = np.log(value / (1 - value))
    low, high = (1 / (1 + np.exp(-bound)) for bound in (logit - half, logit + half))
    return float(low), float(high)


def _lowest_perfect(samples: Array, speakers: int) -> float:
    """Return the share at which all samples of all groups count with probability `_TAIL`."""
    from scipy.optimize import brentq
    from scipy.special import betaln

    alone = clopper_pearson(float(samples.sum()), float(samples.sum()))[0]
    if not speakers:
        return alone

    def beyond(share: float) -> float:
        together = spread(speakers) * share * (1 - share)
        a, b = (part * (1 / together - 1) for part in (share, 1 - share))
        return float((betaln(a + samples, b) - betaln(a, b)).sum() - np.log(_TAIL))

    return min(alone, float(brentq(beyond, 1e-9, 1 - 1e-9)))


def difference(value: float, variance: Variance) -> Interval:
    """Return Student's interval of a difference."""
    half = quantile(variance.df) * variance.value**0.5
    return value - half, value + half


def p_value(value: float, variance: Variance) -> float:
    """Return the two-sided p-value of a difference from 0, by Student's distribution."""
    from scipy.special import stdtr

    if not variance.value:
        return 0.0 if value else 1.0
    return float(2 * stdtr(variance.df, -abs(value) / variance.value**0.5))


def hourly(counts: NDArray[np.int64], seconds: Array, speakers: int) -> Interval | None:
    """Return the interval of events per hour, from counts and seconds of each group `(G,)`.

    It is Student's on the log scale, and never narrower than that of Garwood (1936) for
    independent events, which is used alone if no speakers are known. Without events, it ends at
    the rate at which speakers with Gamma-distributed rates would have none in one of 40 cases.
    Below `LEAST_DF` degrees of freedom, where Student's ends nowhere in practice, such rates give
    both ends. `None` with a single speaker.

    >>> [round(bound, 1) for bound in hourly(np.array([0, 0]), np.array([600.0, 600.0]), 2)]
    [0.0, 31.9]
    >>> [round(bound, 1) for bound in hourly(np.array([1, 0]), np.array([600.0, 600.0]), 2)]
    [0.1, 57.6]
    """
    if speakers == 1:
        return None
    count, total_s = int(counts.sum()), float(seconds.sum())
    low, high = garwood(count, total_s)
    apart = spread(speakers, RATE_SPREAD)
    if not count:
        return 0.0, max(high, HOUR_S * _loudest_silence(seconds, apart)) if apart else high
    rate = count / total_s
    variance = between((counts - rate * seconds) / total_s, speakers)
    if variance is None:
        return low, high
    expected = float(np.square(rate * seconds).sum())
    if variance.df < LEAST_DF:
        apart = max(apart, (variance.value * total_s**2 - count) / expected) if speakers else 0.0
        least, most = _of_differing(count, seconds, apart) if apart else (low, high)
        return min(low, least), max(high, most)
    variance = variance.at_least((count + apart * expected) / total_s**2)
    factor = float(np.exp(quantile(variance.df) * variance.value**0.5 / rate))
    return min(low, HOUR_S * rate / factor), max(high, HOUR_S * rate * factor)


def _of_differing(count: int, seconds: Array, apart: float) -> Interval:
    """Return the hourly rates at which so few, or so many, events have probability `_TAIL`.

    The rates of the groups are Gamma-distributed with the squared coefficient of variation
    `apart`. Their sum is taken as Gamma-distributed with the same mean and variance, which is
    exact for groups of equal length; the count is then negative binomial.
    """
    from scipy.special import betaincinv

    total_s = float(seconds.sum())
    shape = total_s**2 / (apart * float(np.square(seconds).sum()))
    chances = (betaincinv(shape, count, 1 - _TAIL), betaincinv(shape, count + 1, _TAIL))
    low, high = (HOUR_S * shape * (1 - p) / p / total_s for p in chances)
    return float(low), float(high)


def _loudest_silence(seconds: Array, apart: float) -> float:
    """Return the mean rate at which no group has an event with probability `_TAIL`."""
    from scipy.optimize import brentq

    def beyond(rate: float) -> float:
        return float(np.log1p(apart * rate * seconds).sum()) / apart + float(np.log(_TAIL))

    return float(brentq(beyond, 0.0, (_TAIL**-apart) / apart / float(seconds.max())))


def clopper_pearson(hits: float, n: float) -> Interval:
    """Return the exact interval of a share of independent samples (Clopper and Pearson 1934).

    The numbers need not be integers (effective numbers of weighted samples are not); for integers
    the result is that of `scipy.stats.binomtest`.

    >>> [round(bound, 4) for bound in clopper_pearson(50, 50)]
    [0.9289, 1.0]
    """
    from scipy.special import betaincinv

    low = betaincinv(hits, n - hits + 1, _TAIL) if hits > 0 else 0.0
    high = betaincinv(hits + 1, n - hits, 1 - _TAIL) if hits < n else 1.0
    return float(low), float(high)


def garwood(count: int, seconds: float) -> Interval:
    """Return the exact interval of independent events per hour (Garwood 1936).

    Without events in 20 minutes it ends at 11 per hour: so short a recording excludes no less.
    """
    from scipy.special import gammaincinv

    low = gammaincinv(count, _TAIL) if count else 0.0
    high = gammaincinv(count + 1, 1 - _TAIL)
    return float(low) * HOUR_S / seconds, float(high) * HOUR_S / seconds


def care(speakers: int | None) -> str:
    """Return a warning that a figure rests on few speakers, empty if it does not or none is known.

    >>> care(5), care(1), care(8), care(None)
    ('5 speakers: read it with care', '1 speaker: read it with care', '', '')
    """
    if not speakers or speakers >= FEW_SPEAKERS:
        return ""
    return f"{speakers} speaker{'s' * (speakers > 1)}: read it with care"


def quantile(df: float, comparisons: int = 1) -> float:
    """Return Student's quantile of a two-sided 95 % interval, corrected for `comparisons`.

    >>> round(quantile(5), 3), round(quantile(1e9), 2)
    (2.571, 1.96)
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - _TAIL / comparisons))


def spread(speakers: int, deviation: float = SPREAD) -> float:
    """Return the smallest variance assumed between speakers."""
    return deviation**2 * min(1.0, MANY_SPEAKERS / speakers) if speakers else 0.0
