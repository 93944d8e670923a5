"""What the README and the guide show is what the package takes."""

import re
from pathlib import Path

import pytest

from edgekws.errors import RecipeError
from edgekws.recipe.load import load
from tests.guide import ROOT, Block, blocks, commands, pages

README = ROOT / "README.md"
OWN_RECORDINGS = ROOT / "docs" / "how-to" / "own-recordings.md"


def recipes() -> list[Block]:
    """Return every whole recipe on the pages."""
    found = [block for page in pages() for block in blocks(page) if block.language == "toml"]
    return [block for block in found if "[[steps]]" in block.text and "schema = 1" in block.text]


def test_the_recipe_of_own_recordings_loads(tmp_path: Path) -> None:
    (recipe,) = [block for block in blocks(OWN_RECORDINGS) if block in recipes()]
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.text, encoding="utf-8")
    loaded = load(str(file))
    assert loaded.notes == ()
    assert [step.kind for step in loaded.recipe.steps] == [
        "teacher", "distill", "to2d", "quantize", "simplify",
    ]  # fmt: skip


def test_the_error_on_the_page_is_what_is_said(tmp_path: Path) -> None:
    (said,) = re.findall(r"\nrecipe\.toml:7: (.*)\n", OWN_RECORDINGS.read_text("utf-8"))
    file = tmp_path / "recipe.toml"
    file.write_text("schema = 1\n[front_end]\nn_mel = 40\n")
    with pytest.raises(RecipeError) as caught:
        load(str(file))
    assert said in [f"{problem.key}: {problem.message}" for problem in caught.value.problems]


def test_the_two_commands_of_the_readme() -> None:
    assert [one.split("  ")[0] for one in commands(README)][:2] == ["make demo", "make test"]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_the_files_that_pages_outside_of_the_site_name_are_there(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    names = [one for one in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in one]
    assert names
    assert [one for one in names if not (ROOT / one).is_file()] == []
