"""The tables of a profile for people, independent of the terminal."""

from typing import TYPE_CHECKING

from edgekws.report import profile_rows
from edgekws.report.tables import Table

if TYPE_CHECKING:
    from edgekws.evaluation.profiled import Operators, Profile

MOST = 12
"""Nodes of a graph on a terminal; all of them are in the page and in JSON."""


def profile_tables(profile: "Profile") -> tuple[list[Table], list[str]]:
    """Return latencies, shares, weights, operators of a single model, and the lines under them."""
    tables: list[Table] = [("latency of one inference", *profile_rows.latencies(profile))]
    if (ends := profile_rows.ends(profile))[1]:
        tables.append(("end to end", *ends))
    tables.append(("weight", *profile_rows.weights(profile)))
    if len(profile.subjects) == 1:
        for operators in profile.operators:
            tables += [
                (f"{operators.what}: operators by type", *profile_rows.operator_types(operators))
            ]
            tables += [_longest(operators)]
    machine = ", ".join(f"{key} {value}" for key, value in profile_rows.machine(profile))
    return tables, [machine, *profile.sentences]


def _longest(operators: "Operators") -> Table:
    head, rows = profile_rows.operator_nodes(operators)
    order = sorted(range(len(rows)), key=lambda i: -operators.nodes[i].us)[:MOST]
    of = f"the {len(order)} longest of {len(rows)} nodes" if len(rows) > MOST else "nodes"
    return f"{operators.what}: {of}", head, [rows[i] for i in order]
