"""The typed sweep file."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edgekws.core.fields import Fields
from edgekws.recipe.model import Slug

Objective = Literal["accuracy", "macro_recall"]


def _rising(rungs: tuple[int, ...]) -> tuple[int, ...]:
    if any(a >= b for a, b in pairwise(rungs)):
        raise ValueError("rungs are epochs, each more than the one before: [2, 6]")
    return rungs


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed is listed twice; each counts once")
    return seeds


Epochs = Annotated[int, Field(ge=1, le=100_000)]

Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**32)], ...],
    Field(min_length=1),
    AfterValidator(_distinct),
]


class Range(Fields):
    """All values from `low` to `high`, both included."""

    low: int | float = Field(ge=-1e12, le=1e12, description="lowest value")
    high: int | float = Field(ge=-1e12, le=1e12, description="highest value")
    step: int | float | None = Field(
        default=None, gt=0, le=1e12, description="distance between values; required for a grid"
    )
    log: bool = Field(default=False, description="sample on a logarithmic scale")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.low > self.high:
            raise PydanticCustomError("range", "low is above high; exchange them")
        if self.log and (self.step is not None or self.low <= 0):
            raise PydanticCustomError("range", "log needs low above 0, and takes no step")
        return self


class Factor(Fields):
    """A named choice between tables of overrides, for an ablation."""

    name: str = Field(min_length=1, description="its name in tables, e.g. augmentation")
    levels: dict[str, dict[str, Any]] = Field(
        min_length=2,
        description="name of each level and its overrides; the others are compared with the first",
    )


class Pruning(Fields):
    """Successive halving (Jamieson and Talwalkar 2016) on the epochs of the step `until`.

    All trials train to the first rung, the best share of them to the next, and so on. The choice is
    made when all have reached a rung, so that it does not depend on which worker was faster.
    """

    rungs: Annotated[tuple[Epochs, ...], AfterValidator(_rising)] = Field(
        min_length=1, description="epochs after which the worst are stopped, e.g. [2, 6]"
    )
    keep: float = Field(
        default=1 / 3, gt=0, lt=1, description="share of the trials that continue at each rung"
    )


class Finalists(Fields):
    """The best combinations of the search, trained again with more seeds or epochs."""

    count: int = Field(default=5, ge=1, le=1000, description="number of finalists")
    base: bool = Field(
        default=False,
        description="add the combination of the base, regardless of its rank",
    )
    seeds: Seeds = Field(
        default=(1, 2, 3), description="each finalist is trained with all of these"
    )
    set: dict[str, Any] = Field(
        default={}, description="overrides of the base for finalists, e.g. more epochs"
    )


class Sweep(Fields):
    """One sweep file: a base recipe, what to vary, and how to find the best."""

    schema_version: Literal[1] = Field(alias="schema", description="version of this format")
    name: Slug = Field(description="names the folder in runs/sweeps and the study in the storage")
    base: str = Field(
        description="a recipe file, relative to this one, or the name of a built-in recipe"
    )
    until: str = Field(description="name of the last step to run, e.g. distill")
    set: dict[str, Any] = Field(
        default={}, description="overrides of the base for all trials, keys as after --set"
    )
    parameters: dict[str, Any] = Field(
        default={},
        description="key of the recipe and its values: a list, or { low, high, step | log }",
    )
    factors: tuple[Factor, ...] = Field(default=(), description="named choices, for an ablation")
    seeds: Seeds = Field(
        default=(1,),
        description="seeds of the last training step; every trial runs with each of them",
    )
    sampler: Literal["grid", "tpe", "random"] = Field(
        default="grid", description="all combinations, or sampled by Optuna's TPE or at random"
    )
    trials: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="number of combinations to sample; not for a grid",
    )
    batch: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="combinations that TPE samples at once, between updates",
    )
    pruning: Pruning | None = Field(default=None, description="stops the worst early")
    finalists: Finalists | None = Field(default=None, description="trains the best again")
    objective: Objective = Field(
        default="accuracy", description="metric to maximize, on the dev split"
    )
    evaluate_on: Literal["dev", "test"] = Field(
        default="dev",
        description="split of the factors' verdict; choices are always made on dev",
    )
    features_gib: float = Field(
        default=8.0, gt=0, le=1e6, description="most features to keep on disk during the sweep"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key, message in self._conflicts():
            raise PydanticCustomError("member", "is not valid", {"errors": [_error(key, message)]})
        return self

    def _conflicts(self) -> "list[tuple[str, str]]":
        conflicts = []
        if not self.parameters and not self.factors:
            conflicts.append(("parameters", "nothing is varied; name values in [parameters]"))
        if self.sampler == "grid" and self.trials is not None:
            conflicts.append(("trials", "a grid runs every combination; take trials out"))
        if self.sampler != "grid" and self.trials is None:
            conflicts.append(("trials", f"is missing; {self.sampler} must know how many to draw"))
        if self.evaluate_on == "test" and (not self.factors or self.pruning or self.finalists):
            text = (
                "test is for the verdict on [[factors]] without pruning and finalists; "
                "what is chosen among is measured on dev"
            )
            conflicts.append(("evaluate_on", text))
        names = [factor.name for factor in self.factors]
        conflicts += [("factors", f'two are called "{n}"') for n in {*names} if names.count(n) > 1]
        return conflicts


def _error(key: str, message: str) -> dict[str, Any]:
    return {"type": "located", "loc": (key,), "msg": message}
