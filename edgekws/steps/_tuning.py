"""Compare the forms of one network and choose the one to ship."""

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
"""How many of the fastest forms that may be shipped are timed again against the input: the fastest
of many forms timed once is partly so by chance."""


@dataclass(frozen=True)
class Candidate:
    """One form with its size, its results on dev, its latency, and why it may not be shipped.

    `nodes` is the number of nodes that onnxruntime runs. Compared with the input: `drop` is the
    accuracy lost, `agreement` the share of clips with the same label, `max_abs_diff` the largest
    difference in the logits.
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
        """Name of the form."""
        return self.form.name

    @property
    def p50_us(self) -> float:
        """Median latency; infinite where it was not measured."""
        return self.latency.p50_us if self.latency else float("inf")


@dataclass(frozen=True)
class Limits:
    """The limits that a form must meet to be shipped."""

    max_drop: float
    min_int8_coverage: float
    max_size_kib: float | None

    def refusal(self, row: Candidate) -> str:
        """Return why a form may not be shipped; an empty text if it may."""
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


def evaluate(
    built: Sequence[Form], contract: Contract, dev: Examples, folder: Path, limits: Limits
) -> list[Candidate]:
    """Write every form that could be built into `folder`, and evaluate it on the dev split.

    A form that does not reproduce its parent's logits may not be shipped.
    """
    available = [form for form in built if form.model is not None]
    logits: dict[str, NDArray[np.float32]] = {}
    rows = []
    for number, form in enumerate(available):
        assert form.model is not None
        path = folder / f"{number}.onnx"
        onnx_file.save(form.model, contract, path)
        logits[form.name] = parity.logits(path, dev.features)
        rows.append(_candidate(form, path, logits, dev))
    return [replace(row, refused=_mismatch(row, logits) or limits.refusal(row)) for row in rows]


def _candidate(
    form: Form, path: Path, logits: Mapping[str, NDArray[np.float32]], dev: Examples
) -> Candidate:
    after, before = logits[form.name], logits[INPUT]
    labels = after.argmax(axis=1)
    accuracy = float((labels == dev.targets).mean())
    assert form.model is not None
    return Candidate(
        form,
        path,
        is_int8(form.model),
        len(execution.optimized(form.model, "ORT_ENABLE_ALL").graph.node),
        path.stat().st_size / 1024,
        graph.int8_coverage(form.model),
        accuracy,
        float((before.argmax(axis=1) == dev.targets).mean()) - accuracy,
        float((labels == before.argmax(axis=1)).mean()),
        float(np.abs(after.astype(np.float64) - before).max()),
    )


def _mismatch(row: Candidate, logits: Mapping[str, NDArray[np.float32]]) -> str:
    parent = row.form.parent
    if parent is None:
        return ""
    worst = float(np.abs(logits[row.name].astype(np.float64) - logits[parent]).max())
    if worst <= parity.TOLERANCE:
        return ""
    return f"its logits differ by {worst:.3g} from those of {parent!r}, which it must reproduce"


def timed(rows: Sequence[Candidate], run: LatencyRun) -> list[Candidate]:
    """Return the rows with their latency from `run`; those it does not hold stay unchanged."""
    return [replace(row, latency=run.models.get(row.name, row.latency)) for row in rows]


def finalists(rows: Sequence[Candidate]) -> list[Candidate]:
    """Return the forms to time again: input, control, fastest FP32 form, fastest of the others."""
    allowed = sorted((row for row in rows if not row.refused), key=lambda row: row.p50_us)
    others = [row for row in allowed if row.name != INPUT][:FINALISTS]
    names = {INPUT, NAIVE, *(row.name for row in others)}
    if fastest := fastest_float(rows):
        names.add(fastest.name)
    return [row for row in rows if row.name in names]


def fastest_float(rows: Iterable[Candidate]) -> Candidate | None:
    """Return the fastest FP32 form with correct logits, even if it may not be shipped."""
    floats = [row for row in rows if not row.int8 and not row.refused.startswith("its logits")]
    return min((row for row in floats if row.name != NAIVE), key=lambda r: r.p50_us, default=None)


def choose(rows: Sequence[Candidate], run: LatencyRun) -> Candidate | None:
    """Return the form to ship of those in `run`, in which the input is the control.

    It is the input if it may be shipped and no form is faster beyond noise; otherwise the first
    form that is indistinguishable from the fastest. `None` if none may be shipped.
    """
    allowed = [row for row in rows if row.name in run.models and not row.refused]
    if not allowed:
        return None
    if allowed[0].name == INPUT:
        faster = [row for row in allowed[1:] if _is_faster(row, run)]
        if not faster:
            return allowed[0]
        allowed = faster
    _, high = min((row.latency for row in allowed if row.latency), key=lambda x: x.p50_us).p50_ci95
    return next(row for row in allowed if row.latency and row.latency.p50_ci95[0] <= high)


def _is_faster(row: Candidate, run: LatencyRun) -> bool:
    """Return whether a form beats the control by more than the control differs from itself."""
    ci95 = row.latency.ratio_ci95 if row.latency else None
    return run.level and ci95 is not None and ci95[1] < 1 - abs(run.control_ratio - 1)


def table(rows: Sequence[Candidate], built: Sequence[Form], chosen: str) -> list[dict[str, Any]]:
    """Return a line for every form, including those that could not be built."""
    lines = {row.name: _line(row, chosen) for row in rows}
    return [
        lines.get(f.name, {"form": f.name, "verdict": f"not built: {f.why_not}"}) for f in built
    ]


def _line(row: Candidate, chosen: str) -> dict[str, Any]:
    latency = row.latency
    return {
        "form": row.name,
        "p50_us": latency.p50_us if latency else None,
        "of_input": latency.ratio if latency else None,
        "of_input_ci95": latency.ratio_ci95 if latency else None,
        "nodes_run": row.nodes,
        "size_kib": row.size_kib,
        "int8_coverage": row.int8_coverage,
        "accuracy": row.accuracy,
        "drop": row.drop,
        "label_agreement": row.agreement,
        "max_abs_diff": row.max_abs_diff,
        "verdict": "shipped" if row.name == chosen else row.refused or "may be shipped",
    }


def describe_int8_gain(shipped: Candidate, rows: Sequence[Candidate]) -> str:
    """Compare the shipped INT8 form with the fastest FP32 one; empty if FP32 is shipped."""
    fastest = fastest_float(rows)
    if not shipped.int8 or fastest is None or not fastest.latency or not shipped.latency:
        return ""
    int8, fp32 = shipped.latency, fastest.latency
    own, others = (figures.figure("size_kib", row.size_kib) for row in (shipped, fastest))
    size = f"{own} instead of {others}"
    p50, reference = (figures.figure("latency_p50_us", row.p50_us) for row in (int8, fp32))
    speed = f"{p50} against {reference} of the fastest FP32 form"
    if int8.p50_ci95[1] < fp32.p50_ci95[0]:
        return f"INT8 buys size ({size}) and speed: {speed} ({fastest.name})"
    if int8.p50_ci95[0] > fp32.p50_ci95[1]:
        return f"INT8 buys size ({size}) and costs speed: {speed} ({fastest.name})"
    return f"INT8 buys size ({size}) and not speed: {speed} ({fastest.name})"
