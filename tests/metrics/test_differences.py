"""Differences between systems against loops over clips, and against simulated systems."""

import numpy as np
import pytest
from scipy import stats

from edgekws.core.corpus import Examples
from edgekws.metrics.differences import difference, seed_variance, speaker_count, systems

LABELS = ("_silence_", "_unknown_", "да", "no")


def examples(targets: list[int], speakers: list[str]) -> Examples:
    n = len(targets)
    names = tuple(f"clip {i}" for i in range(n))
    return Examples(np.zeros((n, 1, 1), np.float32), np.array(targets), np.array(speakers), names)


def drawn(seed: int, n: int, speakers: int) -> tuple[Examples, np.random.Generator]:
    rng = np.random.default_rng(seed)
    names = [f"s{i % speakers}" if i % 7 else "" for i in range(n)]
    return examples(rng.integers(0, 4, n).tolist(), names), rng


def macro_recall(predicted: list[int], targets: list[int]) -> float:
    recalls = []
    for label in (1, 2, 3):
        mine = [p for p, t in zip(predicted, targets, strict=True) if t == label]
        recalls.append(sum(p == label for p in mine) / len(mine))
    return sum(recalls) / 3


def test_values_are_what_loops_count_for_every_seed() -> None:
    clips, rng = drawn(0, 90, 5)
    targets = clips.targets.tolist()
    predicted = [[rng.integers(0, 4, 90) for _ in range(seeds)] for seeds in (1, 3)]
    for system, seeds in zip(systems(predicted, clips, LABELS), predicted, strict=True):
        for i, one in enumerate(seeds):
            called = one.tolist()
            right = [p == t for p, t in zip(called, targets, strict=True)]
            assert system.right[i].tolist() == right
            assert system.values("accuracy")[i] == pytest.approx(sum(right) / 90)
            expected = macro_recall(called, targets)
            assert system.values("macro_recall")[i] == pytest.approx(expected)
            for metric in ("accuracy", "macro_recall"):
                added = float((system.weights[metric] * right).sum())
                assert added == pytest.approx(system.values(metric)[i])


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall"])
def test_the_variance_is_that_between_speakers_and_between_clips_without_one(metric: str) -> None:
    clips, rng = drawn(1, 120, 6)
    a, b = systems([[rng.integers(0, 4, 120)], [rng.integers(0, 4, 120)]], clips, LABELS)
    apart = a.right[0].astype(float) - b.right[0]
    weight = a.weights[metric]
    expected = np.array([apart[clips.targets == t].mean() for t in clips.targets])
    moved = weight * (apart - expected)
    names = clips.speakers
    speakers = [moved[names == name].sum() for name in sorted(set(names) - {""})]
    alone = moved[(names == "") & (weight > 0)]
    slow = 6 / 5 * np.square(speakers).sum() + len(alone) / (len(alone) - 1) * (alone**2).sum()
    assert difference(a, b, metric=metric).speaker_variance == pytest.approx(slow)
    assert speaker_count(clips) == 6


def spread(seed: int, systems_apart: float) -> tuple[Examples, list[list[np.ndarray]]]:
    """Two systems with two seeds each, on 8 speakers who are each easy or hard for a system."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(8), 40)
    clips = examples([2] * 320, [f"s{s}" for s in speakers])
    predicted = []
    for level in (0.8 + systems_apart / 2, 0.8 - systems_apart / 2):
        of_speaker = 0.06 * rng.standard_normal(8)
        seeds = []
        for _ in range(2):
            chance = level + 0.04 * rng.standard_normal() + of_speaker[speakers]
            seeds.append(np.where(rng.random(320) < chance, 2, 3))
        predicted.append(seeds)
    return clips, predicted


@pytest.mark.parametrize("speakers", [2, 3, 6, 10, 25])
@pytest.mark.parametrize("apart", [0.0, 0.3, 0.7])
def test_a_difference_is_covered_and_level_systems_are_seldom_told_apart(
    speakers: int, apart: float
) -> None:
    """Two level systems, each of which finds other speakers easy, by `apart` in log-odds."""
    rng, runs, wrong = np.random.default_rng(5), 300, 0
    names = np.repeat([f"s{s}" for s in range(speakers)], 40)
    clips = examples([2] * len(names), names.tolist())
    for _ in range(runs):
        talent = np.repeat(rng.normal(1.5, 0.7, speakers), 40) + rng.logistic(size=len(names))
        ease = np.repeat(rng.normal(0, apart, (2, speakers)), 40, axis=1)
        luck = 0.3 * rng.logistic(size=(2, len(names)))
        called = np.where(talent + ease + luck > 0, 2, 3)
        result = difference(*systems([[called[0]], [called[1]]], clips, LABELS))
        assert result.ci95
        out = not result.ci95[0] <= 0 <= result.ci95[1]
        assert out == (result.p < 0.05)
        wrong += out
    assert wrong / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_systems_far_apart_are_told_apart() -> None:
    clips, predicted = spread(0, 0.5)
    result = difference(*systems(predicted, clips, LABELS))
    assert result.p < 0.01
    assert result.ci95
    assert result.ci95[0] > 0.2


def test_clips_of_one_speaker_allow_no_verdict() -> None:
    clips = examples([2] * 40, ["x"] * 40)
    called = [np.where(np.arange(40) < right, 2, 3) for right in (39, 10)]
    result = difference(*systems([[called[0]], [called[1]]], clips, LABELS))
    assert (result.ci95, result.p) == (None, 1.0)
    assert result.value == pytest.approx(29 / 40)
    assert (result.speaker_variance, result.seed_variance) == (0.0, 0.0)
    assert result.clip_variance == pytest.approx(29 / 40**2)


def test_the_other_way_round_is_the_same_with_the_sign_turned() -> None:
    clips, predicted = spread(3, 0.1)
    a, b = systems([one[:1] for one in predicted], clips, LABELS)
    there, back = difference(a, b), difference(b, a)
    assert back.value == pytest.approx(-there.value)
    assert there.ci95
    assert back.ci95 == pytest.approx((-there.ci95[1], -there.ci95[0]))
    assert back.p == pytest.approx(there.p)
    assert there.seed_variance == 0


def test_seeds_that_differ_widen_the_interval() -> None:
    clips = examples([2] * 100, [f"s{i % 10}" for i in range(100)])

    def called(right: int) -> np.ndarray:
        return np.where(np.arange(100) < right, 2, 3)

    apart = systems([[called(60), called(90)], [called(75)]], clips, LABELS)
    level = systems([[called(75), called(75)], [called(75)]], clips, LABELS)
    wide, narrow = difference(*apart), difference(*level)
    assert wide.seed_variance == pytest.approx(np.var([0.6, 0.9], ddof=1) / 2)
    assert narrow.seed_variance == 0
    assert wide.ci95
    assert wide.ci95[1] - wide.ci95[0] > 0.25
    assert narrow.ci95
    assert narrow.ci95[1] == pytest.approx(2.262 / 100, abs=1e-4)  # one clip, Student's t of 9
    assert narrow.p == 1


def test_doubt_of_speakers_and_of_seeds_adds_up_with_the_degrees_of_freedom_of_each() -> None:
    assert seed_variance(np.array([0.6])) is None
    seeds = seed_variance(np.array([0.6, 0.9, 0.9]))
    assert seeds is not None
    assert seeds.value == pytest.approx(0.01)
    assert seeds.df == 2
    clips, predicted = spread(4, 0.1)
    a, b = systems([[*predicted[0], predicted[1][0]], predicted[1]], clips, LABELS)
    result = difference(a, b)
    n = 320
    chance = sum(
        ((x.mean() - y.mean()) / n) ** 2 for x, y in zip(a.right.T, b.right.T, strict=True)
    )
    assert result.clip_variance == pytest.approx(chance)
    parts = [(max(result.speaker_variance, chance + 1 / n**2), 7)]
    parts += [(np.var(one.right.mean(1), ddof=1) / k, k - 1) for one, k in ((a, 3), (b, 2))]
    total = sum(variance for variance, _ in parts)
    df = total**2 / sum(variance**2 / free for variance, free in parts)
    assert result.seed_variance == pytest.approx(parts[1][0] + parts[2][0])
    half = stats.t.ppf(0.975, df) * total**0.5
    assert result.ci95 == pytest.approx((result.value - half, result.value + half))
    assert result.p == pytest.approx(2 * stats.t.sf(abs(result.value) / total**0.5, df))


def test_speakers_that_agree_by_chance_leave_as_much_doubt_as_clips() -> None:
    """Two speakers, each with one clip for a and one for b: their variance is 0."""
    clips = examples([2] * 40, ["x"] * 20 + ["y"] * 20)
    a = np.array(([2, 3] + [2] * 18) * 2)
    b = np.array(([3, 2] + [2] * 18) * 2)
    result = difference(*systems([[a], [b]], clips, LABELS))
    assert result.speaker_variance == 0
    assert result.clip_variance == pytest.approx(4 / 40**2)
    assert result.ci95 == pytest.approx((-12.706 * 5**0.5 / 40, 12.706 * 5**0.5 / 40), abs=1e-3)
    assert result.p == 1


def test_without_any_class_but_silence_there_is_no_macro_recall() -> None:
    clips = examples([0, 0, 0], ["", "", ""])
    (system,) = systems([[np.zeros(3, np.int64)]], clips, LABELS)
    assert set(system.shares) == {"accuracy"}
