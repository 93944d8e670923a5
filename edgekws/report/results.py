"""The results of commands that are also functions of the library."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgekws.core import figures
from edgekws.core.measurement import WHOLE_NOTE, Measurement, Verdict
from edgekws.core.printable import one_line
from edgekws.report import tables
from edgekws.report.evaluation_tables import comparison_tables, evaluation_tables
from edgekws.report.shown import Shown
from edgekws.report.tables import Table

if TYPE_CHECKING:
    from edgekws.bundle.export import Exported
    from edgekws.core.footprint import Footprint
    from edgekws.core.report import Report
    from edgekws.core.verified import Verified
    from edgekws.engine.plan import Plan
    from edgekws.evaluation.compare import Comparison
    from edgekws.evaluation.evaluate import Evaluation
    from edgekws.evaluation.footprints import BundleFootprint
    from edgekws.evaluation.predict import Predicted
    from edgekws.evaluation.profiled import Profile


def report_result(report: "Report", page: Path | None = None) -> Shown:
    """Return a run: a row per step, size and accuracy of the bundle, and the budget."""
    record = ({"html": str(page)} if page else {}) | asdict(report)
    bundles = [result for result in report.results if result.kind == "bundle"]
    rest: list[Table] = []
    for bundle in bundles:
        rest += [*_whole(bundle.measurements), *tables.heard_tables(bundle)]
    rest += tables.budget_tables(report.deciding())
    kind = tables.kind_of_test(report.data)
    notes = [*([f"kind of test: {kind}"] if kind else []), *(f"note: {n}" for n in report.notes)]
    return Shown(
        "report",
        (record,),
        (*tables.step_tables(report, wide=True), *rest),
        (*notes, *([str(page)] if page else [])),
        (*tables.step_tables(report, wide=False), *rest),
        caption=_whole_note(m for bundle in bundles for m in bundle.measurements),
        problem="" if report.ok else _over_budget(report.deciding()),
    )


def adapted_result(report: "Report") -> Shown:
    """Return the gain from tuning to one person; nothing if the run ended before it."""
    adapted = [result.details for result in report.results if result.kind == "adapt"]
    records = [{k: v for k, v in details.items() if k != "history"} for details in adapted]
    return Shown("adapted", records, (), [details["sentence"] for details in adapted])


def plan_result(plan: "Plan") -> Shown:
    """Return the size of every step, and what is known of the budget."""
    budget = tables.budget_tables(tables.bounded(plan.verdicts, "final model"))
    shown = (tables.plan_table(plan), *_whole(plan.bundle), *budget)
    return Shown(
        "plan",
        (asdict(plan),),
        shown,
        [f"note: {note}" for note in plan.notes],
        caption=_whole_note(plan.bundle),
        problem="\n".join(plan.broken),
    )


def check_result(measurements: Sequence[Measurement], verdicts: Sequence[Verdict]) -> Shown:
    """Return every measurement, and the budget."""
    record = {
        "measurements": [asdict(m) for m in measurements],
        "verdicts": [asdict(v) for v in verdicts],
        "ok": all(v.ok for v in verdicts),
    }
    measured = ("measured", ("metric", "value"), list(tables.measured_lines(measurements)))
    budget = tables.budget_tables(tables.bounded(verdicts, "model"))
    shown = (measured, *_whole(measurements), *budget)
    problem = "" if record["ok"] else _over_budget([("", v) for v in verdicts])
    note = _whole_note(measurements)
    return Shown("check", (record,), shown, caption=note, problem=problem)


def evaluation_result(evaluations: Sequence["Evaluation"]) -> Shown:
    """Return accuracies, a row per class, and the labels most often confused."""
    records = [asdict(evaluation) for evaluation in evaluations]
    return Shown("evaluation", records, list(evaluation_tables(evaluations)))


def comparison_result(comparison: "Comparison") -> Shown:
    """Return the systems and their differences, and a sentence per pair."""
    lines = [pair.sentence for pair in comparison.pairs]
    return Shown("comparison", (asdict(comparison),), list(comparison_tables(comparison)), lines)


def profile_result(profile: "Profile") -> Shown:
    """Return latencies, shares, weights and operators."""
    from edgekws.report.profile_tables import profile_tables

    return Shown("profile", (asdict(profile),), *profile_tables(profile))


def footprint_result(footprints: "Sequence[BundleFootprint]") -> Shown:
    """Return flash, RAM and instructions of bundles on a microcontroller."""
    head = ("bundle", "flash", "RAM", "of it stack", "least clock")
    sizes = [
        [
            row.bundle,
            *(
                figures.figure("flash_kib", n / 1024)
                for n in (f.flash_bytes, f.ram_bytes, f.stack_bytes)
            ),
            f"{figures.amount(f.least_clock_mhz)} MHz",
        ]
        for row in footprints
        for f in (row.footprint,)
    ]
    runs = ("bundle", "what", "a run", "per second of audio", "estimated a run")
    counts = [
        [row.bundle, *cells] for row in footprints for cells in _instruction_rows(row.footprint)
    ]
    lines = [_footprint_line(row.footprint) for row in footprints]
    shown = (("memory", head, sizes), ("instructions", runs, counts))
    return Shown("footprint", [asdict(row) for row in footprints], shown, lines)


def _instruction_rows(f: "Footprint") -> Iterator[list[str]]:
    """Yield a row for each part: instructions of a run and of a second, and the time of a run."""
    hop = f"{1000 * f.hop_s:g} ms hop"
    inference = hop if f.streaming else "window"
    parts = (
        (f"front end, {hop}", f.front_end_per_hop, f.front_end_per_s),
        (f"network, {inference}", f.network_per_run, f.network_per_s),
        (f"all, average {hop}", f.per_s * f.hop_s, f.per_s),
        (f"all, longest {hop}", f.most_per_hop, None),
    )
    for what, per_run, per_s in parts:
        us = figures.figure("latency_p50_us", per_run / f.clock_mhz)
        yield [what, figures.large(per_run), figures.large(per_s) if per_s else "", us]


def _footprint_line(f: "Footprint") -> str:
    build = "with FPU" if f.floats else "in integers"
    return (
        f"{f.cpu} {build}: {figures.count(f.inferences)} inferences on {f.clips} clips have the "
        f"bits of onnxruntime; times are estimates, one instruction a cycle at {f.clock_mhz:g} MHz"
    )


def predicted_result(predicted: "Predicted", output: Path) -> Shown:
    """Return how many labels were written, and how many files could not be read."""
    line = f"{figures.count(predicted.rows)} labels in {one_line(str(output))}"
    if left_out := len(predicted.unreadable):
        line += f"; {figures.count(left_out)} files could not be read and have no row"
    return Shown("predicted", ({"output": str(output), **asdict(predicted)},), (), (line,))


def verified_result(verified: "Verified", bundle: Path) -> Shown:
    """Return the contents of a bundle, and its labels."""
    record = {"bundle": str(bundle), **asdict(verified)}
    return Shown("verified", (record,), (), tables.verified_lines(verified, bundle))


def exported_result(exported: "Exported") -> Shown:
    """Return what was written, and that it was verified."""
    lines = tables.verified_lines(exported.verified, exported.output)
    return Shown("exported", (asdict(exported),), (), lines)


def _over_budget(verdicts: Iterable[tuple[str, Verdict]]) -> str:
    """Return the limits that are exceeded, and by how much; each with its results, if several."""
    exceeded: dict[str, list[str]] = {}
    over = [(name, verdict) for name, verdict in verdicts if not verdict.ok]
    several = len({name for name, _ in over}) > 1
    for name, v in over:
        limit = f"{v.limit.key} = {figures.figure(v.limit.metric, v.limit.value)}"
        measured = f"{figures.figure(v.limit.metric, v.measured)}, {figures.margin(v)}"
        exceeded.setdefault(limit, []).append(f"{name} {measured}" if several else measured)
    limits = [f"{limit} ({'; '.join(of)})" for limit, of in exceeded.items()]
    return f"the budget is not met: {'; '.join(limits)}"


def _whole(measurements: Iterable[Measurement]) -> Iterator[Table]:
    """Yield front end and network side by side, where both were measured."""
    if rows := tables.whole_rows(measurements):
        yield "on the device", tables.WHOLE_HEADS, rows


def _whole_note(measurements: Iterable[Measurement]) -> str:
    return WHOLE_NOTE if tables.whole_rows(measurements) else ""
