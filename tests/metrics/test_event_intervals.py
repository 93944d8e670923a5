"""Intervals of misses and false alarms: by whom, and how often they hold the truth."""

import numpy as np
import pytest

from edgekws.metrics import intervals
from edgekws.metrics.event_intervals import (
    Basis,
    Doubt,
    alarms_per_hour,
    group_recordings,
    miss_rate,
)

RUNS = 400
LEAST = 0.93
"""Of `RUNS` intervals; the three standard errors of a simulation are taken off where it is used."""

FEW = (2, 3, 6, 10, 25)
Recordings = list[tuple[str, str]]


def people(speakers: int, each: int) -> Recordings:
    return [(f"s{who}", f"{who}-{take}.wav") for who in range(speakers) for take in range(each)]


def nameless(recordings: int) -> Recordings:
    return [("", f"{number}.wav") for number in range(recordings)]


def held(doubts: list[Doubt], truth: float) -> float:
    spans = [one.ci95 for one in doubts if one.ci95]
    assert len(spans) == RUNS
    return float(np.mean([low <= truth <= high for low, high in spans]))


def bound() -> float:
    return LEAST - 3 * float((LEAST * (1 - LEAST) / RUNS) ** 0.5)


def log_normal(rng: np.random.Generator, mean: float, apart: float, count: int) -> np.ndarray:
    """Return rates of mean `mean` whose logarithms have the deviation `apart`."""
    return mean * np.exp(apart * rng.standard_normal(count) - apart**2 / 2)


@pytest.mark.parametrize("together", [0.0, 0.05, 0.12])
@pytest.mark.parametrize("mean", [0.05, 0.2])
@pytest.mark.parametrize("speakers", FEW)
def test_miss_rates_of_speakers_are_covered(speakers: int, mean: float, together: float) -> None:
    """Of speakers with Beta-distributed miss rates, each with four recordings of 1 to 8 labels.

    `together` is the correlation of two labels of one speaker.
    """
    rng = np.random.default_rng(0)
    groups = group_recordings(people(speakers, 4))
    doubts = []
    for _ in range(RUNS):
        rates = np.full(speakers, mean)
        if together:
            size = 1 / together - 1
            rates = rng.beta(mean * size, (1 - mean) * size, speakers)
        labels = rng.integers(1, 9, 4 * speakers)
        doubts.append(miss_rate(rng.binomial(labels, np.repeat(rates, 4)), labels, groups))
    assert held(doubts, mean) >= bound()


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [3.0, 60.0])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("groups", FEW)
def test_false_alarms_are_covered(groups: int, known: bool, rate: float, apart: float) -> None:
    """By speaker with three recordings each, or by recording of unknown ones; of 5 min on average.

    Some recordings are covered by a label: they count for nothing.
    """
    rng = np.random.default_rng(1)
    each = 3 if known else 1
    of = group_recordings(
        [*(people(groups, 3) if known else nameless(groups)), ("s0", "a"), ("x", "b")]
    )
    doubts = []
    for _ in range(RUNS):
        rates = np.repeat(log_normal(rng, rate, apart, groups), each)
        seconds = rng.uniform(150, 450, groups * each) / each
        counts = rng.poisson(rates * seconds / intervals.HOUR_S)
        doubts.append(alarms_per_hour(np.append(counts, [0, 0]), np.append(seconds, [0, 0]), of))
    basis = Basis("by speaker", groups, 0) if known else Basis("by recording", 0, groups)
    assert {one.basis for one in doubts} == {basis}
    assert held(doubts, rate) >= bound()


def test_speakers_come_first_and_parts_of_a_recording_are_one() -> None:
    result = group_recordings(
        [("", "b"), ("zoe", "1"), ("", "a"), ("ann", "2"), ("", "b"), ("ann", "3")]
    )
    assert (result.codes.tolist(), result.speakers) == ([3, 1, 2, 0, 3, 0], 2)


def test_what_is_known_decides_over_what_an_interval_is() -> None:
    counts, seconds = np.array([1, 0, 2, 0]), np.array([600.0, 300, 500, 400])

    def doubt(recordings: Recordings) -> Doubt:
        return alarms_per_hour(counts[: len(recordings)], seconds[: len(recordings)],
                               group_recordings(recordings))  # fmt: skip

    alone = doubt(nameless(1))
    assert alone == (intervals.garwood(1, 600), Basis("if independent", 0, 1))
    assert doubt(people(1, 4)) == (None, Basis("one speaker", 1, 0))
    assert doubt(nameless(4)).basis == Basis("by recording", 0, 4)
    assert doubt([*people(1, 2), *nameless(2)]).basis == Basis("by recording", 1, 2)
    assert doubt([*people(2, 1), *nameless(2)]).basis == Basis("by speaker", 2, 2)
    together, apart = doubt(people(2, 2)).ci95, doubt(people(4, 1)).ci95
    assert together
    assert apart
    assert together[1] > apart[1]


def test_recordings_that_a_label_covers_count_for_nothing() -> None:
    counts, seconds = np.array([9, 0, 2]), np.array([600.0, 300.0, 500.0])
    more = group_recordings([("ann", "covered"), *people(3, 1), ("", "covered too")])
    padded = alarms_per_hour(np.pad(counts, 1), np.pad(seconds, 1), more)
    assert padded == alarms_per_hour(counts, seconds, group_recordings(people(3, 1)))


def test_recordings_of_unknown_speakers_are_taken_to_be_each_of_another() -> None:
    for counts in (np.array([2, 2, 2, 2]), np.array([1, 0, 2, 9])):
        seconds = np.array([600.0, 600.0, 500.0, 600.0])
        by_speaker = alarms_per_hour(counts, seconds, group_recordings(people(4, 1)))
        assert (
            alarms_per_hour(counts, seconds, group_recordings(nameless(4))).ci95 == by_speaker.ci95
        )


def test_a_miss_rate_is_of_labels_whoever_says_how_many() -> None:
    """Of 2, 4 and 94 labels, 1, 2 and 7 are missed: one in ten, and what each differs from it."""
    labels, misses = np.array([2, 4, 94]), np.array([1, 2, 7])
    influence = np.array([0.8, 1.6, -2.4]) / 100
    expected = intervals.share(0.1, influence, labels / 100, 0.01, 3)
    assert miss_rate(misses, labels, group_recordings(people(3, 1))).ci95 == pytest.approx(expected)


def test_labels_of_one_recording_are_independent_or_nothing_is_known() -> None:
    one = group_recordings(nameless(1))
    alone = miss_rate(np.array([3]), np.array([20]), one)
    assert alone.ci95 == pytest.approx(intervals.clopper_pearson(3, 20))
    assert alone.basis == Basis("if independent", 0, 1)
    assert miss_rate(np.array([3, 1]), np.array([20, 9]), group_recordings(people(1, 2))) == (
        None, Basis("one speaker", 1, 0)
    )  # fmt: skip


def test_what_speakers_miss_together_is_worth_less() -> None:
    """Two of eight speakers miss everything: as many misses as of one label in four by chance."""
    labels = np.full(8, 10)
    even = miss_rate(np.array([2, 3] * 4), labels, group_recordings(people(8, 1))).ci95
    uneven = miss_rate(
        np.array([10, 10, 0, 0, 0, 0, 0, 0]), labels, group_recordings(people(8, 1))
    ).ci95
    assert even
    assert uneven
    assert uneven[0] < even[0] < 0.25 < even[1] < uneven[1]
