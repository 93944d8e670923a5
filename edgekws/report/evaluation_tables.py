"""The tables of evaluations and comparisons, independent of the terminal."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from edgekws.core import figures
from edgekws.core.measurement import Measurement
from edgekws.report.tables import confused, measured_lines

if TYPE_CHECKING:
    from edgekws.evaluation.compare import Comparison
    from edgekws.evaluation.evaluate import Evaluation
    from edgekws.evaluation.verdict import Pair
    from edgekws.metrics.differences import Difference

Table = tuple[str, Sequence[str], list[list[str]]]
"""Title, heads of the columns, rows."""


def evaluation_tables(evaluations: Sequence["Evaluation"]) -> Iterator[Table]:
    """Yield the tables of one model, or those of several side by side."""
    if len(evaluations) == 1:
        yield from _one(evaluations[0])
    elif evaluations:
        yield from _side_by_side(evaluations)
    mistakes = [
        [*([evaluation.name] if len(evaluations) > 1 else []), *row]
        for evaluation in evaluations
        for row in confused(evaluation.per_class, evaluation.confusion)
    ]
    if mistakes:
        heads = ("label", "predicted", "clips")
        yield "most often confused", heads if len(evaluations) == 1 else ("model", *heads), mistakes


def _one(evaluation: "Evaluation") -> Iterator[Table]:
    yield evaluation.name, ("metric", "value"), list(measured_lines(evaluation.measurements))
    rows = [
        [
            row["label"],
            figures.share(row["precision"]),
            figures.estimate("accuracy", row["recall"], row["recall_ci95"]),
            figures.share(row["f1"]),
            figures.share(_errors(evaluation).get(row["label"])),
            figures.count(row["support"]),
        ]
        for row in evaluation.per_class
    ]
    yield "per class", ("label", "precision", "recall", "F1", "EER", "clips"), rows


def _side_by_side(evaluations: Sequence["Evaluation"]) -> Iterator[Table]:
    names = [evaluation.name for evaluation in evaluations]
    models = [{m.metric: m for m in evaluation.measurements} for evaluation in evaluations]
    rows = [[metric, *(figures.measured(m.get(metric)) for m in models)] for metric in models[0]]
    pooled = [e.pooled.eer if e.pooled else None for e in evaluations]
    rows.append(["EER, all keywords", *(figures.share(eer) for eer in pooled)])
    yield "side by side", ("metric", *names), rows
    classes = [[row["label"], *map(_three, rows)] for row, *rows in _by_class(evaluations)]
    yield "per class: precision, recall, F1 in %", ("label", *names), classes
    if any(evaluation.detection for evaluation in evaluations):
        errors = list(map(_errors, evaluations))
        rows = [
            [label, *(figures.share(each.get(label)) for each in errors)]
            for label in (row["label"] for row in evaluations[0].per_class)
            if any(label in each for each in errors)
        ]
        yield "EER per keyword", ("label", *names), rows


def _by_class(evaluations: Sequence["Evaluation"]) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of one class in every model, preceded by that of the first model."""
    for rows in zip(*(evaluation.per_class for evaluation in evaluations), strict=True):
        yield [rows[0], *rows]


def _three(row: dict[str, Any]) -> str:
    shares = (row["precision"], row["recall"], row["f1"])
    return "  ".join("    –" if share is None else f"{100 * share:5.1f}" for share in shares)


def _errors(evaluation: "Evaluation") -> dict[str, float]:
    return {tradeoff.label: tradeoff.eer for tradeoff in evaluation.detection}


def comparison_tables(comparison: "Comparison") -> Iterator[Table]:
    """Yield the scores of each system, and the difference of every pair."""
    speakers = f", {comparison.speakers} speakers" if comparison.speakers else ""
    metrics = ("accuracy", "macro_recall", "unknown_accepted")
    rows = [
        [
            entrant.name,
            str(len(entrant.paths)),
            *(_over_seeds(entrant.measurements, m) for m in metrics),
        ]
        for entrant in comparison.entrants
    ]
    title = f"{comparison.split}: {figures.count(comparison.clips)} clips{speakers}"
    heads = ("system", "seeds", "accuracy", "macro recall", "unknown accepted")
    yield title, heads, rows
    names = ("accuracy, points", "macro recall, points", "only a : b right", "p", "Holm")
    yield "differences, a − b, 95 %", ("a − b", *names), [_pair(pair) for pair in comparison.pairs]


def _over_seeds(models: Sequence[Sequence[Measurement]], metric: str) -> str:
    """Write the measurement of one model, or mean and range of several."""
    measurements = [m for model in models for m in model if m.metric == metric]
    if len(measurements) < 2:
        return figures.measured(measurements[0] if measurements else None)
    values = [m.value for m in measurements]
    low, high = 100 * min(values), 100 * max(values)
    return f"{figures.share(sum(values) / len(values))} ({low:.1f} … {high:.1f})"


def _pair(pair: "Pair") -> list[str]:
    only = f"{pair.mcnemar.only_a} : {pair.mcnemar.only_b}" if pair.mcnemar else "–"
    macro = _difference(pair.macro_recall) if pair.macro_recall else "–"
    name = f"{pair.a} − {pair.b}"
    return [name, _difference(pair.accuracy), macro, only, _p(pair.p), _p(pair.p_corrected)]


def _difference(difference: "Difference") -> str:
    value, *bounds = (
        figures.points(bound, 2) for bound in (difference.value, *(difference.ci95 or ()))
    )
    return f"{value} [{', '.join(bounds)}]" if bounds else value


def _p(p: float) -> str:
    """Write a p-value.

    >>> _p(0.0312), _p(0.0004), _p(1.0)
    ('0.031', '< 0.001', '1.000')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
