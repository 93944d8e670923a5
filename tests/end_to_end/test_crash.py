"""Runs that are killed, and runs without room: a handful of what tools/kill.py and starve.py do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Program

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The first step of the tools' recipe, and an export: a chain of a few seconds."""
    first = (TOOLS / "tiny.toml").read_text("utf-8").split('\n[[steps]]\nkind = "distill"')[0]
    text = f'{first}\n[[steps]]\nkind = "export"\n'.replace("clips = 16", "clips = 8")
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    return tmp_path / "recipe.toml"


def told(tool: str, recipe: Path, *arguments: str) -> dict[str, Any]:
    """Run a tool, and return what it prints."""
    command = [sys.executable, str(TOOLS / tool), "--recipe", str(recipe), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.replace("\r", ""))
    return answer


def test_killed_again_and_again_a_run_ends_with_the_same_bytes(recipe: Path) -> None:
    found = told("kill.py", recipe, "--kills", "2", "--only", "steps", "bundles", "synthetic")
    assert found["problems"] == []
    assert found["kills"] == 2
    assert sum(found["by signal"].values()) == 2


def test_without_room_a_run_says_where_and_ends_with_the_same_bytes_later(
    recipe: Path, program: Program
) -> None:
    if os.geteuid():
        pytest.skip("mounting needs root")
    warm = ("--program", str(program.executable))
    found = told("starve.py", recipe, "dist", "cache", "--growth", "16", *warm)
    for place in ("dist", "cache"):
        assert found[place]["problems"] == []
        assert sum(found[place]["failures when full"].values()) >= 1
