"""Combinations sampled by Optuna, reproducibly after an interruption."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekws.core.canonical import canonical_json
from edgekws.search.load import LoadedSweep
from edgekws.search.space import Axis, Invalid, Params, problems_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

ATTEMPTS = 200
"""Consecutive draws without a new valid combination after which sampling ends."""


@dataclass(frozen=True)
class Known:
    """A past combination for TPE, with its score, `None` if it failed."""

    params: Params
    score: float | None


class Draws:
    """Samples new valid combinations.

    Every batch has its own sampler, seeded by the batch's number, which gets all earlier results
    in order: the samples depend only on the results, not on which worker was faster.
    """

    def __init__(self, loaded: LoadedSweep, axes: Sequence[Axis]) -> None:
        """Take the axes; nothing is drawn yet."""
        self._loaded, self._axes = loaded, axes
        self._shapes = distributions(axes)
        self._values = {a.name: {choice(v): v for v in a.values} for a in axes if not a.bounds}
        self._seen: set[str] = set()
        self._batches = 0
        self.invalid: list[Invalid] = []

    def next(self, count: int, known: Sequence[Known]) -> list[Params]:
        """Return up to `count` combinations, fewer if no new ones are found."""
        study = self._study(known)
        drawn: list[Params] = []
        misses = 0
        while len(drawn) < count and misses < ATTEMPTS:
            trial = study.ask(self._shapes)
            params = {name: self._value(name, held) for name, held in trial.params.items()}
            if self._is_new(params):
                drawn.append(params)
                misses = 0
            else:
                study.tell(trial, state=_failed())
                misses += 1
        return drawn

    def _is_new(self, params: Params) -> bool:
        text = canonical_json(params)
        if text in self._seen:
            return False
        self._seen.add(text)
        reasons = problems_of(self._loaded, self._axes, params)
        if reasons:
            self.invalid.append(Invalid(params, reasons))
        return not reasons

    def _value(self, name: str, held: Any) -> Any:
        return self._values[name][held] if name in self._values else held

    def _study(self, known: Sequence[Known]) -> "Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._batches += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(direction="maximize", sampler=self._sampler())
        study.add_trials([self._finished_trial(past) for past in known])
        return study

    def _sampler(self) -> "BaseSampler":
        from optuna.samplers import RandomSampler, TPESampler

        if self._loaded.sweep.sampler == "random":
            return RandomSampler(seed=self._batches)
        startup = self._loaded.sweep.batch
        return TPESampler(seed=self._batches, n_startup_trials=startup, constant_liar=True)

    def _finished_trial(self, result: Known) -> "FrozenTrial":
        from optuna.trial import TrialState, create_trial

        return create_trial(
            params={name: choice(value) for name, value in result.params.items()},
            distributions=self._shapes,
            value=result.score,
            state=TrialState.FAIL if result.score is None else TrialState.COMPLETE,
        )


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


def choice(value: Any) -> Any:
    """Return a value in a form that Optuna accepts as a categorical choice."""
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else canonical_json(value)


def distributions(axes: Iterable[Axis]) -> "dict[str, BaseDistribution]":
    """Return Optuna's description of every axis."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    shapes: dict[str, BaseDistribution] = {}
    for axis in axes:
        bounds = axis.bounds
        if bounds is None:
            shapes[axis.name] = CategoricalDistribution([choice(v) for v in axis.values])
        elif all(isinstance(v, int) for v in (bounds.low, bounds.high, bounds.step or 1)):
            low, high, step = int(bounds.low), int(bounds.high), int(bounds.step or 1)
            shapes[axis.name] = IntDistribution(low, high, log=bounds.log, step=step)
        else:
            shapes[axis.name] = FloatDistribution(
                bounds.low, bounds.high, log=bounds.log, step=bounds.step
            )
    return shapes
