"""Means of bands and PCEN in a recipe: what goes together, and what other recipes keep."""

from pathlib import Path

import pytest

from edgekws.errors import RecipeError
from edgekws.recipe.load import load
from edgekws.recipe.lock import lock
from edgekws.runtime.front_end import FrontEnd, Pcen


def front_end(recipe: Path, *overrides: str) -> FrontEnd:
    return load(recipe, overrides).recipe.front_end.front_end()


def test_options_and_their_defaults(quickstart: Path) -> None:
    plain = front_end(quickstart)
    assert (plain.mean, plain.compression) == ("none", "log")
    running = front_end(quickstart, "front_end.mean=running")
    assert (running.mean, running.mean_seconds) == ("running", 3.0)
    quick = front_end(quickstart, "front_end.mean=running", "front_end.mean_seconds=0.5")
    assert quick.mean_seconds == 0.5
    assert front_end(quickstart, "front_end.mean=clip").mean == "clip"
    assert front_end(quickstart, "front_end.compression=pcen").pcen == Pcen()
    gained = front_end(quickstart, "front_end.compression=pcen", "front_end.pcen.gain=0.8")
    assert gained.pcen == Pcen(gain=0.8)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mean_seconds=2"], 'mean_seconds: has no effect without mean = "running"'),
        (["mean=clip", "mean_seconds=2"], 'mean_seconds: has no effect without mean = "running"'),
        (["pcen.gain=0.8"], 'front_end.pcen: has no effect without compression = "pcen"'),
        (["compression=pcen", "mean=running"], 'PCEN follows the level .*; use mean = "none"'),
        (["compression=pcen", "pcen.epsilon=1e-12"], "epsilon: must be 1e-09 or more, not 1e-12"),
        (["mean=running", "mean_seconds=0"], "mean_seconds: must be more than 0.0, not 0"),
    ],
)
def test_what_does_not_go_together(quickstart: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(quickstart, [f"front_end.{override}" for override in overrides])


def test_a_lock_holds_the_options_only_where_they_count(quickstart: Path) -> None:
    plain = lock(load(quickstart).recipe)
    assert not any(name in plain for name in ("mean", "compression", "pcen"))
    assert lock(load(quickstart, ["front_end.mean=none"]).recipe) == plain
    assert 'mean = "running"' in lock(load(quickstart, ["front_end.mean=running"]).recipe)
