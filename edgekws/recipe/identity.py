"""The identity of a recipe: a hash of its values, independent of how the file is written."""

from typing import Any

from edgekws.core.canonical import sha256_of
from edgekws.recipe.model import Recipe


def recipe_sha256(recipe: Recipe) -> str:
    """Return the identity of a recipe with all defaults filled in."""
    return sha256_of(recipe.model_dump(mode="json", by_alias=True))


def chain_sha256(recipe: Recipe) -> str:
    """Return the identity of what determines the model: the recipe without target and budgets."""
    exclude: Any = {"budget": True, "target": True, "steps": {"__all__": {"budget"}}}
    return sha256_of(recipe.model_dump(mode="json", by_alias=True, exclude=exclude))
