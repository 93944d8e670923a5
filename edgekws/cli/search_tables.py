"""The tables of a sweep that people see, without a terminal in sight."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgekws.core import figures
from edgekws.report.tables import Table
from edgekws.search.names import short_names

if TYPE_CHECKING:
    from edgekws.search.plan import SweepPlan
    from edgekws.search.results import Results, Standing

MOST = 15
"""Rows of the ranking on a terminal; all of them are in the files."""


def plan_tables(plan: "SweepPlan") -> tuple[list[Table], list[str]]:
    """Return what a sweep will do: the reasons of what cannot be, and its size."""
    rows = [
        [one["key"], figures.count(one["count"]), _params(one["first"][0]), one["message"]]
        for one in plan.reasons
    ]
    head = ("key", "combinations", "e.g.", "reason")
    tables: list[Table] = [("cannot be", head, rows)] if rows else []
    of = "" if plan.listed else " of those drawn"
    lines = [
        f"{figures.count(plan.valid)} valid, {figures.count(plan.invalid)} invalid{of}",
        f"{figures.count(plan.trials)} trials, {figures.count(plan.epochs)} epochs at most, "
        f"seeds {', '.join(map(str, plan.seeds))}, {plan.workers} workers",
    ]
    if plan.shared_epochs:
        epochs = figures.count(plan.shared_epochs)
        lines.append(f"before them {epochs} epochs of steps that trials share")
    if plan.estimated_s is not None:
        lines.append(f"about {figures.duration(plan.estimated_s)}, as the trials so far went")
    return tables, [*lines, *plan.notes]


def result_tables(found: "Results") -> tuple[list[Table], list[str]]:
    """Return ranking, importance, the factors' verdicts, and what failed."""
    tables: list[Table] = [_ranking(found)]
    if found.importance:
        rows = [[name, figures.share(share)] for name, share in found.importance.items()]
        tables.append(("importance (fANOVA)", ("parameter", "share of the variance"), rows))
    if found.cells:
        rows = [
            [
                _params(one["params"]),
                figures.share(one["mean"]),
                figures.interval("accuracy", one["ci95"]),
            ]
            for one in found.cells
        ]
        title = f"{found.objective} on {found.evaluate_on}, mean over seeds"
        tables.append((title, ("combination", "score", "95 %"), rows[:MOST]))
    if found.failures:
        rows = [[_params(one["params"]), str(one["error"])] for one in found.failures]
        tables.append((f"failed: {len(rows)}", ("combination", "reason"), rows[:MOST]))
    lines = [f"{effect['sentence']} on {found.evaluate_on}" for effect in found.effects]
    return tables, [*lines, *(f"note: {note}" for note in found.notes)]


def _ranking(found: "Results") -> Table:
    shown = found.standings[:MOST]
    title = f"{found.name}: {found.objective} on dev"
    if len(shown) < len(found.standings):
        title += f", the first {MOST} of {len(found.standings)}"
    head = ("combination", "", "score", "95 %", "behind", *map(figures.short, ("params", "macs")))
    return title, head, [_row(one) for one in shown]


def _row(one: "Standing") -> list[str]:
    state = one.state if one.state == "failed" else f"{one.state}, {one.epochs} epochs"
    if len(one.seeds) > 1:
        state += f", {len(one.seeds)} seeds"
    if one.base:
        state += ", base"
    return [
        _params(one.params),
        state,
        figures.share(one.value),
        figures.interval("accuracy", one.ci95),
        _behind(one),
        *(figures.figure(metric, one.measured.get(metric)) for metric in ("params", "macs")),
    ]


def _params(params: Mapping[str, Any]) -> str:
    names = short_names(params)
    return ", ".join(f"{names[key]} {value}" for key, value in params.items())


def _behind(one: "Standing") -> str:
    if one.best:
        return "best"
    if one.behind is None:
        return ""
    return "tie" if one.tied else figures.points(one.behind[0])
