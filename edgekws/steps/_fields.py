"""The fields that every step of the chain has."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field

from edgekws.core.contract import Format
from edgekws.core.fields import Fields


class StepFields(Fields):
    """The fields of every `[[steps]]` table, in addition to its `kind`."""

    times_on_target: ClassVar[bool] = False
    listens: ClassVar[bool] = False
    also_takes: ClassVar[tuple[Format, ...]] = ()
    teacher_formats: ClassVar[tuple[Format, ...]] = ("checkpoint",)

    name: str = Field("", description="the name later steps refer to it by; default: its kind")
    budget: dict[str, float] = Field(
        {}, description="limits checked at this step, e.g. { max_params = 10_000 }"
    )

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The earlier steps whose artifacts are needed, other than the previous step."""
        return ()

    def fingerprint(self) -> str:
        """Return a hash of the files that the step reads by its fields, empty if there are none."""
        return ""

    def resolved(self, isa: frozenset[str]) -> Self:
        """Return the step with the fields that depend on the target's instruction set filled in.

        The engine calls it once, before it computes any key; `isa` holds the target's architecture
        and its extensions. Most steps have no such field.
        """
        return self

    def for_budget(self, budget: Mapping[str, float]) -> Self:
        """Return the step with what the recipe's `budget` decides filled in.

        The engine asks once, before any key is made; most steps have nothing to decide.
        """
        return self


class TrainedStepFields(StepFields):
    """The additional fields of every step that trains."""

    seed: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="random seed of this step, to train a student from several seeds on one split "
        "and with one teacher; default: the recipe's seed",
    )
