"""Importance of parameters: Optuna's fANOVA, and the mean at every value."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekws.metrics import intervals
from edgekws.search.sampling import choice, distributions
from edgekws.search.space import Axis, Params
from edgekws.search.statistics import Estimate, Scored, estimate, weighted

_SEED = 0
FEWEST = 4
"""Fewest trials for which importance is computed."""


def importance(axes: Sequence[Axis], scores: Sequence[tuple[Params, float]]) -> dict[str, float]:
    """Return the share of the variance that each parameter explains (Hutter et al. 2014).

    Empty if there are too few trials, or all scores are equal.
    """
    if len(scores) < FEWEST or len({score for _, score in scores}) < 2:
        return {}
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    shapes = distributions(axes)
    for params, score in scores:
        stored = {name: choice(value) for name, value in params.items()}
        study.add_trial(create_trial(params=stored, distributions=shapes, value=score))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = FanovaImportanceEvaluator(seed=_SEED)
        shares = get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def marginals(
    axes: Sequence[Axis], scores: Sequence[tuple[Params, Scored]], speakers: int
) -> list[dict[str, Any]]:
    """Return, for every value of every listed axis, the mean score and its 95 % interval.

    If invalid combinations leave gaps in a grid, plain means would confound the parameters, so
    these are least-squares means of an additive model. The interval is the wider of two: with the
    residuals as noise, and over the `speakers` and seeds of the scores.
    """
    listed = [axis for axis in axes if axis.values]
    columns = [(axis, value) for axis in listed for value in axis.values]
    if len(scores) <= len(columns) - len(listed) + 1:
        return []
    x = np.array([[float(p[a.name] == v) for a, v in columns] for p, _ in scores])
    parts = [score for _, score in scores]
    y = np.array([part.value for part in parts])
    used: list[bool] = (x.sum(axis=0) > 0).tolist()
    full = np.hstack([np.ones((len(y), 1)), x])
    inverse = np.linalg.pinv(full.T @ full)
    weights = inverse @ full.T @ y
    free = len(y) - np.linalg.matrix_rank(full)
    noise = float(np.sum((y - full @ weights) ** 2) / max(free, 1))
    rows = []
    for n, (axis, value) in enumerate(columns):
        if not used[n]:
            continue
        at = _middle(columns, used, axis, n)
        error = float(np.sqrt(max(noise * at @ inverse @ at, 0.0)))
        half = intervals.quantile(max(free, 1)) * error
        estimated = _wider(estimate(weighted(parts, at @ inverse @ full.T), speakers), half)
        n_trials = int(x[:, n].sum())
        row = {"axis": axis.name, "value": value, "n": n_trials}
        rows.append(row | {"mean": estimated.value, "ci95": estimated.ci95})
    return rows


def _wider(estimated: Estimate, half: float) -> Estimate:
    """Return an interval of at least `half` on both sides, clipped to 0 and 1."""
    mean, (low, high) = estimated.value, estimated.ci95 or (estimated.value, estimated.value)
    return Estimate(mean, (max(0.0, min(low, mean - half)), min(1.0, max(high, mean + half))))


def _middle(columns: Sequence[tuple[Axis, Any]], used: Sequence[bool], axis: Axis, n: int) -> Any:
    """Return the row of the model for one value, all other axes at the mean of their values."""
    row = np.zeros(len(columns) + 1)
    row[0] = 1
    for i, (other, _) in enumerate(columns):
        if other.name != axis.name and used[i]:
            same = [used[j] for j, (a, _) in enumerate(columns) if a.name == other.name]
            row[i + 1] = 1 / sum(same)
    row[n + 1] = 1
    return row
