"""Accuracy, recall and their intervals against slow, obvious references."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekws.core.corpus import Examples
from edgekws.errors import DataError
from edgekws.metrics.accuracy import accuracy, confusion, per_class
from edgekws.metrics.tallies import BY_LABEL

LABELS = ("_silence_", "_unknown_", "да", "no")


def examples(targets: list[int], speakers: list[str] | None = None) -> Examples:
    n = len(targets)
    return Examples(
        np.zeros((n, 2, 3), np.float32),
        np.array(targets, np.int64),
        np.array(speakers or [""] * n, np.str_),
        tuple(f"clip {i}" for i in range(n)),
    )


def logits(predicted: list[int], n_labels: int = 4) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.eye(n_labels, dtype=np.float32)[predicted].reshape(-1, n_labels)


pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(pairs, st.booleans())
def test_values_equal_the_obvious_loops(rows: list[tuple[int, int]], speakers: bool) -> None:
    targets, predicted = [t for t, _ in rows], [p for _, p in rows]
    names = [f"s{i % 3}" if speakers and i % 5 else "" for i in range(len(rows))]
    result = {m.metric: m for m in accuracy(logits(predicted), examples(targets, names), LABELS)}

    assert result["accuracy"].value == pytest.approx(sum(t == p for t, p in rows) / len(rows))
    recalls = []
    for label in (1, 2, 3):
        mine = [p for t, p in rows if t == label]
        if mine:
            recalls.append(sum(p == label for p in mine) / len(mine))
    if recalls:
        assert result["macro_recall"].value == pytest.approx(sum(recalls) / len(recalls))
        assert result["macro_recall"].n == sum(t != 0 for t in targets)
    unknown = [p for t, p in rows if t == 1]
    if unknown:
        accepted = sum(p in (2, 3) for p in unknown) / len(unknown)
        assert result["unknown_accepted"].value == pytest.approx(accepted)
    assert ("macro_recall" in result, "unknown_accepted" in result) == (
        bool(recalls),
        bool(unknown),
    )
    kinds = {"keyword_recall": (2, 3), "unknown_recall": (1,), "silence_recall": (0,)}
    for metric, labels in kinds.items():
        mine = [t == p for t, p in rows if t in labels]
        assert (metric in result) == bool(mine)
        if mine:
            assert result[metric].value == pytest.approx(sum(mine) / len(mine))
            assert result[metric].n == len(mine)
    for one in result.values():
        if one.ci95 is None:  # all clips that count may be of one speaker
            continue
        assert 0 <= one.ci95[0] <= one.ci95[1] <= 1


@settings(max_examples=20, deadline=None)
@given(pairs)
def test_tables_equal_the_obvious_loops(rows: list[tuple[int, int]]) -> None:
    built = examples([t for t, _ in rows]), LABELS
    outputs = logits([p for _, p in rows])
    matrix = confusion(outputs, *built)
    for i in range(4):
        row = per_class(outputs, *built)[i]
        mine, called = [p for t, p in rows if t == i], [t for t, p in rows if p == i]
        assert row["label"] == LABELS[i]
        assert row["support"] == len(mine)
        recall = sum(p == i for p in mine) / len(mine) if mine else None
        assert row["recall"] == pytest.approx(recall)
        precision = sum(t == i for t in called) / len(called) if called else None
        assert row["precision"] == pytest.approx(precision)
        assert matrix[i] == [sum(p == j for p in mine) for j in range(4)]


def interval(predicted: list[int], made: Examples, metric: str) -> tuple[float, float]:
    result = {m.metric: m for m in accuracy(logits(predicted), made, LABELS)}
    ci95 = result[metric].ci95
    assert ci95 is not None
    return ci95


def test_the_interval_is_students_over_speakers_on_the_logit_scale() -> None:
    """Every speaker is always right or always wrong: clips tell nothing beyond the speakers."""
    speakers = [f"s{i // 50}" for i in range(1000)]
    predicted = [2 if i // 50 % 4 else 3 for i in range(1000)]
    low, high = interval(predicted, examples([2] * 1000, speakers), "accuracy")
    of_speaker = np.array([s % 4 > 0 for s in range(20)], float)
    half = 2.093 * of_speaker.std(ddof=1) / 20**0.5 / (0.75 * 0.25)  # R, qt(0.975, 19)
    logits = np.log(3) - half, np.log(3) + half
    assert (low, high) == pytest.approx(tuple(1 / (1 + np.exp(-x)) for x in logits), abs=1e-4)
    clips_low, clips_high = interval(predicted, examples([2] * 1000), "accuracy")
    assert high - low > 4 * (clips_high - clips_low)


def test_one_speaker_has_no_interval() -> None:
    result = accuracy(logits([2, 3, 1, 1]), examples([2, 2, 1, 1], ["a"] * 4), LABELS)
    assert [one.ci95 for one in result] == [None] * 5
    mixed = examples([2, 2, 1, 1], ["a", "b", "a", "a"])
    held = {m.metric: m.ci95 for m in accuracy(logits([2, 3, 1, 1]), mixed, LABELS)}
    assert held["accuracy"]
    assert held["unknown_accepted"] is None  # one speaker said all of the `_unknown_` words


@settings(max_examples=20, deadline=None)
@given(pairs)
def test_the_intervals_of_a_class_are_those_of_its_own_clips(rows: list[tuple[int, int]]) -> None:
    targets, predicted = np.array([t for t, _ in rows]), np.array([p for _, p in rows])
    names = np.array([f"s{i % 4}" for i in range(len(rows))])
    built = examples(targets.tolist(), names.tolist())
    for i, row in enumerate(per_class(logits(predicted.tolist()), built, LABELS)):
        for name, asked in (("recall", targets == i), ("precision", predicted == i)):
            if not asked.any():
                assert (row[name], row[f"{name}_ci95"]) == (None, None)
                continue
            right = (targets == predicted)[asked]
            alone = examples([2] * len(right), names[asked].tolist())
            one = accuracy(logits(np.where(right, 2, 3).tolist()), alone, LABELS)[0]
            assert row[name] == pytest.approx(one.value)
            assert row[f"{name}_ci95"] == (one.ci95 and pytest.approx(one.ci95))


def test_clips_without_a_speaker_stand_for_themselves() -> None:
    """Two speakers among 400 lone clips widen the interval of the lone clips only a little."""
    speakers = ["a", "b"] + [""] * 400
    predicted = [2, 3] + [2, 2, 2, 3] * 100
    low, high = interval(predicted, examples([2] * 402, speakers), "accuracy")
    assert 0.06 < high - low < 0.12


def test_clips_are_independent_where_no_speaker_is_known() -> None:
    low, high = interval([2] * 90 + [3] * 10, examples([2] * 100), "accuracy")
    half = 1.984 * (1 / (100 * 0.9 * 0.1) * 100 / 99) ** 0.5  # R, qt(0.975, 99)
    logits = np.log(9) - half, np.log(9) + half
    assert (low, high) == pytest.approx(tuple(1 / (1 + np.exp(-x)) for x in logits), abs=1e-3)


def test_a_perfect_score_keeps_its_doubt() -> None:
    speakers = [f"s{i % 5}" for i in range(50)]
    for metric in ("accuracy", "macro_recall"):
        low, high = interval([2] * 50, examples([2] * 50, speakers), metric)
        assert (low, high) == pytest.approx((0.9154, 1.0), abs=1e-4), metric
    low, high = interval([0] * 50, examples([1] * 50, speakers), "unknown_accepted")
    assert (low, high) == pytest.approx((0.0, 0.0846), abs=1e-4)


def test_unheard_words_are_measured_apart() -> None:
    targets, called = [1, 1, 1, 1, 2, 3], [2, 1, 0, 3, 1, 3]
    clips = examples(targets, ["ann", "ann", "ben", "ben", "ben", "ann"])
    plain = accuracy(logits(called), clips, LABELS)
    assert "unheard_accepted" not in {m.metric for m in plain}
    unheard = np.array([True, False, True, True, False, False])
    apart = accuracy(logits(called), replace(clips, unheard=unheard), LABELS)
    assert apart[:-1] == plain
    assert (apart[-1].metric, apart[-1].value, apart[-1].n) == ("unheard_accepted", 2 / 3, 3)
    low, high = apart[-1].ci95 or (1, 0)
    assert 0 <= low < 2 / 3 < high <= 1


def test_a_share_of_the_unheard_is_that_of_all_where_all_are() -> None:
    clips = examples([1] * 40, [f"s{i % 5}" for i in range(40)])
    every = replace(clips, unheard=np.ones(40, bool))
    called = [2 if i % 7 == 0 else 1 for i in range(40)]
    found = {m.metric: m for m in accuracy(logits(called), every, LABELS)}
    assert (
        replace(found["unheard_accepted"], metric="unknown_accepted") == found["unknown_accepted"]
    )


@pytest.mark.parametrize("speakers", [2, 3, 6, 10, 25])
def test_intervals_cover_the_truth(speakers: int) -> None:
    """Accuracy, macro recall and acceptance of speakers that differ, with lone `_silence_`."""
    rng, runs = np.random.default_rng(3), 200
    held = dict.fromkeys(BY_LABEL, 0)
    odds = np.random.default_rng(4).standard_normal(20_000)
    mean = (1 / (1 + np.exp(-(2.5 + 0.8 * odds)))).mean()
    targets = np.tile([1, 1, 2, 2, 2, 3], 10 * speakers)
    names = np.repeat([f"s{s}" for s in range(speakers)], 60)
    built = examples([*targets, *[0] * 30], [*names, *[""] * 30])
    truth = dict.fromkeys(("macro_recall", "keyword_recall", "unknown_recall"), mean)
    truth |= {"unknown_accepted": 1 - mean, "silence_recall": 0.9}
    truth["accuracy"] = (mean * len(targets) + 0.9 * 30) / (len(targets) + 30)
    for _ in range(runs):
        talent = np.repeat(1 / (1 + np.exp(-(2.5 + 0.8 * rng.standard_normal(speakers)))), 60)
        right = np.append(rng.random(len(targets)) < talent, rng.random(30) < 0.9)
        wrong = np.where(built.targets == 2, 3, 2)
        called = np.where(right, built.targets, wrong).tolist()
        for one in accuracy(logits(called), built, LABELS):
            assert one.ci95
            held[one.metric] += one.ci95[0] <= truth[one.metric] <= one.ci95[1]
    least = 0.93 - 3 * (0.93 * 0.07 / runs) ** 0.5
    assert all(count / runs >= least for count in held.values()), held


def test_same_clips_same_interval() -> None:
    built = examples([2, 3] * 20, [f"s{i % 7}" for i in range(40)])
    assert accuracy(logits([2] * 40), built, LABELS) == accuracy(logits([2] * 40), built, LABELS)


def test_says_what_is_wrong() -> None:
    with pytest.raises(DataError, match="no clips to measure on"):
        accuracy(logits([]), examples([]), LABELS)
    broken = logits([2, 3])
    broken[1, 0] = np.nan
    for measure in (accuracy, per_class, confusion):
        with pytest.raises(DataError, match=r"clip 1: .*not finite \(1 of 2 clips\)"):
            measure(broken, examples([2, 3]), LABELS)
