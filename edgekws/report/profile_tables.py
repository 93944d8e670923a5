"""The tables of a profile that people see, without a terminal in sight."""

from typing import TYPE_CHECKING

from edgekws.report import profile_rows
from edgekws.report.tables import Table

if TYPE_CHECKING:
    from edgekws.evaluation.profiled import Operators, Profile

MOST = 12
"""Nodes of a graph on a terminal; all of them are in the page and in JSON."""


def profile_tables(made: "Profile") -> tuple[list[Table], list[str]]:
    """Return latencies, shares, weights, operators of a single model, and the lines under them."""
    tables: list[Table] = [("latency of one inference", *profile_rows.latencies(made))]
    if (ends := profile_rows.ends(made))[1]:
        tables.append(("end to end", *ends))
    tables.append(("weight", *profile_rows.weights(made)))
    if len(made.subjects) == 1:
        for one in made.operators:
            tables += [(f"{one.what}: operators by type", *profile_rows.operator_types(one))]
            tables += [_longest(one)]
    machine = ", ".join(f"{key} {value}" for key, value in profile_rows.machine(made))
    return tables, [machine, *made.sentences]


def _longest(one: "Operators") -> Table:
    head, rows = profile_rows.operator_nodes(one)
    order = sorted(range(len(rows)), key=lambda i: -one.nodes[i].us)[:MOST]
    of = f"the {len(order)} longest of {len(rows)} nodes" if len(rows) > MOST else "nodes"
    return f"{one.what}: {of}", head, [rows[i] for i in order]
