"""Trials: one combination with one seed, identified by its content."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from edgekws.core.canonical import canonical_json, sha256_of
from edgekws.core.environment import device_kind, library_versions
from edgekws.core.family import load as load_member
from edgekws.core.source_code import closure, modules_of
from edgekws.recipe.load import load
from edgekws.recipe.lock import lock
from edgekws.recipe.model import Recipe
from edgekws.search.chain import needed, trained
from edgekws.search.load import LoadedSweep
from edgekws.search.model import Sweep
from edgekws.search.space import Axis, Params, recipe_of

_CODE = frozenset(
    {
        *("edgekws.audio.features", "edgekws.audio.decoding"),
        *("edgekws.engine.measure", "edgekws.search.table"),
    }
)
"""Modules that affect a result in addition to the recipe's members."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One combination with one seed. `recipe` is its complete recipe as TOML.

    `key` identifies everything that its result depends on; `features` identifies its data, shared
    by trials with the same front end and augmentation. `epochs` are those of the last training
    step.
    """

    key: str
    features: str
    params: Params
    seed: int
    recipe: str
    until: str
    objective: str
    evaluate_on: str
    epochs: int


@dataclass(frozen=True)
class Unit:
    """A piece of work: a trial, up to `epochs` of its last step, or to its end with `None`.

    `since` are the epochs trained by an earlier unit of the trial.
    """

    trial: Trial
    epochs: int | None = None
    since: int = 0

    @property
    def size(self) -> int:
        """The number of epochs to train."""
        return (self.epochs or self.trial.epochs) - self.since


@dataclass(frozen=True)
class UnitResult:
    """The outcome of a unit.

    `scores` are `(epoch, objective on dev)`; `result` holds measurements and tables once the trial
    is complete; `error` is the reason of a failure. `rss_mib` is the worker's peak memory so far.
    """

    key: str
    scores: tuple[tuple[int, float], ...] = ()
    result: dict[str, Any] | None = None
    error: str | None = None
    seconds: float = 0.0
    rss_mib: float = 0.0


@dataclass(frozen=True)
class TrialFactory:
    """Creates the trials of a sweep from its axes."""

    loaded: LoadedSweep
    axes: tuple[Axis, ...]
    trials: dict[str, Trial] = field(default_factory=dict)

    def trial(self, params: Params, seed: int, more: Sequence[str] = ()) -> Trial:
        """Return the trial of a combination and a seed; `more` are overrides for finalists."""
        identity = canonical_json([dict(params), seed, list(more)])
        if identity not in self.trials:
            self.trials[identity] = self._trial(params, seed, more)
        return self.trials[identity]

    def _trial(self, params: Params, seed: int, more: Sequence[str]) -> Trial:
        sweep = self.loaded.sweep
        recipe = recipe_of(self.loaded, self.axes, params, [*more, self._seeded(seed)])
        steps = needed(recipe.steps, sweep.until)
        return Trial(
            key=_key(recipe, steps, sweep),
            features=sha256_of(_data(recipe)),
            params=params,
            seed=seed,
            recipe=lock(recipe),
            until=sweep.until,
            objective=sweep.objective,
            evaluate_on=sweep.evaluate_on,
            epochs=_epochs(steps),
        )

    def _seeded(self, seed: int) -> str:
        return f"steps.{self.loaded.seeded_step}.seed={seed}"

    def is_base(self, params: Params) -> bool:
        """Return whether a combination leaves the base unchanged."""
        return self.trial(params, self.loaded.sweep.seeds[0]).recipe == self._base

    @cached_property
    def _base(self) -> str:
        seeded = self._seeded(self.loaded.sweep.seeds[0])
        return lock(load(self.loaded.base, [*self.loaded.fixed, seeded]).recipe)

    def epochs(self, more: Sequence[str] = ()) -> int:
        """Return the epochs of the base's last training step, with `[set]` and `more`."""
        recipe = load(self.loaded.base, [*self.loaded.fixed, *more]).recipe
        return _epochs(needed(recipe.steps, self.loaded.sweep.until))


def _epochs(steps: Sequence[Any]) -> int:
    epochs: int = trained(steps)[-1].training.epochs
    return epochs


def read_recipe(text: str) -> Recipe:
    """Parse the recipe of a trial."""
    return Recipe.model_validate(tomllib.loads(text))


def _data(recipe: Recipe) -> dict[str, Any]:
    dataset = canonical_json(recipe.dataset.model_dump(mode="json", exclude_none=True))
    return {
        "dataset": dataset,
        "fingerprint": _fingerprint(recipe.dataset.kind, dataset),
        "front_end": recipe.front_end.front_end().to_dict(),
        "augment": recipe.augment.model_dump(mode="json"),
        "seed": recipe.seed,
    }


@cache
def _fingerprint(kind: str, dataset: str) -> str:
    """Return the fingerprint of a dataset, cached: it may have thousands of files."""
    import json

    member: Any = load_member("Dataset", kind).model_validate(json.loads(dataset))
    fingerprint: str = member.fingerprint()
    return fingerprint


def _key(recipe: Recipe, steps: Sequence[Any], sweep: Sweep) -> str:
    modules = modules_of(recipe.dataset).union(*(modules_of(step) for step in steps))
    return sha256_of(
        {
            "data": _data(recipe),
            "steps": [step.model_dump(mode="json", exclude={"budget"}) for step in steps],
            "files": [step.fingerprint() for step in steps],
            "objective": sweep.objective,
            "evaluate_on": sweep.evaluate_on,
            "threads": recipe.threads,
            "device": recipe.device or device_kind(),
            "versions": library_versions(),
            "source": _source(frozenset(modules | _CODE)),
        }
    )


@cache
def _source(modules: frozenset[str]) -> dict[str, str]:
    return closure(modules)
