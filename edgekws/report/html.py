"""The report as a single self-contained HTML page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekws.core import figures
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import SPLITS
from edgekws.core.measurement import (
    BUNDLE_METRICS,
    CLIP_KINDS,
    METRICS,
    WHOLE,
    WHOLE_NOTE,
    Measurement,
    Verdict,
)
from edgekws.core.output import write_text
from edgekws.core.report import Report, Result
from edgekws.metrics.intervals import care
from edgekws.report import _page, event_rows, head, mistake_rows
from edgekws.report._details import Block, block, details_block, heading, scalar
from edgekws.report.event_plots import curves_svg
from edgekws.report.plots import frontier_svg, history_svg, overview_svg
from edgekws.spotting import mistakes
from edgekws.spotting.results import EventEvaluation, from_details

_OWN_SECTION = ("per_class", "confusion", "continuous", "mistakes")
_OF_REFERENCES = ("size_kib", "latency_p50_us", "latency_p90_us", "latency_ratio")


def write_html(report: Report, path: Path) -> None:
    """Write the page: verdict, budget, steps, classes, data and machine, pictures inside.

    The same report gives the same bytes.
    """
    write_text(path, _page.render("template.html", _values(report)), "allow writing there")


def _values(report: Report) -> dict[str, Any]:
    from markupsafe import Markup

    return {
        "report": report,
        "verdict": head.banner(report),
        "facts": head.facts(report),
        "budget": [_budget_row(verdict) for _, verdict in report.deciding()],
        "wholes": [whole for r in report.results if (whole := _whole(r))["rows"]],
        "whole_note": WHOLE_NOTE,
        "heard": [_heard(r) for r in report.results if r.kind == "bundle"],
        "speech": [_speech(made, r) for r in report.results if (made := from_details(r.details))],
        "overview": Markup(overview_svg(report)) if report.results else "",
        "columns": [figures.title(metric) for metric in _metrics(report)],
        "steps": [_step(result, _metrics(report)) for result in report.results],
        "reference_columns": [figures.title(metric) for metric in _OF_REFERENCES],
        "references": [_reference(result) for result in _beside(report)],
        "classes": [_classes(r) for r in report.results if "per_class" in r.details],
        "data": _data(report.data),
        "environment": block("", report.environment | _identity(report)),
        "history_svg": lambda one: Markup(history_svg(one.epochs, one.kept_epoch)),
        "frontier_svg": lambda one: Markup(frontier_svg(one.points)),
    }


def _identity(report: Report) -> dict[str, str]:
    identity = {"recipe sha256": report.recipe_sha256, "bundle sha256": report.bundle_sha256}
    return {name: sha256 for name, sha256 in identity.items() if sha256}


def _budget_row(verdict: Verdict) -> dict[str, Any]:
    """Return a limit with its margin as a bar: `width` in percent of half the bar's room."""
    limit, margin = verdict.limit, verdict.margin
    return {
        "key": limit.key,
        "title": figures.title(limit.metric),
        "bound": figures.bound(verdict),
        "measured": figures.figure(limit.metric, verdict.measured),
        "margin": figures.margin(verdict),
        "width": 50.0 if margin is None else round(50 * min(abs(margin), 1.0), 2),
        "ok": verdict.ok,
    }


def _metrics(report: Report) -> list[str]:
    """Return every metric of the networks that any result has, the known ones in their order."""
    metrics = dict.fromkeys(
        m.metric
        for result in report.results
        for m in result.measurements
        if m.metric not in BUNDLE_METRICS
    )
    return [m for m in METRICS if m in metrics] + [m for m in metrics if m not in METRICS]


def _whole(result: Result) -> dict[str, Any]:
    """Return the costs of a bundle on a device: network, front end, and both."""
    by_metric = {m.metric: m for m in result.measurements}
    return {
        "name": result.name,
        "rows": [
            (name, [_cell(by_metric.get(metric)) for metric in metrics])
            for name, metrics in WHOLE.items()
            if by_metric.keys() & metrics[1:]
        ],
    }


def _speech(evaluation: EventEvaluation, result: Result) -> dict[str, Any]:
    """Return the figures of a model in continuous speech, and the curves of the bundle."""
    from markupsafe import Markup

    bundled, worst = result.kind == "bundle", mistakes.from_details(result.details)
    return {
        "name": result.name,
        "split": "test" if bundled else "dev",
        "title": event_rows.title(evaluation),
        "heads": event_rows.HEADS,
        "rows": event_rows.rows(evaluation),
        "lines": [*event_rows.lines(evaluation), *evaluation.notes],
        "curves": Markup(curves_svg(evaluation)) if bundled else "",
        "open": bundled or bool(worst),
        "mistakes": [mistake_rows.figure(mistake) for mistake in worst],
    }


def _heard(result: Result) -> dict[str, Any]:
    """Return the accuracy of a bundle by kind of clip."""
    by_metric = {m.metric: m for m in result.measurements}
    kinds = [
        (name, by_metric[metric]) for name, metric in CLIP_KINDS.items() if metric in by_metric
    ]
    return {"name": result.name, "kinds": [(name, _cell(m), m.n or 0) for name, m in kinds]}


def _step(result: Result, metrics: Sequence[str]) -> dict[str, Any]:
    by_metric = {m.metric: m for m in result.measurements}
    return {
        "result": result,
        "split": "test" if result.kind == "bundle" else "dev",
        "cells": [_cell(by_metric.get(metric)) for metric in metrics],
        "parity": [(heading(k), scalar(k, v)) for k, v in _flat(result.parity)],
        "limits": [_budget_row(v) for v in (*result.verdicts, *result.to_go)],
        "uneven": _uneven(result.details.get("latency")),
        "details": details_block(
            {k: v for k, v in result.details.items() if k not in _OWN_SECTION}, result.kinds
        ),
        "time": figures.duration(result.seconds),
    }


def _cell(measurement: Measurement | None) -> dict[str, str]:
    if measurement is None:
        return {"value": "–", "interval": "", "n": ""}
    n = "" if measurement.n is None else f"n = {measurement.n:,}"
    return {
        "value": figures.figure(measurement.metric, measurement.value),
        "interval": ", ".join(
            filter(
                None,
                (
                    figures.interval(measurement.metric, measurement.ci95),
                    care(measurement.speakers),
                ),
            )
        ),
        "n": n,
    }


def _beside(report: Report) -> tuple[Result, ...]:
    """Return the rows to compare: the FP32 references, and the bundle or the last step."""
    return (*report.references, *report.results[-1:]) if report.references else ()


def _reference(result: Result) -> dict[str, Any]:
    by_metric = {m.metric: m for m in result.measurements}
    return {
        "name": result.name,
        "form": result.details.get("form", ""),
        "cells": [_cell(by_metric.get(metric)) for metric in _OF_REFERENCES],
    }


def _flat(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return nested parity rungs as one list of name and figure."""
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += [(f"{key} {inner}", v) for inner, v in _flat(value)]
        else:
            rows.append((key, value))
    return rows


def _uneven(latency: object) -> str:
    """Return the reason for a missing ratio, empty if there is one."""
    if not isinstance(latency, Mapping) or latency.get("level", True):
        return ""
    return f"the control measured {figures.ratio(latency['control_ratio'])} × itself: no ratio"


def _classes(result: Result) -> dict[str, Any]:
    rows = result.details["per_class"]
    matrix = result.details.get("confusion") or []
    shares = [[n / max(sum(row), 1) for n in row] for row in matrix]
    unknown = next((row["support"] for row in rows if row["label"] == UNKNOWN), 0)
    return {
        "name": result.name,
        "rows": [_class(row, unknown) for row in rows],
        "labels": [row["label"] for row in rows],
        "matrix": [
            [{"n": n, "share": round(s, 3)} for n, s in zip(*pair, strict=True)]
            for pair in zip(matrix, shares, strict=True)
        ],
    }


def _class(row: Mapping[str, Any], unknown: int) -> dict[str, Any]:
    """Return what a table shows of a label, to which some of the `unknown` clips may have gone."""
    accepted = row.get("unknown_accepted")
    return {
        "label": row["label"],
        "recall": figures.share(row["recall"]),
        "recall_ci95": figures.interval("accuracy", row.get("recall_ci95")),
        "precision": figures.share(row["precision"]),
        "precision_ci95": figures.interval("accuracy", row.get("precision_ci95")),
        "called": f"{row['called']:,}" if "called" in row else "–",
        "accepted": figures.NOTHING if accepted is None else figures.share(accepted / unknown),
        "accepted_of": "" if accepted is None else f"{accepted:,} of {unknown:,}",
        "width": round(100 * (row["recall"] or 0), 1),
        "support": row["support"],
    }


def _data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return clips a split and label, what was left out, and all the rest as blocks."""
    counts: Mapping[str, Mapping[str, int]] = data.get("counts", {})
    splits = [s for s in SPLITS if s in counts] + [s for s in counts if s not in SPLITS]
    labels = list(dict.fromkeys(label for split in splits for label in counts[split]))
    shown = (
        *("counts", "rejected", "notes"),
        *("kind_of_test", "test_caveats", "effective_speakers"),
    )
    return {
        "splits": splits,
        "rows": [(label, [counts[s].get(label, 0) for s in splits]) for label in labels],
        "totals": [sum(counts[s].values()) for s in splits],
        "rejected": block("", data.get("rejected", [])),
        "notes": list(data.get("notes", [])),
        "rest": _rest(data, shown),
    }


def _rest(data: Mapping[str, Any], shown: Sequence[str]) -> Block:
    return block("", {key: value for key, value in data.items() if key not in shown})
