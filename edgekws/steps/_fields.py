"""The fields that every step of the chain has."""

from pydantic import Field

from edgekws.core.fields import Fields


class StepFields(Fields):
    """What every `[[steps]]` table may hold besides its `kind`."""

    name: str = Field("", description="what later steps call it; its kind where omitted")
    budget: dict[str, float] = Field(
        {}, description="limits that bite at this step, e.g. { max_params = 10_000 }"
    )
