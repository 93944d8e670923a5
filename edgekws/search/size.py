"""The number of epochs of a sweep."""

import math
from collections.abc import Iterable

from edgekws.core.canonical import canonical_json
from edgekws.recipe.load import load
from edgekws.search.chain import needed, trained
from edgekws.search.model import Sweep
from edgekws.search.overrides import texts
from edgekws.search.space import Params, recipe_of
from edgekws.search.trial import TrialFactory


def kept(sweep: Sweep, count: int) -> int:
    """Return how many of `count` continue at a rung."""
    return max(1, math.ceil(count * sweep.pruning.keep)) if sweep.pruning else count


def total_epochs(factory: TrialFactory, count: int) -> int:
    """Return the epochs of the last training step, over `count` combinations and finalists."""
    sweep = factory.loaded.sweep
    todo, before, alive = 0, 0, count
    for rung in sweep.pruning.rungs if sweep.pruning else ():
        todo += alive * (rung - before)
        before, alive = rung, kept(sweep, alive)
    todo = (todo + alive * (factory.epochs() - before)) * len(sweep.seeds)
    if sweep.finalists:
        finals = min(sweep.finalists.count, alive) + sweep.finalists.base
        todo += finals * len(sweep.finalists.seeds) * factory.epochs(texts(sweep.finalists.set))
    return todo


def shared_epochs(factory: TrialFactory, combinations: Iterable[Params]) -> int:
    """Return the epochs of the earlier steps; identical ones are trained once."""
    loaded = factory.loaded
    base = load(loaded.base, loaded.fixed).recipe
    if len(trained(needed(base.steps, loaded.sweep.until))) < 2:
        return 0
    epochs: dict[str, int] = {}
    for params in combinations:
        recipe = recipe_of(loaded, factory.axes, params)
        data = recipe.model_dump(mode="json", include={"dataset", "front_end", "augment", "seed"})
        for step in trained(needed(recipe.steps, loaded.sweep.until))[:-1]:
            chain = [earlier.model_dump(mode="json") for earlier in needed(recipe.steps, step.name)]
            epochs[canonical_json([data, chain])] = step.training.epochs
    return sum(epochs.values())
