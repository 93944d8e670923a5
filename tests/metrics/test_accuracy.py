"""Accuracy, recall and their intervals against slow, obvious references."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekws.core.corpus import Examples
from edgekws.errors import DataError
from edgekws.metrics.accuracy import accuracy, confusion, per_class

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
    found = {m.metric: m for m in accuracy(logits(predicted), examples(targets, names), LABELS)}

    assert found["accuracy"].value == pytest.approx(sum(t == p for t, p in rows) / len(rows))
    recalls = []
    for label in (1, 2, 3):
        mine = [p for t, p in rows if t == label]
        if mine:
            recalls.append(sum(p == label for p in mine) / len(mine))
    if recalls:
        assert found["macro_recall"].value == pytest.approx(sum(recalls) / len(recalls))
        assert found["macro_recall"].n == sum(t != 0 for t in targets)
    unknown = [p for t, p in rows if t == 1]
    if unknown:
        accepted = sum(p in (2, 3) for p in unknown) / len(unknown)
        assert found["unknown_accepted"].value == pytest.approx(accepted)
    assert ("macro_recall" in found, "unknown_accepted" in found) == (bool(recalls), bool(unknown))
    for one in found.values():
        assert one.ci95 is not None
        assert 0 <= one.ci95[0] <= one.ci95[1] <= 1


@settings(max_examples=20, deadline=None)
@given(pairs)
def test_tables_equal_the_obvious_loops(rows: list[tuple[int, int]]) -> None:
    made = examples([t for t, _ in rows]), LABELS
    outputs = logits([p for _, p in rows])
    matrix = confusion(outputs, *made)
    for i in range(4):
        row = per_class(outputs, *made)[i]
        mine, called = [p for t, p in rows if t == i], [t for t, p in rows if p == i]
        assert row["label"] == LABELS[i]
        assert row["support"] == len(mine)
        recall = sum(p == i for p in mine) / len(mine) if mine else None
        assert row["recall"] == pytest.approx(recall)
        precision = sum(t == i for t in called) / len(called) if called else None
        assert row["precision"] == pytest.approx(precision)
        assert matrix[i] == [sum(p == j for p in mine) for j in range(4)]


def interval(predicted: list[int], made: Examples, metric: str) -> tuple[float, float]:
    found = {m.metric: m for m in accuracy(logits(predicted), made, LABELS)}
    ci95 = found[metric].ci95
    assert ci95 is not None
    return ci95


def test_speakers_are_drawn_whole() -> None:
    """Every speaker is always right or always wrong: clips tell nothing beyond the speakers."""
    speakers = [f"s{i // 50}" for i in range(1000)]
    targets = [2] * 1000
    predicted = [2 if i // 50 % 4 else 3 for i in range(1000)]
    low, high = interval(predicted, examples(targets, speakers), "accuracy")
    rng = np.random.default_rng(1)
    right = np.array([s % 4 > 0 for s in range(20)])
    slow = [right[rng.integers(0, 20, 20)].mean() for _ in range(4000)]
    assert (low, high) == pytest.approx(tuple(np.percentile(slow, (2.5, 97.5))), abs=0.051)
    clips_low, clips_high = interval(predicted, examples(targets), "accuracy")
    assert high - low > 4 * (clips_high - clips_low)


def test_clips_without_a_speaker_stand_for_themselves() -> None:
    """Two speakers among 400 lone clips widen the interval of the lone clips only a little."""
    speakers = ["a", "b"] + [""] * 400
    predicted = [2, 3] + [2, 2, 2, 3] * 100
    low, high = interval(predicted, examples([2] * 402, speakers), "accuracy")
    assert 0.06 < high - low < 0.12


def test_wilson_where_speakers_are_unknown() -> None:
    # 0.9 of 100: R, binom::binom.confint(90, 100, methods = "wilson")
    low, high = interval([2] * 90 + [3] * 10, examples([2] * 100), "accuracy")
    assert (low, high) == pytest.approx((0.8256, 0.9448), abs=1e-4)


def test_a_perfect_score_keeps_its_doubt() -> None:
    speakers = [f"s{i % 5}" for i in range(50)]
    for metric in ("accuracy", "macro_recall"):
        low, high = interval([2] * 50, examples([2] * 50, speakers), metric)
        assert (low, high) == pytest.approx((0.9287, 1.0), abs=1e-4), metric
    low, high = interval([0] * 50, examples([1] * 50, speakers), "unknown_accepted")
    assert (low, high) == pytest.approx((0.0, 0.0713), abs=1e-4)


def test_intervals_cover_the_truth() -> None:
    """Of 200 small samples, about 95 % of the intervals hold the true accuracy of 0.8."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        talent = rng.beta(8, 2, 30)
        right = (rng.random((30, 10)) < talent[:, None]).ravel()
        speakers = [f"s{i // 10}" for i in range(300)]
        predicted = np.where(right, 2, 3).tolist()
        low, high = interval(predicted, examples([2] * 300, speakers), "accuracy")
        held += low <= 0.8 <= high
    assert 175 <= held <= 199


def test_same_clips_same_interval() -> None:
    made = examples([2, 3] * 20, [f"s{i % 7}" for i in range(40)])
    assert accuracy(logits([2] * 40), made, LABELS) == accuracy(logits([2] * 40), made, LABELS)


def test_says_what_is_wrong() -> None:
    with pytest.raises(DataError, match="no clips to measure on"):
        accuracy(logits([]), examples([]), LABELS)
    broken = logits([2, 3])
    broken[1, 0] = np.nan
    for measure in (accuracy, per_class, confusion):
        with pytest.raises(DataError, match=r"clip 1: .*not finite \(1 of 2 clips\)"):
            measure(broken, examples([2, 3]), LABELS)


def test_clips_without_a_speaker_do_not_crowd_out_the_speakers() -> None:
    targets = [2] * 800 + [0] * 12
    predicted = [3] * 40 + [2] * 772  # a of 90 %, b of 100 %, and every `_silence_` clip missed
    speakers = ["a"] * 400 + ["b"] * 400 + [""] * 12
    found = accuracy(logits(predicted), examples(targets, speakers), LABELS)[0]
    assert found.ci95 is not None
    assert found.ci95[0] >= 0.9 * 800 / 812
