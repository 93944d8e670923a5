"""The tables of a dataset for people, independent of the terminal."""

from typing import TYPE_CHECKING

from edgekws.core import figures
from edgekws.report.tables import Table

if TYPE_CHECKING:
    from edgekws.curation.explore import Exploration

MOST = 40
"""Classes in the table on a terminal; all of them are on the page."""


def exploration_tables(exploration: "Exploration") -> tuple[list[Table], list[str]]:
    """Return what to fix, most serious first, the classes, and lengths and levels."""
    tables: list[Table] = []
    if exploration.findings:
        rows: list[tuple[str, ...]] = []
        for finding in exploration.findings:
            rows.append(
                (
                    finding.title,
                    finding.level,
                    figures.count(finding.count),
                    figures.count(finding.of),
                )
            )
            rows += [
                (f"  {text}", "", "", "")
                for text in (finding.advice, f"e.g. {finding.examples[0]}")
            ]
        tables.append(("what to fix", ("what", "", "found", "of"), rows))
    tables.append(_classes(exploration))
    head = ("of every clip", "least", "5 %", "median", "95 %", "most")
    names = {"length_s": "length, s", "rms_dbfs": "loudness, dBFS", "peak_dbfs": "peak, dBFS"}
    shown = (0, 1, 3, 5, 6)
    spread = [
        [title, *(f"{exploration.spread[name][i]:.2f}" for i in shown)]
        for name, title in names.items()
    ]
    tables.append(("lengths and levels", head, spread))
    said = "nothing to fix was found" if not exploration.findings else ""
    kind = f"kind of test: {exploration.kind_of_test}" if exploration.kind_of_test else ""
    return tables, [*exploration.notes, *filter(None, (kind, said))]


def _classes(exploration: "Exploration") -> Table:
    title = f"{exploration.name}: clips (speakers)"
    labels = exploration.labels[:MOST]
    if len(labels) < len(exploration.labels):
        title += f", the first {MOST} of {len(exploration.labels)} classes"
    rows = []
    for label in labels:
        cells = [
            f"{figures.count(exploration.counts[label][s])} ({exploration.speakers[label][s]})"
            for s in exploration.splits
        ]
        level = exploration.levels.get(label)
        rows.append([label, *cells, "–" if level is None else f"{level[3]:.1f}"])
    return title, ("class", *exploration.splits, "loudness, dBFS"), rows
