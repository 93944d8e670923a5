"""The data source of the data commands: a folder of words, a table of clips, or a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from edgekws.audio.augmentation import Augment
from edgekws.core.fields import Fields
from edgekws.core.paths import user_path
from edgekws.core.protocols import AnyDataset, Dataset
from edgekws.datasets.listing.tables import SUFFIXES
from edgekws.errors import Problem, RecipeError, UsageError
from edgekws.recipe.load import builtins, load
from edgekws.recipe.messages import explain
from edgekws.recipe.model import FrontEndFields
from edgekws.recipe.sources import Values, dotted, override
from edgekws.runtime.front_end import FrontEnd


class DataFields(Fields):
    """The data settings of a recipe, for data without a recipe."""

    seed: int = Field(default=0, ge=0, lt=2**32, description="seed of all randomness")
    dataset: AnyDataset = Field(description="source of the clips")
    front_end: FrontEndFields = Field(default=FrontEndFields(), description="rate and window")
    augment: Augment = Field(
        default={}, validate_default=True, description="augmentation of the training clips"
    )


@dataclass(frozen=True)
class DataSource:
    """A dataset, and the settings of a recipe that matter to the data commands."""

    name: str
    source: str
    dataset: Dataset
    front_end: FrontEnd
    augment: Augment
    seed: int


def data_source(source: str, overrides: Sequence[str] = ()) -> DataSource:
    """Return the data of a folder in the layout of Speech Commands, a table, or a recipe.

    `overrides` are `key=value` texts with the keys of a recipe, also without a recipe.

    Raises:
        RecipeError: the recipe, or an override, is wrong.
        UsageError: there is no such folder, table or recipe.
    """
    path = user_path(source)
    if path.is_dir():
        table = {"kind": "folder", "root": str(path), "silence": False}
        return _without_recipe(path, table, overrides)
    if path.suffix.lower() in SUFFIXES:
        table = {"kind": "manifest", "path": str(path), "silence": False}
        return _without_recipe(path, table, overrides)
    if not path.exists() and source not in builtins():
        raise UsageError(
            f"{source}: no such folder, table ({', '.join(SUFFIXES)}) or recipe; it is looked for "
            f"from {Path.cwd()}"
        )
    recipe = load(path if path.exists() else source, overrides).recipe
    front_end = recipe.front_end.front_end()
    return DataSource(recipe.name, source, recipe.dataset, front_end, recipe.augment, recipe.seed)


def read_fields(dataset: dict[str, Any], overrides: Sequence[str]) -> DataFields:
    """Return the data settings for the table of a dataset and overrides.

    Raises:
        RecipeError: the table or an override is wrong.
    """
    values = Values({"dataset": dataset}, {})
    problems = override(values, overrides)
    try:
        fields = DataFields.model_validate(values.data)
    except ValidationError as error:
        messages = explain(DataFields, values.data, error.errors())
        problems += [Problem(values.where(at), dotted(at), text) for at, text in messages.items()]
        raise RecipeError(problems) from error
    if problems:
        raise RecipeError(problems)
    return fields


def _without_recipe(path: Path, dataset: dict[str, Any], overrides: Sequence[str]) -> DataSource:
    fields = read_fields(dataset, overrides)
    front_end = fields.front_end.front_end()
    name = path.resolve().name if path.is_dir() else path.stem
    if path.suffix and not path.is_dir() and name == "manifest":
        name = path.resolve().parent.name
    return DataSource(
        name or "data", str(path), fields.dataset, front_end, fields.augment, fields.seed
    )
