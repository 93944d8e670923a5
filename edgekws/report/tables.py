"""The rows of tables for people, independent of the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekws.core import figures
from edgekws.core.measurement import BUNDLE_METRICS, CLIP_KINDS, WHOLE, Measurement, Verdict
from edgekws.core.printable import one_line
from edgekws.metrics.class_counts import class_cells
from edgekws.metrics.intervals import care

if TYPE_CHECKING:
    from edgekws.core.report import Report, Result
    from edgekws.core.verified import Verified
    from edgekws.engine.plan import Plan

Row = tuple[str, Verdict]
"""What a limit bounds, and its verdict."""

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Title, heads and rows of a table."""

LONGEST_FIGURE = 32
"""Characters of a cell that is not broken over lines; longer ones are sentences."""

WEIGHT = ("params", "macs", "size_kib", "peak_ram_kib", "int8_coverage")
WORTH = ("accuracy", "macro_recall")
SPEECH = ("miss_rate", "false_alarms_per_hour", "detection_delay_ms")
"""In continuous speech."""
TIME = ("latency_p50_us", "latency_p90_us", "latency_ratio")

MET, EXCEEDED = "met", "exceeded"

WHOLE_HEADS = ("", "network", "front end", "whole")

_LINE = (
    "params", "macs", "size_kib", "int8_coverage", "accuracy", "miss_rate",
    "false_alarms_per_hour", "latency_p50_us",
)  # fmt: skip
_LINE_WHOLE = ("bundle_size_kib", "total_macs", "total_latency_p50_us")


def is_figures(cells: Iterable[str]) -> bool:
    """Return whether the cells of a column, except its head, must stay on one line each.

    >>> is_figures(["95.1 % [93.0, 96.8]", ""]), is_figures(["the control was not level, " * 2])
    (True, False)
    """
    return all(len(cell) <= LONGEST_FIGURE for cell in cells)


def side_by_side(rows: Sequence[Sequence[str]], width: int) -> list[tuple[int, ...]]:
    """Return the columns of each table, so that no figure wraps.

    `rows` include the head. Every table begins with the first column, which may be folded to a
    third of the `width`, as may a column of sentences.

    >>> side_by_side([("name", "accuracy", "p50"), ("a", "95.1 % [93.0, 96.8]", "1,240 µs")], 30)
    [(0, 1), (0, 2)]
    """
    least = width // 3
    first, *others = (max(map(len, cells)) for cells in zip(*rows, strict=True))
    start = min(first, least)
    tables, used = [[0]], start
    for i, longest in enumerate(others, start=1):
        need = 2 + (longest if longest <= LONGEST_FIGURE else min(longest, least))
        if used + need > width and len(tables[-1]) > 1:
            tables.append([0])
            used = start
        tables[-1].append(i)
        used += need
    return [tuple(table) for table in tables]


def step_line(step: str, data: Mapping[str, Any]) -> str:
    """Return one line on a step that has been measured, from the data of its event."""
    by_metric = {m["metric"]: Measurement(**m) for m in data.get("measurements", ())}
    names = {m: figures.short(m) for m in _LINE} | {m: figures.title(m) for m in _LINE_WHOLE}
    parts = [f"{name} {with_care(by_metric[m])}" for m, name in names.items() if m in by_metric]
    seconds = data.get("seconds", 0.0)
    parts.append("from the cache" if data.get("cached") else figures.duration(seconds))
    return f"{step}: {', '.join(parts)}"


def step_tables(report: "Report", *, wide: bool) -> Iterator[Table]:
    """Yield the network after every step: in one table, or in three narrow ones.

    A figure of few speakers has a `†`, and the title of its table says how many they are. What was
    tested in continuous speech has a table of its own.
    """
    for columns in [WEIGHT + WORTH + TIME] if wide else [WEIGHT, WORTH, TIME]:
        heads = map(figures.short, columns)
        rows: list[list[str]] = []
        for result in (*report.results, *report.references):
            by_metric = {m.metric: m for m in result.measurements}
            if result.kind == "reference" and by_metric.keys().isdisjoint(columns):
                continue  # it was not tried on any clip
            name = "bundle (test)" if result.kind == "bundle" else result.name
            rows.append([name, *(_marked(by_metric.get(m)) for m in columns)])
        title = f"{report.name}: the network after every step"
        yield title + _few(report, columns), ("step", *heads), rows
    yield from speech_tables(report)


def speech_tables(report: "Report") -> Iterator[Table]:
    """Yield misses, false alarms and delay in continuous speech, where they were measured."""
    rows = []
    for result in report.results:
        by_metric = {m.metric: m for m in result.measurements if m.metric in SPEECH}
        if by_metric:
            name = "bundle (test)" if result.kind == "bundle" else f"{result.name} (dev)"
            free_s = result.details.get("continuous", {}).get("keyword_free_s", 0.0)
            cells = (_marked(by_metric.get(m)) for m in SPEECH)
            rows.append([name, *cells, figures.duration(free_s)])
    if rows:
        title = "in continuous speech" + _few(report, SPEECH)
        yield title, ("", *map(figures.short, SPEECH), "without keywords"), rows


def with_care(measurement: Measurement) -> str:
    """Format a measurement, with the number of speakers if they are few.

    >>> with_care(Measurement("accuracy", 0.951, ci95=(0.85, 0.99), speakers=3))
    '95.1 % [85.0, 99.0], 3 speakers: read it with care'
    """
    return ", ".join(filter(None, (figures.measured(measurement), care(measurement.speakers))))


def _marked(measurement: Measurement | None) -> str:
    return figures.measured(measurement) + (
        " †" if measurement and care(measurement.speakers) else ""
    )


def _few(report: "Report", metrics: Iterable[str]) -> str:
    """Return the explanation of the mark of few speakers; empty if there is no mark."""
    asked = frozenset(metrics)
    warnings = {
        f"{'test' if result.kind == 'bundle' else 'dev'} {care(m.speakers)}": None
        for result in report.results
        for m in result.measurements
        if m.metric in asked and care(m.speakers)
    }
    return f" († {'; '.join(warnings)})" if warnings else ""


def kind_of_test(data: Mapping[str, Any]) -> str:
    """Return the kind of test of a report's data, with its caveats; empty if it is unknown.

    >>> kind_of_test({"kind_of_test": "other engine (flite)", "test_caveats": ["never on people"]})
    'other engine (flite); never on people'
    """
    return "; ".join(filter(None, (data.get("kind_of_test"), *data.get("test_caveats", ()))))


def plan_table(plan: "Plan") -> Table:
    """Return what every step will weigh."""
    metrics = ("params", "macs", "size_kib", "latency_p50_us")
    rows = [
        [row.name, *(figures.figure(m, getattr(row, m)) for m in metrics), row.note]
        for row in plan.rows
    ]
    return "plan", ("step", *map(figures.short, metrics), "note"), rows


def bounded(verdicts: Iterable[Verdict], network: str) -> list[Row]:
    """Return verdicts with what each limit bounds: the bundle, or its `network` alone."""
    return [("bundle" if v.limit.metric in BUNDLE_METRICS else network, v) for v in verdicts]


def budget_tables(rows: Sequence[Row]) -> Iterator[Table]:
    """Yield the table of limits and margins, if there are limits."""
    lines = []
    for where, verdict in rows:
        limit = verdict.limit
        bound = figures.bound(verdict)
        value = figures.figure(limit.metric, verdict.measured)
        word = MET if verdict.ok else EXCEEDED
        lines.append([limit.key, where, bound, value, figures.margin(verdict), word])
    if lines:
        yield "budget", ("limit", "of", "bound", "measured", "margin", ""), lines


def measured_lines(measurements: Iterable[Measurement]) -> Iterator[list[str]]:
    """Yield name and value of every measurement, with its number of samples."""
    for measurement in measurements:
        behind = f"  (n = {figures.count(measurement.n)})" if measurement.n else ""
        yield [measurement.metric, with_care(measurement) + behind]


def whole_rows(measurements: Iterable[Measurement]) -> list[list[str]]:
    """Return size, MACs, RAM and latency of the network, of its front end and of the whole.

    There are none if only a network was measured.
    """
    by_metric = {m.metric: m for m in measurements}
    return [
        [name, *(figures.measured(by_metric.get(metric)) for metric in metrics)]
        for name, metrics in WHOLE.items()
        if by_metric.keys() & metrics[1:]
    ]


def verified_lines(verified: "Verified", bundle: Path) -> list[str]:
    """Return what was verified of a bundle."""
    return [
        f"{one_line(str(bundle))}: {verified.files} files as they were packed; "
        f"{verified.clips} golden clips, max |Δlogit| {verified.max_abs_diff:.2g}",
        f"labels: {', '.join(verified.labels)}",
        f"sha256: {verified.sha256}",
    ]


def heard_tables(result: "Result") -> Iterator[Table]:
    """Yield the accuracy of a bundle by kind of clip and by class, with the number of clips."""
    by_metric = {m.metric: m for m in result.measurements}
    kinds = [
        (name, by_metric[metric]) for name, metric in CLIP_KINDS.items() if metric in by_metric
    ]
    rows = [[name, with_care(m), figures.count(m.n or 0)] for name, m in kinds]
    yield "clips by kind (test)", ("", "share", "clips"), rows
    classes = result.details.get("per_class", ())
    if classes and "called" in classes[0]:
        heads = ("label", "recall", "precision", "_unknown_ taken for it")
        yield "class by class (test)", heads, class_cells(classes)


def confused(
    per_class: Sequence[Mapping[str, Any]], confusion: Sequence[Sequence[int]], most: int = 5
) -> list[list[str]]:
    """Return label, prediction and count of the `most` frequent confusions."""
    labels = [row["label"] for row in per_class]
    mistakes = [
        (clips, i, j)
        for i, row in enumerate(confusion)
        for j, clips in enumerate(row)
        if i != j and clips
    ]
    mistakes.sort(key=lambda mistake: (-mistake[0], mistake[1:]))
    return [[labels[i], labels[j], figures.count(clips)] for clips, i, j in mistakes[:most]]
