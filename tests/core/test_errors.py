"""Every cause has the exit code that the documentation promises."""

import pytest

from edgekws import errors
from edgekws.errors import EdgekwsError, Problem, RecipeError

CODES = {
    "EdgekwsError": 1,
    "MachineError": 1,
    "UsageError": 2,
    "RecipeError": 2,
    "UnsupportedError": 2,
    "BudgetError": 3,
    "ParityError": 4,
    "DataError": 5,
    "MissingPartError": 6,
}


def test_exit_codes() -> None:
    codes = {
        name: member.exit_code
        for name, member in vars(errors).items()
        if isinstance(member, type) and issubclass(member, EdgekwsError)
    }
    assert codes == CODES


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.toml:3", "seed", "is missing"), "a.toml:3: seed: is missing"),
        (Problem("", "seed", "is missing"), "seed: is missing"),
        (Problem("a.toml:3", "", "is not TOML"), "a.toml:3: is not TOML"),
    ],
)
def test_problem(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_recipe_error_holds_all_problems() -> None:
    problems = [Problem("a.toml:1", "x", "one"), Problem("a.toml:2", "y", "two")]
    error = RecipeError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a.toml:1: x: one\na.toml:2: y: two"
