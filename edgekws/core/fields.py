"""The base of everything that a recipe describes."""

from pydantic import BaseModel, ConfigDict


class Fields(BaseModel):
    """Fields of a recipe table: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
