"""How much a sweep has to train."""

import math
from collections.abc import Iterable

from edgekws.core.canonical import canonical_json
from edgekws.recipe.load import load
from edgekws.search.chain import needed, trained
from edgekws.search.model import Sweep
from edgekws.search.overrides import texts
from edgekws.search.space import Params, recipe_of
from edgekws.search.trial import Plan


def kept(sweep: Sweep, count: int) -> int:
    """Return how many of `count` go on at a rung."""
    return max(1, math.ceil(count * sweep.pruning.keep)) if sweep.pruning else count


def total_epochs(plan: Plan, count: int) -> int:
    """Return the epochs of the last step that trains, over `count` combinations and finalists."""
    sweep = plan.loaded.sweep
    todo, before, alive = 0, 0, count
    for rung in sweep.pruning.rungs if sweep.pruning else ():
        todo += alive * (rung - before)
        before, alive = rung, kept(sweep, alive)
    todo = (todo + alive * (plan.epochs() - before)) * len(sweep.seeds)
    if sweep.finalists:
        finals = min(sweep.finalists.count, alive) + sweep.finalists.base
        todo += finals * len(sweep.finalists.seeds) * plan.epochs(texts(sweep.finalists.set))
    return todo


def shared_epochs(plan: Plan, combinations: Iterable[Params]) -> int:
    """Return the epochs of the steps before, of which those that are alike are trained once."""
    loaded = plan.loaded
    base = load(loaded.base, loaded.fixed).recipe
    if len(trained(needed(base.steps, loaded.sweep.until))) < 2:
        return 0
    found: dict[str, int] = {}
    for params in combinations:
        recipe = recipe_of(loaded, plan.axes, params)
        data = recipe.model_dump(mode="json", include={"dataset", "front_end", "augment", "seed"})
        for step in trained(needed(recipe.steps, loaded.sweep.until))[:-1]:
            chain = [one.model_dump(mode="json") for one in needed(recipe.steps, step.name)]
            found[canonical_json([data, chain])] = step.training.epochs
    return sum(found.values())
