"""The choice among the forms of one network: what each costs, and which is shipped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.core import figures
from edgekws.core.contract import Contract
from edgekws.core.corpus import Examples
from edgekws.core.latency_run import LatencyRun, ModelLatency
from edgekws.lowering import onnx_file, parity
from edgekws.metrics import execution, graph
from edgekws.steps._forms import INPUT, NAIVE, Form, is_int8

FINALISTS = 2
"""So many of the fastest forms that may be shipped are timed once more against the input: of many
timed once, the fastest has been lucky as well."""


@dataclass(frozen=True)
class Row:
    """One form: what it weighs, how it does on dev, how fast it is, and why it is not shipped.

    `nodes` are those that onnxruntime runs. `drop` is accuracy lost against the input, `agreement`
    the share of clips that keep its label, `max_abs_diff` the largest difference to its logits.
    """

    form: Form
    path: Path
    int8: bool
    nodes: int
    size_kib: float
    int8_coverage: float
    accuracy: float
    drop: float
    agreement: float
    max_abs_diff: float
    refused: str = ""
    latency: ModelLatency | None = None

    @property
    def name(self) -> str:
        """That of the form."""
        return self.form.name

    @property
    def p50_us(self) -> float:
        """Median latency; infinite where it was not measured."""
        return self.latency.p50_us if self.latency else float("inf")


@dataclass(frozen=True)
class Limits:
    """What a form must keep to be shipped."""

    max_drop: float
    min_int8_coverage: float
    max_size_kib: float | None

    def refusal(self, row: Row) -> str:
        """Say why a form may not be shipped; nothing where it may."""
        if row.name == NAIVE:
            return "it is the control"
        if row.drop > self.max_drop:
            return f"costs {row.drop:.4f} of accuracy, max_drop = {self.max_drop:g}"
        if row.int8_coverage < self.min_int8_coverage:
            wanted = f"min_int8_coverage = {self.min_int8_coverage:g}"
            return f"{figures.share(row.int8_coverage)} of the MACs run as INT8, {wanted}"
        if self.max_size_kib is not None and row.size_kib > self.max_size_kib:
            size = figures.figure("size_kib", row.size_kib)
            return f"{size}, max_size_kib = {self.max_size_kib:g}"
        return ""


def weigh(
    built: Sequence[Form], contract: Contract, dev: Examples, folder: Path, limits: Limits
) -> list[Row]:
    """Write every form that could be built into `folder`, and judge it on the dev split.

    A form that is to give its parent's logits and does not may not be shipped.
    """
    there = [form for form in built if form.model is not None]
    logits: dict[str, NDArray[np.float32]] = {}
    rows = []
    for number, form in enumerate(there):
        assert form.model is not None
        path = folder / f"{number}.onnx"
        onnx_file.save(form.model, contract, path)
        logits[form.name] = parity.logits(path, dev.features)
        rows.append(_row(form, path, logits, dev))
    return [replace(row, refused=_changed(row, logits) or limits.refusal(row)) for row in rows]


def _row(form: Form, path: Path, logits: Mapping[str, NDArray[np.float32]], dev: Examples) -> Row:
    found, before = logits[form.name], logits[INPUT]
    labels = found.argmax(axis=1)
    accuracy = float((labels == dev.targets).mean())
    assert form.model is not None
    return Row(
        form,
        path,
        is_int8(form.model),
        len(execution.optimized(form.model, "ORT_ENABLE_ALL").graph.node),
        path.stat().st_size / 1024,
        graph.int8_coverage(form.model),
        accuracy,
        float((before.argmax(axis=1) == dev.targets).mean()) - accuracy,
        float((labels == before.argmax(axis=1)).mean()),
        float(np.abs(found.astype(np.float64) - before).max()),
    )


def _changed(row: Row, logits: Mapping[str, NDArray[np.float32]]) -> str:
    parent = row.form.parent
    if parent is None:
        return ""
    worst = float(np.abs(logits[row.name].astype(np.float64) - logits[parent]).max())
    if worst <= parity.TOLERANCE:
        return ""
    return f"its logits differ by {worst:.3g} from those of {parent!r}, which it should give"


def timed(rows: Sequence[Row], run: LatencyRun) -> list[Row]:
    """Return the rows with their latency in `run`, where it holds them."""
    return [replace(row, latency=one) if (one := run.models.get(row.name)) else row for row in rows]


def finalists(rows: Sequence[Row]) -> list[Row]:
    """Return what is timed once more: input, control, fastest FP32 form, fastest of the others."""
    allowed = sorted((row for row in rows if not row.refused), key=lambda row: row.p50_us)
    others = [row for row in allowed if row.name != INPUT][:FINALISTS]
    names = {INPUT, NAIVE, *(row.name for row in others)}
    if fastest := fastest_float(rows):
        names.add(fastest.name)
    return [row for row in rows if row.name in names]


def fastest_float(rows: Iterable[Row]) -> Row | None:
    """Return the fastest FP32 form that computes what it should, whatever else it may lack."""
    floats = [row for row in rows if not row.int8 and not row.refused.startswith("its logits")]
    return min((row for row in floats if row.name != NAIVE), key=lambda r: r.p50_us, default=None)


def choose(rows: Sequence[Row], run: LatencyRun) -> Row | None:
    """Return the form to ship of those in `run`, whose control is the input.

    It is the input where it may be shipped and none is faster beyond noise; otherwise the first of
    those that are not told apart from the fastest. `None` where none may be shipped.
    """
    there = [row for row in rows if row.name in run.models and not row.refused]
    if not there:
        return None
    if there[0].name == INPUT:
        there = [there[0], *(row for row in there[1:] if _faster(row, run))]
        if len(there) == 1:
            return there[0]
        del there[0]
    high = min((row.latency for row in there if row.latency), key=lambda one: one.p50_us).p50_ci95
    return next(row for row in there if row.latency and row.latency.p50_ci95[0] <= high[1])


def _faster(row: Row, run: LatencyRun) -> bool:
    """Tell whether a form is faster than the control beyond what that differs from itself."""
    ci95 = row.latency.ratio_ci95 if row.latency else None
    return run.level and ci95 is not None and ci95[1] < 1 - abs(run.control_ratio - 1)


def table(rows: Sequence[Row], built: Sequence[Form], chosen: str) -> list[dict[str, Any]]:
    """Return a line for every form, also for those that could not be built."""
    lines = {row.name: _line(row, chosen) for row in rows}
    return [
        lines.get(f.name, {"form": f.name, "verdict": f"not built: {f.why_not}"}) for f in built
    ]


def _line(row: Row, chosen: str) -> dict[str, Any]:
    assert row.latency is not None
    return {
        "form": row.name,
        "p50_us": row.p50_us,
        "of_input": row.latency.ratio,
        "of_input_ci95": row.latency.ratio_ci95,
        "nodes_run": row.nodes,
        "size_kib": row.size_kib,
        "int8_coverage": row.int8_coverage,
        "accuracy": row.accuracy,
        "drop": row.drop,
        "label_agreement": row.agreement,
        "max_abs_diff": row.max_abs_diff,
        "verdict": "shipped" if row.name == chosen else row.refused or "may be shipped",
    }


def what_int8_buys(shipped: Row, rows: Sequence[Row]) -> str:
    """Say what INT8 buys against the fastest FP32 form; nothing where FP32 is shipped."""
    fastest = fastest_float(rows)
    if not shipped.int8 or fastest is None or not fastest.latency or not shipped.latency:
        return ""
    one, other = shipped.latency, fastest.latency
    own, others = (figures.figure("size_kib", row.size_kib) for row in (shipped, fastest))
    size = f"{own} instead of {others}"
    p50, fp32 = (figures.figure("latency_p50_us", row.p50_us) for row in (one, other))
    speed = f"{p50} against {fp32} of the fastest FP32 form"
    if one.p50_ci95[1] < other.p50_ci95[0]:
        return f"INT8 buys size ({size}) and speed: {speed} ({fastest.name})"
    if one.p50_ci95[0] > other.p50_ci95[1]:
        return f"INT8 buys size ({size}) and costs speed: {speed} ({fastest.name})"
    return f"INT8 buys size ({size}) and not speed: {speed} ({fastest.name})"
