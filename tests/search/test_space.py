"""Every combination, valid or not, against plain counting."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekws.audio.front_end_problems import problems
from edgekws.core.events import quiet
from edgekws.errors import RecipeError
from edgekws.recipe.load import builtin_sweeps
from edgekws.runtime.front_end import FrontEnd
from edgekws.search.chain import needed
from edgekws.search.load import LoadedSweep, load_sweep
from edgekws.search.size import shared_epochs, total_epochs
from edgekws.search.space import axes, combinations, enumerate_all, recipe_of
from edgekws.search.trial import TrialFactory

Write = Callable[..., LoadedSweep]


def test_what_is_invalid_is_what_physics_forbids(write: Write) -> None:
    rates, lengths = (8000, 16000), (160, 200, 400)
    loaded = write(
        ("front_end.hop_length", "front_end.sample_rate = [8000, 16000]\nfront_end.win_length"),
    )
    space = enumerate_all(loaded, quiet)
    brute = {}
    for mels, rate, length in itertools.product((8, 12, 16, 300), rates, lengths):
        front_end = FrontEnd(rate, 1.0, 256, length, 200, mels, 20.0, rate / 2)
        brute[mels, rate, length] = {f"front_end.{key}" for key, _ in problems(front_end)}
    result = {tuple(p.values()): set[str]() for p in space.valid}
    result |= {tuple(one.params.values()): {k for k, _ in one.reasons} for one in space.invalid}
    assert result == brute
    assert len(space.valid) == 6
    counts = {row["key"]: row["count"] for row in space.reasons()}
    assert counts["front_end.win_length"] == sum(
        "front_end.win_length" in b for b in brute.values()
    )
    assert all(len(row["first"]) <= 3 and row["message"] for row in space.reasons())


def test_the_built_in_sweep_is_about_six_hundred_front_ends() -> None:
    valid = invalid = 0
    for params in combinations(axes(load_sweep("front-end-sweep"))):
        values = {name.removeprefix("front_end."): value for name, value in params.items()}
        front_end = FrontEnd(f_max=values["sample_rate"] / 2, **values)
        valid, invalid = valid + (not problems(front_end)), invalid + bool(problems(front_end))
    assert (valid, invalid) == (611, 289)


def test_the_built_in_ablation_is_two_by_two(tmp_path: Path) -> None:
    text = builtin_sweeps()["ablation"].read_text(encoding="utf-8")
    file = tmp_path / "ablation.toml"
    file.write_text(text.replace('"arabic-40"', '"arabic-5"'), encoding="utf-8")
    loaded = load_sweep(file)
    space = enumerate_all(loaded, quiet)
    assert len(space.valid) == 4
    assert space.invalid == ()
    assert loaded.seeded_step == "distill"
    plain: Any
    both: Any
    plain, both = (recipe_of(loaded, space.axes, space.valid[n]) for n in (0, 3))
    assert (plain.augment.copies, plain.steps[1].loss.kl_weight) == (0, 0)
    assert both.augment.copies > 0
    assert both.steps[1].loss.kl_weight > 0
    epochs = {step.training.epochs for recipe in (plain, both) for step in recipe.steps[:2]}
    assert len(epochs) == 1


@pytest.mark.parametrize(
    ("name", "valid", "epochs", "shared"),
    [
        ("losses-sweep", 48, 48 * 5 + 16 * 10 + 6 * 25 + 5 * 3 * 80, 30),
        ("optimizers-sweep", 48, 48 * 4 + 16 * 8 + 6 * 28 + 4 * 3 * 80, 0),
    ],
)
def test_a_built_in_sweep_is_all_valid_and_trains_so_much(
    name: str, valid: int, epochs: int, shared: int
) -> None:
    loaded = load_sweep(name)
    space = enumerate_all(loaded, quiet)
    assert (len(space.valid), space.invalid) == (valid, ())
    factory = TrialFactory(loaded, space.axes)
    assert total_epochs(factory, valid) == epochs
    assert shared_epochs(factory, space.valid) == shared
    recipes = [recipe_of(loaded, space.axes, params) for params in space.valid]
    steps = {str(needed(recipe.steps, loaded.sweep.until)) for recipe in recipes}
    assert len(steps) == valid  # no two are the same


def test_a_network_that_does_not_fit_the_window_is_an_invalid_combination(write: Write) -> None:
    kinds = "[{ kind = 'inverted_bottleneck', padding = 'valid', kernel_size = 5 }, "
    kinds += "{ kind = 'inverted_bottleneck', padding = 'valid', kernel_size = 9 }]"
    loaded = write(
        ("front_end.n_mels = [8, 12, 16, 300]", f"steps.teacher.backbone = {kinds}"),
        ("200, 400]", "200]"),
    )
    space = enumerate_all(loaded, quiet)
    assert [p["steps.teacher.backbone"]["kernel_size"] for p in space.valid] == [5, 5]
    assert {key for one in space.invalid for key, _ in one.reasons} == {"steps.0.backbone"}
    assert "layers reach over 51 frames without padding" in space.reasons()[0]["message"]


def test_epochs_that_end_before_the_last_rung_are_invalid(write: Write) -> None:
    grid = "front_end.n_mels = [8, 12, 16, 300]\nfront_end.hop_length = [160, 200, 400]\n"
    loaded = write((grid, "steps.teacher.training.epochs = [2, 3]\n[pruning]\nrungs = [1, 2]\n"))
    space = enumerate_all(loaded, quiet)
    assert [p["steps.teacher.training.epochs"] for p in space.valid] == [3]
    ((key, message),) = space.invalid[0].reasons
    assert key == "steps.teacher.training.epochs"
    assert message == "2 are no more than the last rung of pruning, 2"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{ low = 1, high = 1e12, step = 1 }", "has more than 10,000 values; raise step"),
        ("{ low = 0, high = 1e12, step = 1e-300 }", "has more than 10,000 values; raise step"),
        ("{ low = 1, high = 9000, step = 1 }", "108,000 combinations"),
    ],
)
def test_a_space_without_end_is_refused(write: Write, values: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        enumerate_all(
            write(("front_end.hop_length", f"seed = {values}\nfront_end.hop_length")), quiet
        )
