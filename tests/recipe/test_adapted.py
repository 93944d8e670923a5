"""The recipe of an adapted bundle: the same chain, with a step where networks end."""

from pathlib import Path

import pytest

from edgekws.core import family
from edgekws.errors import UsageError
from edgekws.recipe.adapted import adapted
from edgekws.recipe.load import builtins, load

VOICE = Path("my voice")
KINDS, LOAD = family.kinds, family.load


@pytest.fixture(autouse=True)
def _members(monkeypatch: pytest.MonkeyPatch, _families: None) -> None:
    """Bring the package's own members back in the place of the small families."""
    monkeypatch.setattr(family, "kinds", KINDS)
    monkeypatch.setattr(family, "load", LOAD)


@pytest.mark.parametrize("name", ["quickstart", "arabic-5", "wake-words", "speech-commands-v2-12"])
def test_the_step_follows_the_last_network(name: str) -> None:
    base = load(name).recipe
    tables = adapted(base, VOICE, Path("kitchen.wav"), Path("dist/mine"))
    recipe = load(tables).recipe
    assert recipe.name == "mine"
    names = [step.name for step in recipe.steps]
    at = names.index("adapt")
    assert names[:at] + names[at + 1 :] == [step.name for step in base.steps]
    assert recipe.steps[at - 1].gives == "checkpoint"
    assert all(step.gives != "checkpoint" for step in recipe.steps[at + 1 :])
    assert getattr(recipe.steps[at], "recordings", None) == VOICE
    assert getattr(recipe.steps[at], "room", None) == Path("kitchen.wav")
    assert recipe.steps[:at] == base.steps[:at]  # their results come from the cache
    later = zip(recipe.steps[at + 1 :], base.steps[at:], strict=True)
    assert [step.kind for step, other in later if step != other] == (
        ["tune"] if "tune" in names else []
    )
    assert (recipe.dataset, recipe.budget, recipe.seed) == (base.dataset, base.budget, base.seed)


def test_what_is_built_of_a_network_is_built_of_the_adapted_one() -> None:
    assert "arabic-5" in builtins()
    tables = adapted(load("arabic-5").recipe, VOICE, None, Path("mine"))
    (tune,) = [step for step in tables["steps"] if step["kind"] == "tune"]
    assert tune["fp32"] == "adapt"
    assert "room" not in next(step for step in tables["steps"] if step["kind"] == "adapt")


def test_outputs_that_cannot_name_a_bundle() -> None:
    with pytest.raises(UsageError, match=r"--output dist/a:b: its last part names the bundle; "):
        adapted(load("quickstart").recipe, VOICE, None, Path("dist/a:b"))
    with pytest.raises(UsageError, match=r"would replace the bundle of quickstart; name another"):
        adapted(load("quickstart").recipe, VOICE, None, Path("dist/quickstart"))


def test_a_recipe_that_is_adapted_already() -> None:
    once = load(adapted(load("quickstart").recipe, VOICE, None, Path("dist/mine"))).recipe
    with pytest.raises(UsageError, match=r'mine: has a step "adapt" already; name the recipe, or '):
        adapted(once, VOICE, None, Path("dist/ours"))
