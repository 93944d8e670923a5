"""The tables of a dataset that people see, without a terminal in sight."""

from typing import TYPE_CHECKING

from edgekws.core import figures
from edgekws.report.tables import Table

if TYPE_CHECKING:
    from edgekws.curation.explore import Exploration

MOST = 40
"""Classes in the table on a terminal; all of them are on the page."""


def exploration_tables(found: "Exploration") -> tuple[list[Table], list[str]]:
    """Return what to fix, most serious first, the classes, and lengths and levels."""
    tables: list[Table] = []
    if found.findings:
        rows: list[tuple[str, ...]] = []
        for one in found.findings:
            rows.append((one.title, one.level, figures.count(one.count), figures.count(one.of)))
            rows += [(f"  {text}", "", "", "") for text in (one.advice, f"e.g. {one.examples[0]}")]
        tables.append(("what to fix", ("what", "", "found", "of"), rows))
    tables.append(_classes(found))
    head = ("of every clip", "least", "5 %", "median", "95 %", "most")
    names = {"length_s": "length, s", "rms_dbfs": "loudness, dBFS", "peak_dbfs": "peak, dBFS"}
    shown = (0, 1, 3, 5, 6)
    spread = [
        [title, *(f"{found.spread[name][i]:.2f}" for i in shown)] for name, title in names.items()
    ]
    tables.append(("lengths and levels", head, spread))
    said = "nothing to fix was found" if not found.findings else ""
    kind = f"kind of test: {found.kind_of_test}" if found.kind_of_test else ""
    return tables, [*found.notes, *filter(None, (kind, said))]


def _classes(found: "Exploration") -> Table:
    title = f"{found.name}: clips (speakers)"
    labels = found.labels[:MOST]
    if len(labels) < len(found.labels):
        title += f", the first {MOST} of {len(found.labels)} classes"
    rows = []
    for label in labels:
        cells = [
            f"{figures.count(found.counts[label][s])} ({found.speakers[label][s]})"
            for s in found.splits
        ]
        level = found.levels.get(label)
        rows.append([label, *cells, "–" if level is None else f"{level[3]:.1f}"])
    return title, ("class", *found.splits, "loudness, dBFS"), rows
