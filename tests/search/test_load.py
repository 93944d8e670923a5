"""What a sweep file says when it is wrong: file, line, key and what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgekws.core.events import quiet
from edgekws.errors import RecipeError
from edgekws.search.load import LoadedSweep, load_sweep
from edgekws.search.space import axes, enumerate_all

Write = Callable[..., LoadedSweep]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("until", "utnil", r"sweep\.toml:4: utnil: no such key; did you mean until\?"),
        ('"teacher"', '"techer"', r"sweep\.toml:4: until: no step is called techer; did you mean"),
        ("schema = 1", "schema = 2", r"sweep\.toml:1: schema: must be 1, not 2"),
        ('"пробный"', '"a/b"', r"sweep\.toml:2: name: '/' cannot be in a name"),
        ("[parameters]", "seeds = [1, 1]\n[parameters]", r"seeds: .*is listed twice"),
        ("[parameters]", "trials = 3\n[parameters]", r"trials: a grid runs every combination"),
        ("[parameters]", 'sampler = "tpe"\n[parameters]', r"trials: is missing; tpe must know"),
        ("[parameters]", 'evaluate_on = "test"\n[parameters]', r"test is for the verdict"),
        ("[parameters]", 'objective = "speed"\n[parameters]', r"objective: must be 'accuracy'"),
        ("[parameters]", "[pruning]\nrungs = [4, 2]\n[parameters]", r"rungs are epochs, each more"),
        ("[parameters]", "[pruning]\nrungs = [4]\n[parameters]", r"trains 4 epochs; the last rung"),
        (
            "[parameters]",
            "[set]\nfront_end.nmels = 3\n[parameters]",
            r"toml:7: front_end\.nmels: no",
        ),
        ("[parameters]", "[set]\nsteps.x.seed = 3\n[parameters]", r"toml:7: steps\.x\.seed: none"),
    ],
)
def test_a_mistake_is_told_at_its_line(write: Write, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        write((old, new))


def test_there_is_something_to_vary(write: Write) -> None:
    lines = (
        "[parameters]\nfront_end.n_mels = [8, 12, 16, 300]\nfront_end.hop_length = [160, 200, 400]"
    )
    with pytest.raises(RecipeError, match="parameters: nothing is varied"):
        write((lines, ""))


def test_the_base_must_be_there(write: Write) -> None:
    with pytest.raises(RecipeError, match=r"sweep\.toml:3: base: .*there is no such recipe file"):
        write(('base = "', 'base = "no'))


def test_a_file_must_be_there() -> None:
    with pytest.raises(
        RecipeError, match="ablatoin: there is no such sweep file; did you mean abl"
    ):
        load_sweep("ablatoin")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("[8, 8]", r"sweep\.toml:7: front_end\.n_mels: a value is listed twice"),
        ("[]", "expected a list of values, or"),
        ("8", "expected a list of values, or"),
        ("{ low = 8, high = 64 }", "a grid needs steps"),
        ("{ low = 8, high = 4, step = 1 }", "low is above high"),
        ("{ low = 8, high = 9, setp = 1 }", "setp: Extra inputs"),
    ],
)
def test_an_axis_must_make_sense(write: Write, values: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        axes(write(("[8, 12, 16, 300]", values)))


def test_a_range_has_both_ends(write: Write) -> None:
    whole, broken = axes(
        write(
            ("[8, 12, 16, 300]", "{ low = 8, high = 16, step = 4 }"),
            ("hop_length = [160, 200, 400]", "f_min = { low = 10.0, high = 20.0, step = 2.5 }"),
        )
    )
    assert whole.values == (8, 12, 16)
    assert broken.values == (10.0, 12.5, 15.0, 17.5, 20.0)


def test_a_key_that_leads_nowhere_is_no_invalid_combination(write: Write) -> None:
    loaded = write(("front_end.n_mels", "front_end.n_mel"))
    with pytest.raises(RecipeError, match=r"sweep\.toml:7: front_end\.n_mel: no such key; did you"):
        enumerate_all(loaded, quiet)


def test_a_sweep_of_nothing_valid_says_why(write: Write) -> None:
    loaded = write(("[8, 12, 16, 300]", "[300]"))
    with pytest.raises(RecipeError, match=r"none of 3 combinations is valid; 3 .*n_mels"):
        enumerate_all(loaded, quiet)


@pytest.mark.parametrize(("until", "drawing"), [("mine", "mine"), ("simplify", "mine")])
def test_seeds_are_those_of_the_last_step_that_trains(
    tmp_path: Path, until: str, drawing: str
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        f'schema = 1\nname = "s"\nbase = "wake-words"\nuntil = "{until}"\n'
        "[parameters]\nsteps.distill.training.epochs = [1, 2]\n"
    )
    assert load_sweep(file).seeded_step == drawing
