"""What the README and the guide show is what the package takes."""

import re
from pathlib import Path
from typing import Any

import pytest

from edgekws.errors import RecipeError
from edgekws.recipe.load import load
from tests.guide import ROOT, Block, blocks, commands, pages

README = ROOT / "README.md"
OWN_RECORDINGS = ROOT / "docs" / "how-to" / "own-recordings.md"


def test_its_recipe_loads(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```toml\n(schema = 1.*?)```", README, re.DOTALL)
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.text, encoding="utf-8")
    loaded = load(str(file))
    assert loaded.notes == ()
    assert [step.kind for step in loaded.recipe.steps] == [
        "teacher", "distill", "to2d", "quantize", "simplify",
    ]  # fmt: skip


def test_its_error_is_what_is_said(tmp_path: Path) -> None:
    (said,) = re.findall(r"\nrecipe\.toml:7: (.*)\n", README)
    file = tmp_path / "recipe.toml"
    file.write_text("schema = 1\n[front_end]\nn_mel = 40\n")
    with pytest.raises(RecipeError) as caught:
        load(str(file))
    assert said in [f"{problem.key}: {problem.message}" for problem in caught.value.problems]


def commands_of(program: typer.Typer) -> dict[str, Any]:
    group: Any = typer.main.get_command(program)
    commands: dict[str, Any] = group.commands
    return commands


def test_its_table_names_every_command_and_no_other() -> None:
    commands = set(commands_of(app))
    table = re.findall(r"^\| `edgekws ([\w-]+)", README, re.MULTILINE)
    assert set(table) == commands
    assert set(re.findall(r"edgekws (\w+) ", README)) <= commands | {"through", "is"}


def test_its_table_names_every_command_of_a_group() -> None:
    commands = commands_of(app)
    groups = {name: set(one.commands) for name, one in commands.items() if hasattr(one, "commands")}
    assert groups
    for name, inside in groups.items():
        assert set(re.findall(rf"^\| `edgekws {name} (\w+)", README, re.MULTILINE)) == inside


def test_the_files_it_names_are_there() -> None:
    root = Path(__file__).parents[1]
    names = re.findall(r"\]\(([^)#:]+)\)", README)
    assert names
    assert [one for one in names if not (ROOT / one).is_file()] == []
