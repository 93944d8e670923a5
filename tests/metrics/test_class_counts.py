"""The clips behind a class's shares, against slow, obvious loops."""

from hypothesis import given
from hypothesis import strategies as st

from edgekws.metrics.class_counts import class_cells, with_counts

LABELS = ("_silence_", "_unknown_", "да", "no")
MATRICES = st.lists(st.lists(st.integers(0, 9), min_size=4, max_size=4), min_size=4, max_size=4)


@given(MATRICES)
def test_counts_equal_the_obvious_loops(matrix: list[list[int]]) -> None:
    clips = [(t, p) for t in range(4) for p in range(4) for _ in range(matrix[t][p])]
    rows = [{"label": label, "support": sum(matrix[i])} for i, label in enumerate(LABELS)]
    for i, row in enumerate(with_counts(rows, matrix)):
        assert row["label"] == LABELS[i]
        assert row["right"] == sum(t == p == i for t, p in clips)
        assert row["called"] == sum(p == i for _, p in clips)
        accepted = sum((t, p) == (1, i) for t, p in clips)
        known = i != 1 and any(t == 1 for t, _ in clips)
        assert row["unknown_accepted"] == (accepted if known else None)


def test_a_set_without_unknown_accepts_none() -> None:
    rows = [{"label": "да", "support": 3}, {"label": "no", "support": 1}]
    counted = with_counts(rows, [[2, 1], [0, 1]])
    assert [row["unknown_accepted"] for row in counted] == [None, None]
    assert class_cells(counted)[1] == ["no", "100.0 % (1/1)", "50.0 % (1/2)", "–"]


def test_cells_give_shares_with_the_clips_behind_them() -> None:
    rows = [{"label": "да", "support": 1000}, {"label": "_unknown_", "support": 2000}]
    counted = with_counts(rows, [[925, 75], [30, 1970]])
    assert class_cells(counted) == [
        ["да", "92.5 % (925/1,000)", "96.9 % (925/955)", "1.5 % (30/2,000)"],
        ["_unknown_", "98.5 % (1,970/2,000)", "96.3 % (1,970/2,045)", "–"],
    ]
    accepted = {"label": "да", "support": 4, "right": 0, "called": 0, "unknown_accepted": 0}
    assert class_cells([accepted]) == [["да", "0.0 % (0/4)", "–", "–"]]
