"""The fields that every step of the chain has."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field

from edgekws.core.contract import Format
from edgekws.core.fields import Fields


class StepFields(Fields):
    """What every `[[steps]]` table may hold besides its `kind`."""

    times_on_target: ClassVar[bool] = False
    listens: ClassVar[bool] = False
    also_takes: ClassVar[tuple[Format, ...]] = ()

    name: str = Field("", description="what later steps call it; its kind where omitted")
    budget: dict[str, float] = Field(
        {}, description="limits that bite at this step, e.g. { max_params = 10_000 }"
    )

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """Names of the earlier steps whose artifacts are needed besides that of the step before."""
        return ()

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with what the target's instruction set decides filled in.

        The engine asks once, before any key is made; `isa` holds the target's architecture and
        its extensions. Most steps have nothing to decide.
        """
        return self

    def for_budget(self, budget: Mapping[str, float]) -> Self:
        """Return the step with what the recipe's `budget` decides filled in.

        The engine asks once, before any key is made; most steps have nothing to decide.
        """
        return self


class TrainedStepFields(StepFields):
    """What every step that trains may hold besides."""

    seed: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="of the draws of this step, so that a student can be trained from several "
        "seeds on one split and with one teacher; the recipe's seed where omitted",
    )
