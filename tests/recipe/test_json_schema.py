"""The JSON schema says what the loader says, wherever one table is enough to tell.

In an interpreter of its own, because the other tests of this folder put small families in place
of the package's.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads(
    (ROOT / "docs" / "recipe.schema.json").read_text(encoding="utf-8")
)
FILES = sorted((ROOT / "recipes").glob("*.toml"))
RECIPES = [path for path in FILES if "base" not in tomllib.loads(path.read_text(encoding="utf-8"))]
"""A file with a `base` is a sweep over a recipe."""

WHOLE = """
schema = 1
name = "n"

[dataset]
kind = "synthetic"
keywords = ["lights"]

[[steps]]
kind = "teacher"
backbone = { kind = "plain" }
training = { epochs = 3, optimizer = { lr = 1e-3 } }
"""
WRONG = {
    "unknown key": ('name = "n"', 'name = "n"\nnmae = "m"'),
    "no schema": ("schema = 1", ""),
    "no kind": ('kind = "synthetic"', ""),
    "unknown kind": ('kind = "plain"', 'kind = "plian"'),
    "unknown key of a member": ('kind = "plain"', 'kind = "plain", widht = 2'),
    "below the bound": ("epochs = 3", "epochs = 0"),
    "not a number": ("epochs = 3", 'epochs = "many"'),
    "no such optimizer": ("lr = 1e-3", 'kind = "adamv", lr = 1e-3'),
    "empty list": ('keywords = ["lights"]', "keywords = []"),
    "no such limit": ("[[steps]]", "[budget]\nmax_parms = 3\n[[steps]]"),
    "no such limit of a step": ("[[steps]]", "[[steps]]\nbudget = { max_parms = 3 }"),
    "three ends of a range": ("[[steps]]", "[augment]\ngain_db = [1, 2, 3]\n[[steps]]"),
}
LOADS = """
import sys
from edgekws.errors import RecipeError
from edgekws.recipe.load import load
for path in sys.argv[1:]:
    try:
        load(path)
    except RecipeError:
        print("refused")
    else:
        print("loaded")
"""


def valid(text: str) -> bool:
    return bool(jsonschema.Draft7Validator(SCHEMA).is_valid(tomllib.loads(text)))


def loaded(*paths: Path) -> list[str]:
    command = [sys.executable, "-c", LOADS, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def tool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "tools" / "recipe_schema.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_file_is_current() -> None:
    done = tool("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_is_not_current_is_told_and_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "recipe.schema.json"
    file.write_text("{}")
    done = tool("--check", "--file", str(file))
    assert done.returncode == 1
    assert f"{file} is not current; write it with: python tools/recipe_schema.py" in done.stderr
    assert tool("--file", str(file)).returncode == 0
    assert tool("--check", "--file", str(file)).returncode == 0
    assert json.loads(file.read_text(encoding="utf-8"))["title"] == "edgekws recipe"


def test_is_a_schema_of_draft_7_without_words_that_toml_or_draft_7_lack() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert not [word for word in ("null", "prefixItems", "$defs", '"family"') if word in text]


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    text = json.dumps(SCHEMA)
    used = {part.partition('"')[0] for part in text.split('"#/definitions/')[1:]}
    assert used == set(SCHEMA["definitions"])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_accepts_every_built_in_recipe(path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text(encoding="utf-8")), SCHEMA)


def test_there_are_built_in_recipes() -> None:
    assert len(RECIPES) >= 2


def test_schema_and_loader_refuse_the_same(tmp_path: Path) -> None:
    texts = {name: WHOLE.replace(right, wrong) for name, (right, wrong) in WRONG.items()}
    assert WHOLE not in texts.values()
    paths = []
    for name, text in texts.items():
        paths.append(tmp_path / f"{name}.toml")
        paths[-1].write_text(text)
    right = tmp_path / "right.toml"
    right.write_text(WHOLE)
    assert loaded(right, *paths) == ["loaded"] + ["refused"] * len(WRONG)
    assert valid(WHOLE)
    assert [name for name, text in texts.items() if valid(text)] == []


def test_a_recipe_that_extends_another_gives_what_it_changes(tmp_path: Path) -> None:
    below = tmp_path / "below.toml"
    below.write_text(WHOLE)
    text = 'extends = "below.toml"\n[dataset]\nlanguage = "de"\n[budget]\nmax_params = 9\n'
    above = tmp_path / "above.toml"
    above.write_text(text)
    assert loaded(above) == ["loaded"]
    assert valid(text)
    assert not valid(text.replace("max_params", "max_parms"))
    assert not valid(text.replace("extends", "extend"))
