"""The results of a sweep: ranking with intervals, importance, fronts, effects, the best recipe."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgekws.core.canonical import canonical_json, sha256_of
from edgekws.core.output import write_text
from edgekws.core.table import csv_text
from edgekws.metrics.intervals import FEW_SPEAKERS
from edgekws.metrics.paired import ALPHA
from edgekws.recipe.load import load
from edgekws.recipe.lock import lock
from edgekws.search.effects import Cell, effects
from edgekws.search.importance import importance, marginals
from edgekws.search.space import Params, Space
from edgekws.search.statistics import PairedScores, difference, over_seeds
from edgekws.search.storage import Row, Storage
from edgekws.search.trial import Trial, TrialFactory

State = Literal["running", "pruned", "complete", "final", "failed"]


@dataclass
class Standing:
    """The state and scores of one combination, over its seeds.

    `value` is the mean objective on dev after `epochs` of the last step. `behind` is the distance
    to the `best` of its group, with its paired interval; `tied` is true if it may be zero,
    corrected for the number of pairs of combinations. `base` is true for the base recipe's
    combination.
    """

    id: str
    params: Params
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    state: State = "running"
    epochs: int = 0
    value: float | None = None
    first: float | None = None
    ci95: tuple[float, float] | None = None
    behind: tuple[float, float, float] | None = None
    tied: bool = False
    best: bool = False
    measured: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    base: bool = False

    @staticmethod
    def begin(
        factory: TrialFactory, params: Params, seeds: Sequence[int], more: Sequence[str] = ()
    ) -> "Standing":
        """Return a combination without scores."""
        trials = tuple(factory.trial(params, seed, more) for seed in seeds)
        identity = canonical_json(dict(params))
        return Standing(identity, params, tuple(seeds), trials, base=factory.is_base(params))

    def judge(self, rows: Sequence[Row], epochs: int | None) -> None:
        """Set the score at a rung, or at the end with `None`, from the rows of all seeds."""
        if epochs is None:
            values = [row.result_value(self.trials[0].objective) for row in rows]
            self.epochs = self.trials[0].epochs
            self.measured = _mean_of([row.measured() for row in rows])
        else:
            values = [row.scores[epochs] for row in rows]
            self.epochs = epochs
        self.value = sum(values) / len(values)
        if self.first is None:
            self.first = self.value

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for a table."""
        content = {k: v for k, v in vars(self).items() if k not in ("trials", "id", "first")}
        return {
            **content,
            "params": dict(self.params),
            "keys": [trial.key for trial in self.trials],
        }


@dataclass(frozen=True, kw_only=True)
class Results:
    """All data for pages and tables.

    `cells` are the combinations of an ablation with their means on `evaluate_on`.
    """

    name: str
    base: str
    objective: str
    evaluate_on: str
    axes: tuple[str, ...]
    valid: int
    invalid: int
    reasons: list[dict[str, Any]]
    standings: tuple[Standing, ...]
    importance: dict[str, float]
    marginals: list[dict[str, Any]]
    compared_at: int
    pareto: dict[str, list[str]]
    effects: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    timing: dict[str, Any]
    best: dict[str, Any] | None
    notes: tuple[str, ...]
    cells: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as data."""
        content = {k: v for k, v in vars(self).items() if k != "standings"}
        ranking = [{"rank": n} | s.to_dict() for n, s in enumerate(self.standings, 1)]
        return {"schema": 1, **content, "ranking": ranking}

    def save(self, folder: Path) -> None:
        """Write `results.json` and `ranking.csv`."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        write_text(folder / "results.json", text, "name another --runs")
        write_text(folder / "ranking.csv", csv_text(self._ranking()), "name another --runs")

    def _ranking(self) -> Iterator[list[Any]]:
        metrics = ("accuracy", "macro_recall", "params", "macs")
        head = ("state", "epochs", "seeds", self.objective, "low", "high", "tied")
        yield ["rank", *self.axes, *head, *(f"dev_{m}" for m in metrics), "error"]
        for rank, standing in enumerate(self.standings, 1):
            values = [_cell(standing.params[name]) for name in self.axes]
            low, high = standing.ci95 or ("", "")
            figures = [
                standing.state,
                standing.epochs,
                len(standing.seeds),
                standing.value,
                low,
                high,
                standing.tied,
            ]
            more = [standing.measured.get(m, "") for m in metrics]
            yield [rank, *values, *figures, *more, standing.error or ""]


def results(
    factory: TrialFactory,
    store: Storage,
    standings: Sequence[Standing],
    space: Space,
    timing: dict[str, Any],
) -> Results:
    """Compute the results from the stored rows."""
    sweep = factory.loaded.sweep
    paired_scores = _set_intervals(standings, store, sweep.objective)
    ranked = _ranked(standings)
    short = [s for s in standings if s.first is not None and s.state != "final"]
    scores = [(s.params, s.first) for s in short if s.first is not None]
    rungs = sweep.pruning.rungs if sweep.pruning else ()
    at_end = [s for s in standings if s.state in ("final", "complete")]
    pareto = {metric: [s.id for s in _front(at_end, metric)] for metric in ("macs", "params")}
    factor_effects, cells = _factors(factory, store, standings)
    return Results(
        name=sweep.name,
        base=factory.loaded.base,
        objective=sweep.objective,
        evaluate_on=sweep.evaluate_on,
        axes=tuple(axis.name for axis in factory.axes),
        valid=len(space.valid),
        invalid=len(space.invalid),
        reasons=space.reasons(),
        standings=tuple(ranked),
        importance=importance(factory.axes, scores),
        marginals=_marginals(factory, store, short),
        compared_at=rungs[0] if rungs else (short[0].epochs if short else 0),
        pareto=pareto,
        effects=factor_effects,
        failures=[
            {"params": dict(s.params), "error": s.error} for s in standings if s.state == "failed"
        ],
        timing=timing,
        best=_best(factory, ranked),
        notes=tuple(_notes(paired_scores, at_end, sweep.seeds, factory)),
        cells=cells,
    )


def _mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else canonical_json(value)


def _set_intervals(
    standings: Sequence[Standing], store: Storage, objective: str
) -> PairedScores | None:
    """Set the interval of every completed combination, and its distance to the best."""
    for group in ("final", "complete"):
        members = [s for s in standings if s.state == group]
        if not members:
            continue
        paired_scores = PairedScores(_tables(store, members, "dev"), objective)
        means = {s.id: paired_scores.mean([t.key for t in s.trials]) for s in members}
        top = max(members, key=lambda s: means[s.id].value)
        pairs = len(members) * (len(members) - 1) // 2  # the best is the winner of all of them
        for standing in members:
            standing.ci95 = paired_scores.level([t.key for t in standing.trials])
            gap = paired_scores.estimate(difference(means[standing.id], means[top.id]))
            standing.behind = (gap.value, *gap.ci95) if gap.ci95 else None
            standing.best = standing is top
            standing.tied = standing.best or gap.p * pairs >= ALPHA
    return paired_scores if any(s.state in ("final", "complete") for s in standings) else None


_ORDER = {"final": 0, "complete": 1, "pruned": 2, "running": 3, "failed": 4}


def _ranked(standings: Sequence[Standing]) -> list[Standing]:
    """Return the combinations, best first, then the pruned ones, last pruned first.

    The epochs of completed combinations are ignored, as they may be what is varied. A finalist is
    listed once.
    """
    finals = {s.id for s in standings if s.state == "final"}
    shown = [s for s in standings if s.state == "final" or s.id not in finals]

    def place(standing: Standing) -> tuple[int, int, float]:
        reached = standing.epochs if standing.state in ("pruned", "running") else 0
        return _ORDER[standing.state], -reached, -(standing.value or 0.0)

    return sorted(shown, key=place)


def _front(standings: Sequence[Standing], metric: str) -> list[Standing]:
    """Return the Pareto front of the metric (a cost) and the objective."""
    front: list[Standing] = []
    ordered = sorted(standings, key=lambda s: (s.measured[metric], -(s.value or 0.0)))
    for standing in ordered:
        if not front or (standing.value or 0.0) > (front[-1].value or 0.0):
            front.append(standing)
    return front


def _marginals(
    factory: TrialFactory, store: Storage, short: Sequence[Standing]
) -> list[dict[str, Any]]:
    """Return the mean at every value, at the first rung, or at the end without pruning.

    At a rung only the scores of the seeds are known; at the end, speakers count as well.
    """
    sweep = factory.loaded.sweep
    known = [s for s in short if s.first is not None]
    if not known:
        return []
    if sweep.pruning:
        rung = sweep.pruning.rungs[0]
        rows = [[store.rows[t.key] for t in s.trials] for s in known]
        scores = [over_seeds([row.scores[rung] for row in seeds]) for seeds in rows]
        speakers = 0
    else:
        paired_scores = PairedScores(_tables(store, known, "dev"), sweep.objective)
        scores = [paired_scores.mean([t.key for t in s.trials]) for s in known]
        speakers = paired_scores.speakers
    return marginals(
        factory.axes,
        [(s.params, score) for s, score in zip(known, scores, strict=True)],
        speakers,
    )


def _tables(store: Storage, standings: Sequence[Standing], split: str) -> dict[str, Any]:
    return {t.key: store.rows[t.key].table(split) for s in standings for t in s.trials}


def _factors(
    factory: TrialFactory, store: Storage, standings: Sequence[Standing]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the effects of the factors, and the mean of every combination behind them."""
    sweep = factory.loaded.sweep
    ended = [s for s in standings if s.state == "complete"]
    if not sweep.factors or sweep.pruning or not ended:  # pruning selects by score
        return [], []
    paired_scores = PairedScores(_tables(store, ended, sweep.evaluate_on), sweep.objective)
    cells = [Cell(s.params, tuple(t.key for t in s.trials)) for s in ended]
    factor_effects = [effect.to_dict() for effect in effects(factory.axes, cells, paired_scores)]
    return factor_effects, [_mean_of_cell(s, paired_scores, sweep.evaluate_on) for s in ended]


def _mean_of_cell(standing: Standing, paired_scores: PairedScores, split: str) -> dict[str, Any]:
    keys = [trial.key for trial in standing.trials]
    mean = paired_scores.mean(keys)
    by_seed = {trial.seed: paired_scores.shares[trial.key].value for trial in standing.trials}
    cell = {"params": dict(standing.params), "split": split, "mean": mean.value}
    return cell | {"ci95": paired_scores.level(keys), "by_seed": by_seed}


def _best(factory: TrialFactory, ranked: Sequence[Standing]) -> dict[str, Any] | None:
    """Return the winner, and the base recipe with its values, without `[set]`."""
    if not ranked or ranked[0].value is None:
        return None
    top = ranked[0]
    chosen = [text for axis in factory.axes for text in axis.overrides(top.params[axis.name])]
    base = load(factory.loaded.base, factory.loaded.overrides).recipe
    name = f"name={base.name}-{factory.loaded.sweep.name}"
    recipe = load(factory.loaded.base, [*factory.loaded.overrides, *chosen, name]).recipe
    text = lock(recipe)
    return {
        "params": dict(top.params),
        "value": top.value,
        "ci95": top.ci95,
        "overrides": chosen,
        "recipe": text,
        "sha256": sha256_of(text),
    }


def _notes(
    paired_scores: PairedScores | None,
    ended: Sequence[Standing],
    seeds: Sequence[int],
    factory: TrialFactory,
) -> list[str]:
    notes = []
    if paired_scores and paired_scores.speakers == 1:
        notes.append("dev holds one speaker: there are no intervals")
    elif paired_scores and paired_scores.speakers:
        care = ": read them with care" if paired_scores.speakers < FEW_SPEAKERS else ""
        notes.append(f"intervals are over {paired_scores.speakers} speakers of dev{care}")
    if factory.loaded.sweep.factors and factory.loaded.sweep.pruning:
        notes.append("no effects of factors: which combinations went on was chosen by the score")
    if not factory.loaded.sweep.finalists and len(seeds) == 1 and ended:
        notes.append("one seed: what another seed would change is in no interval")
    return notes
