"""The base class of all recipe tables."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from edgekws.core.paths import path_problem


class Fields(BaseModel):
    """Fields of a recipe table: frozen; unknown keys and unusable paths are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check_paths(cls, value: Any) -> Any:
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path) and (problem := path_problem(path)):
                raise ValueError(problem)
        return value
