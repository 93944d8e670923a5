"""What a sweep found: the ranking with its doubt, what matters, fronts, effects, the best."""

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
from edgekws.search.statistics import Bench, difference, over_seeds
from edgekws.search.storage import Row, Storage
from edgekws.search.trial import Plan, Trial

State = Literal["running", "pruned", "complete", "final", "failed"]


@dataclass
class Standing:
    """What became of one combination, over its seeds.

    `value` is the mean objective on dev after `epochs` of the last step. `behind` is the distance
    to the `best` of its group, with its paired interval; `tied` says that it may be none,
    corrected for the number of pairs of combinations. `base` tells that it is what the base
    recipe has.
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
        plan: Plan, params: Params, seeds: Sequence[int], more: Sequence[str] = ()
    ) -> "Standing":
        """Return a combination of which nothing is known yet."""
        trials = tuple(plan.trial(params, seed, more) for seed in seeds)
        identity = canonical_json(dict(params))
        return Standing(identity, params, tuple(seeds), trials, base=plan.is_base(params))

    def judge(self, rows: Sequence[Row], epochs: int | None) -> None:
        """Take the score at a rung, or at the end with `None`, from the rows of all seeds."""
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
        """Return what a table shows."""
        told = {k: v for k, v in vars(self).items() if k not in ("trials", "id", "first")}
        return {**told, "params": dict(self.params), "keys": [trial.key for trial in self.trials]}


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that pages and tables are drawn from.

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
        told = {k: v for k, v in vars(self).items() if k != "standings"}
        ranking = [{"rank": n} | s.to_dict() for n, s in enumerate(self.standings, 1)]
        return {"schema": 1, **told, "ranking": ranking}

    def save(self, folder: Path) -> None:
        """Write `results.json` and `ranking.csv`."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        write_text(folder / "results.json", text, "name another --runs")
        write_text(folder / "ranking.csv", csv_text(self._ranking()), "name another --runs")

    def _ranking(self) -> Iterator[list[Any]]:
        metrics = ("accuracy", "macro_recall", "params", "macs")
        head = ("state", "epochs", "seeds", self.objective, "low", "high", "tied")
        yield ["rank", *self.axes, *head, *(f"dev_{m}" for m in metrics), "error"]
        for rank, one in enumerate(self.standings, 1):
            values = [_cell(one.params[name]) for name in self.axes]
            low, high = one.ci95 or ("", "")
            told = [one.state, one.epochs, len(one.seeds), one.value, low, high, one.tied]
            more = [one.measured.get(m, "") for m in metrics]
            yield [rank, *values, *told, *more, one.error or ""]


def results(
    plan: Plan, store: Storage, standings: Sequence[Standing], space: Space, timing: dict[str, Any]
) -> Results:
    """Draw the conclusions from what came out."""
    sweep = plan.loaded.sweep
    bench = _compare(standings, store, sweep.objective)
    ranked = _ranked(standings)
    short = [s for s in standings if s.first is not None and s.state != "final"]
    scores = [(s.params, s.first) for s in short if s.first is not None]
    rungs = sweep.pruning.rungs if sweep.pruning else ()
    at_end = [s for s in standings if s.state in ("final", "complete")]
    pareto = {metric: [s.id for s in _front(at_end, metric)] for metric in ("macs", "params")}
    told, cells = _factors(plan, store, standings)
    return Results(
        name=sweep.name,
        base=plan.loaded.base,
        objective=sweep.objective,
        evaluate_on=sweep.evaluate_on,
        axes=tuple(axis.name for axis in plan.axes),
        valid=len(space.valid),
        invalid=len(space.invalid),
        reasons=space.reasons(),
        standings=tuple(ranked),
        importance=importance(plan.axes, scores),
        marginals=_marginals(plan, store, short),
        compared_at=rungs[0] if rungs else (short[0].epochs if short else 0),
        pareto=pareto,
        effects=told,
        failures=[
            {"params": dict(s.params), "error": s.error} for s in standings if s.state == "failed"
        ],
        timing=timing,
        best=_best(plan, ranked),
        notes=tuple(_notes(bench, at_end, sweep.seeds, plan)),
        cells=cells,
    )


def _mean_of(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: sum(one[key] for one in found) / len(found) for key in found[0]}


def _cell(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else canonical_json(value)


def _compare(standings: Sequence[Standing], store: Storage, objective: str) -> Bench | None:
    """Give every combination that is at its end its interval, and its distance to the best."""
    for group in ("final", "complete"):
        members = [s for s in standings if s.state == group]
        if not members:
            continue
        bench = Bench(_tables(store, members, "dev"), objective)
        means = {s.id: bench.mean([t.key for t in s.trials]) for s in members}
        top = max(members, key=lambda s: means[s.id].value)
        pairs = len(members) * (len(members) - 1) // 2  # the best is the winner of all of them
        for one in members:
            one.ci95 = bench.level([t.key for t in one.trials])
            gap = bench.estimate(difference(means[one.id], means[top.id]))
            one.behind = (gap.value, *gap.ci95) if gap.ci95 else None
            one.best = one is top
            one.tied = one.best or gap.p * pairs >= ALPHA
    return bench if any(s.state in ("final", "complete") for s in standings) else None


_ORDER = {"final": 0, "complete": 1, "pruned": 2, "running": 3, "failed": 4}


def _ranked(standings: Sequence[Standing]) -> list[Standing]:
    """Return the combinations, the best first, and behind them those given up, the last first.

    How long a combination trains says nothing where it came to its end, as it may be what is
    varied. A finalist stands there once.
    """
    finals = {s.id for s in standings if s.state == "final"}
    shown = [s for s in standings if s.state == "final" or s.id not in finals]

    def place(one: Standing) -> tuple[int, int, float]:
        reached = one.epochs if one.state in ("pruned", "running") else 0
        return _ORDER[one.state], -reached, -(one.value or 0.0)

    return sorted(shown, key=place)


def _front(standings: Sequence[Standing], metric: str) -> list[Standing]:
    """Return those that no other beats in both: the metric, which costs, and the objective."""
    found: list[Standing] = []
    ordered = sorted(standings, key=lambda s: (s.measured[metric], -(s.value or 0.0)))
    for one in ordered:
        if not found or (one.value or 0.0) > (found[-1].value or 0.0):
            found.append(one)
    return found


def _marginals(plan: Plan, store: Storage, short: Sequence[Standing]) -> list[dict[str, Any]]:
    """Return the mean at every value, at the first rung or at the end where none is given up.

    At a rung the scores of the seeds are all that is known; at the end speakers are drawn as well.
    """
    sweep = plan.loaded.sweep
    known = [s for s in short if s.first is not None]
    if not known:
        return []
    if sweep.pruning:
        rung = sweep.pruning.rungs[0]
        rows = [[store.rows[t.key] for t in s.trials] for s in known]
        scores = [over_seeds([row.scores[rung] for row in seeds]) for seeds in rows]
        speakers = 0
    else:
        bench = Bench(_tables(store, known, "dev"), sweep.objective)
        scores = [bench.mean([t.key for t in s.trials]) for s in known]
        speakers = bench.speakers
    return marginals(
        plan.axes,
        [(s.params, score) for s, score in zip(known, scores, strict=True)],
        speakers,
    )


def _tables(store: Storage, standings: Sequence[Standing], split: str) -> dict[str, Any]:
    return {t.key: store.rows[t.key].table(split) for s in standings for t in s.trials}


def _factors(
    plan: Plan, store: Storage, standings: Sequence[Standing]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the effects of the factors, and the mean of every combination they are made of."""
    sweep = plan.loaded.sweep
    ended = [s for s in standings if s.state == "complete"]
    if not sweep.factors or sweep.pruning or not ended:  # what went on was chosen
        return [], []
    bench = Bench(_tables(store, ended, sweep.evaluate_on), sweep.objective)
    cells = [Cell(s.params, tuple(t.key for t in s.trials)) for s in ended]
    found = [effect.to_dict() for effect in effects(plan.axes, cells, bench)]
    return found, [_mean_of_cell(s, bench, sweep.evaluate_on) for s in ended]


def _mean_of_cell(one: Standing, bench: Bench, split: str) -> dict[str, Any]:
    keys = [trial.key for trial in one.trials]
    mean = bench.mean(keys)
    by_seed = {trial.seed: bench.shares[trial.key].value for trial in one.trials}
    told = {"params": dict(one.params), "split": split, "mean": mean.value}
    return told | {"ci95": bench.level(keys), "by_seed": by_seed}


def _best(plan: Plan, ranked: Sequence[Standing]) -> dict[str, Any] | None:
    """Return the winner, and the base recipe with what it chose: `[set]` is not in it."""
    if not ranked or ranked[0].value is None:
        return None
    top = ranked[0]
    chosen = [text for axis in plan.axes for text in axis.overrides(top.params[axis.name])]
    base = load(plan.loaded.base, plan.loaded.overrides).recipe
    name = f"name={base.name}-{plan.loaded.sweep.name}"
    recipe = load(plan.loaded.base, [*plan.loaded.overrides, *chosen, name]).recipe
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
    bench: Bench | None, ended: Sequence[Standing], seeds: Sequence[int], plan: Plan
) -> list[str]:
    notes = []
    if bench and bench.speakers == 1:
        notes.append("dev holds one speaker: there are no intervals")
    elif bench and bench.speakers:
        care = ": read them with care" if bench.speakers < FEW_SPEAKERS else ""
        notes.append(f"intervals are over {bench.speakers} speakers of dev{care}")
    if plan.loaded.sweep.factors and plan.loaded.sweep.pruning:
        notes.append("no effects of factors: which combinations went on was chosen by the score")
    if not plan.loaded.sweep.finalists and len(seeds) == 1 and ended:
        notes.append("one seed: what another seed would change is in no interval")
    return notes
