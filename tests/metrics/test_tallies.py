"""Counts by speaker and label, against loops over single clips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.metrics.tallies import MACRO_RECALL, clip_weights, grouped, kinds, share

LABELS = ("_silence_", "_unknown_", "да", "no")
METRICS = ("accuracy", "unknown_accepted", MACRO_RECALL)
clips = st.lists(
    st.tuples(st.sampled_from(["", "x", "y", "z"]), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=40,
)


def weight_of(metric: str, label: int, labels: list[int]) -> float:
    """What one clip of a label adds to the share where it is right."""
    counted = {"accuracy": (0, 1, 2, 3), "unknown_accepted": (1,), MACRO_RECALL: (1, 2, 3)}[metric]
    if label not in counted:
        return 0.0
    if metric != MACRO_RECALL:
        return 1 / sum(one in counted for one in labels)
    return 1 / labels.count(label) / len({one for one in labels if one in counted})


@given(clips, st.sampled_from(METRICS))
def test_shares_are_sums_over_single_clips(rows: list[tuple[str, int, bool]], metric: str) -> None:
    names, labels, hits = (list(column) for column in zip(*rows, strict=True))
    groups = grouped(np.array(names, np.str_))
    known = sorted({name for name in names if name})
    alone = [i for i, name in enumerate(names) if not name]
    members = [[i for i, name in enumerate(names) if name == one] for one in known]
    members += [[i] for i in alone]
    assert (groups.speakers, len(groups)) == (len(known), len(members))
    targets = np.array(labels)
    every = groups.tally(targets, np.ones(len(rows), bool), 4)
    right = groups.tally(targets, np.array(hits), 4)
    for table, chosen in ((every, [True] * len(rows)), (right, hits)):
        assert table.tolist() == [
            [sum(chosen[i] and labels[i] == label for i in group) for label in range(4)]
            for group in members
        ]
    weights = clip_weights(metric, every.sum(0), LABELS)
    each = [weight_of(metric, label, labels) for label in labels]
    if weights is None:
        assert not any(each)
        return
    assert weights[targets].tolist() == pytest.approx(each)
    result = share(every, right, weights, groups.speakers)
    rate = {one: np.mean([h for h, t in zip(hits, labels, strict=True) if t == one])
            for one in labels}  # fmt: skip
    assert result.value == pytest.approx(sum(w for w, h in zip(each, hits, strict=True) if h))
    assert result.n == sum(w > 0 for w in each)
    assert result.squares == pytest.approx(sum(w**2 for w in each))
    assert result.speakers == len(known)
    for group, weight, influence in zip(members, result.weight, result.influence, strict=True):
        assert weight == pytest.approx(sum(each[i] for i in group))
        moved = sum(each[i] * (hits[i] - rate[labels[i]]) for i in group)
        assert influence == pytest.approx(moved, abs=1e-12)


@pytest.mark.parametrize(
    ("metric", "row"), [("accuracy", [0, 49, 0, 0]), (MACRO_RECALL, [5, 31, 1, 31])]
)
def test_all_right_is_exactly_one(metric: str, row: list[int]) -> None:
    """The weights of 49 clips may add up to a hair less; `_silence_` is none of the macro recall's.

    Whether they do depends on how the CPU adds.
    """
    table = np.array([row])
    weights = clip_weights(metric, table[0], LABELS)
    assert weights is not None
    assert float(table[0] @ weights) == pytest.approx(1)
    wrong = np.array([[row[0], 0, 0, 0]])
    assert share(table, table - wrong, weights, 1).value == 1.0
    one_wrong = table - np.array([[0, 1, 0, 0]])
    assert share(table, one_wrong, weights, 1).value == pytest.approx(1 - weights[1])


def test_a_share_of_nothing_is_none_of_it() -> None:
    table = np.array([[5, 0, 0, 0]])
    result = share(table, table, np.zeros(4), 1)
    assert (result.value, result.n, result.squares) == (0.0, 0, 0.0)


def test_kinds_of_labels() -> None:
    assert kinds(LABELS) == ["_silence_", "_unknown_", "keyword", "keyword"]
