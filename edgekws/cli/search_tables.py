"""The tables of a sweep for people, independent of the terminal."""

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
    """Return what a sweep will do: the reasons of invalid combinations, and its size."""
    rows = [
        [
            reason["key"],
            figures.count(reason["count"]),
            _params(reason["first"][0]),
            reason["message"],
        ]
        for reason in plan.reasons
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


def result_tables(results: "Results") -> tuple[list[Table], list[str]]:
    """Return ranking, importance, the factors' verdicts, and what failed."""
    tables: list[Table] = [_ranking(results)]
    if results.importance:
        rows = [[name, figures.share(share)] for name, share in results.importance.items()]
        tables.append(("importance (fANOVA)", ("parameter", "share of the variance"), rows))
    if results.cells:
        rows = [
            [
                _params(cell["params"]),
                figures.share(cell["mean"]),
                figures.interval("accuracy", cell["ci95"]),
            ]
            for cell in results.cells
        ]
        title = f"{results.objective} on {results.evaluate_on}, mean over seeds"
        tables.append((title, ("combination", "score", "95 %"), rows[:MOST]))
    if results.failures:
        rows = [[_params(trial["params"]), str(trial["error"])] for trial in results.failures]
        tables.append((f"failed: {len(rows)}", ("combination", "reason"), rows[:MOST]))
    lines = [f"{effect['sentence']} on {results.evaluate_on}" for effect in results.effects]
    return tables, [*lines, *(f"note: {note}" for note in results.notes)]


def _ranking(results: "Results") -> Table:
    shown = results.standings[:MOST]
    title = f"{results.name}: {results.objective} on dev"
    if len(shown) < len(results.standings):
        title += f", the first {MOST} of {len(results.standings)}"
    head = ("combination", "", "score", "95 %", "behind", *map(figures.short, ("params", "macs")))
    return title, head, [_row(standing) for standing in shown]


def _row(standing: "Standing") -> list[str]:
    state = (
        standing.state
        if standing.state == "failed"
        else f"{standing.state}, {standing.epochs} epochs"
    )
    if len(standing.seeds) > 1:
        state += f", {len(standing.seeds)} seeds"
    if standing.base:
        state += ", base"
    return [
        _params(standing.params),
        state,
        figures.share(standing.value),
        figures.interval("accuracy", standing.ci95),
        _behind(standing),
        *(figures.figure(metric, standing.measured.get(metric)) for metric in ("params", "macs")),
    ]


def _params(params: Mapping[str, Any]) -> str:
    names = short_names(params)
    return ", ".join(f"{names[key]} {value}" for key, value in params.items())


def _behind(standing: "Standing") -> str:
    if standing.best:
        return "best"
    if standing.behind is None:
        return ""
    return "tie" if standing.tied else figures.points(standing.behind[0])
