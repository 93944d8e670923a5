"""What the data commands work on: a folder of words, a table of clips, or a recipe's dataset."""

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


class Bare(Fields):
    """What a recipe says about data, where there is no recipe."""

    seed: int = Field(default=0, ge=0, lt=2**32, description="all randomness comes from it")
    dataset: AnyDataset = Field(description="where the clips come from")
    front_end: FrontEndFields = Field(default=FrontEndFields(), description="rate and window")
    augment: Augment = Field(
        default={}, validate_default=True, description="what is done to the training clips"
    )


@dataclass(frozen=True)
class Material:
    """A dataset, and what of a recipe matters to those who look at it or add to it."""

    name: str
    source: str
    dataset: Dataset
    front_end: FrontEnd
    augment: Augment
    seed: int


def material(source: str, overrides: Sequence[str] = ()) -> Material:
    """Return the data of a folder in the layout of Speech Commands, a table, or a recipe.

    `overrides` are `key=value` texts with the keys of a recipe, also where there is none.

    Raises:
        RecipeError: the recipe, or an override, is wrong.
        UsageError: there is no such folder, table or recipe.
    """
    path = user_path(source)
    if path.is_dir():
        return _bare(path, {"kind": "folder", "root": str(path), "silence": False}, overrides)
    if path.suffix.lower() in SUFFIXES:
        table = {"kind": "manifest", "path": str(path), "silence": False}
        return _bare(path, table, overrides)
    if not path.exists() and source not in builtins():
        raise UsageError(
            f"{source}: no such folder, table ({', '.join(SUFFIXES)}) or recipe; it is looked for "
            f"from {Path.cwd()}"
        )
    recipe = load(path if path.exists() else source, overrides).recipe
    front_end = recipe.front_end.front_end()
    return Material(recipe.name, source, recipe.dataset, front_end, recipe.augment, recipe.seed)


def read_bare(dataset: dict[str, Any], overrides: Sequence[str]) -> Bare:
    """Return what a recipe would say about data, from the table of its dataset alone.

    Raises:
        RecipeError: the table or an override is wrong.
    """
    values = Values({"dataset": dataset}, {})
    found = override(values, overrides)
    try:
        bare = Bare.model_validate(values.data)
    except ValidationError as error:
        told = explain(Bare, values.data, error.errors())
        found += [Problem(values.where(at), dotted(at), message) for at, message in told.items()]
        raise RecipeError(found) from error
    if found:
        raise RecipeError(found)
    return bare


def _bare(path: Path, dataset: dict[str, Any], overrides: Sequence[str]) -> Material:
    bare = read_bare(dataset, overrides)
    front_end = bare.front_end.front_end()
    name = path.resolve().name if path.is_dir() else path.stem
    if path.suffix and not path.is_dir() and name == "manifest":
        name = path.resolve().parent.name
    return Material(name or "data", str(path), bare.dataset, front_end, bare.augment, bare.seed)
