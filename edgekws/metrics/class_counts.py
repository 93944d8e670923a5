"""Clip counts behind the recall and precision of each class, and the `_unknown_` clips accepted."""

from collections.abc import Mapping, Sequence
from typing import Any

from edgekws.core import figures
from edgekws.core.contract import UNKNOWN


def with_counts(
    per_class: Sequence[Mapping[str, Any]], confusion: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """Return the rows of `accuracy.per_class` with counts from `accuracy.confusion`.

    Of the `support` clips, `right` were classified correctly; `called` clips got the label in
    total, `unknown_accepted` of them `_unknown_` clips (`None` without such clips, and for
    `_unknown_` itself).

    >>> rows = [{"label": "yes", "support": 9}, {"label": "_unknown_", "support": 20}]
    >>> with_counts(rows, [[8, 1], [3, 17]])[0]
    {'label': 'yes', 'support': 9, 'right': 8, 'called': 11, 'unknown_accepted': 3}
    """
    labels = [row["label"] for row in per_class]
    unknown = confusion[labels.index(UNKNOWN)] if UNKNOWN in labels else []
    return [
        {
            **row,
            "right": confusion[i][i],
            "called": sum(counts[i] for counts in confusion),
            "unknown_accepted": unknown[i] if sum(unknown) and row["label"] != UNKNOWN else None,
        }
        for i, row in enumerate(per_class)
    ]


def class_cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return label, recall, precision and accepted `_unknown_` clips, with the counts of each.

    >>> row = {"label": "yes", "support": 9, "right": 8, "called": 0, "unknown_accepted": None}
    >>> class_cells([row])
    [['yes', '88.9 % (8/9)', '–', '–']]
    """
    unknown = next((row["support"] for row in rows if row["label"] == UNKNOWN), 0)
    return [
        [
            row["label"],
            _share(row["right"], row["support"]),
            _share(row["right"], row["called"]),
            _share(row["unknown_accepted"], unknown),
        ]
        for row in rows
    ]


def _share(clips: int | None, of: int) -> str:
    if not of or clips is None:
        return figures.NOTHING
    return f"{figures.share(clips / of)} ({clips:,}/{of:,})"
