"""`words`: one command from typed words to a bundle."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgekws import api
from edgekws.cli.app import app
from edgekws.recipe import template
from edgekws.recipe.load import load
from edgekws.report.shown import Shown


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(template, "speaking", lambda _: ("espeak", "kokoro"))
    monkeypatch.setattr(template, "installed_embedding", lambda: "efficientword-net")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Replace plan and compress, and return what they are called with."""
    made: list[tuple[Any, ...]] = []

    def planned(recipe: Path, emit: Any) -> Any:
        made.append(("plan", recipe))
        return api.Result(None, Shown("plan", ({},)))

    def compressed(recipe: Path, **options: Any) -> Any:
        made.append(("compress", recipe, options["runs"], options["dist"]))
        return api.Result(None, Shown("run", ({},), problem="over budget: max_miss_rate"))

    monkeypatch.setattr(api, "plan", planned)
    monkeypatch.setattr(api, "compress", compressed)
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["words", *arguments])


def test_the_recipe_uses_every_voice_and_the_embedding(calls: list[tuple[Any, ...]]) -> None:
    result = run("turn on", "turn off", "--output", "lamp", "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    recipe: Any = load("lamp/lamp.toml").recipe
    assert recipe.dataset.keywords == ("turn on", "turn off")
    assert [voice.kind for voice in recipe.dataset.voices] == ["espeak", "kokoro"]
    assert [step.kind for step in recipe.steps[:3]] == ["embedding_teacher", "distill", "mine"]
    assert calls == [("plan", Path("lamp/lamp.toml"))]
    events = [json.loads(line)["event"] for line in result.stdout.splitlines()]
    assert "plan" in events


def test_it_plans_runs_and_ends_with_the_verdict(calls: list[tuple[Any, ...]]) -> None:
    result = run("hello", "--output", "out")
    recipe = Path("out/out.toml")
    assert calls == [("plan", recipe), ("compress", recipe, Path("out/runs"), Path("out/dist"))]
    assert result.exit_code == 3
    assert "over budget: max_miss_rate" in result.output


def test_it_resumes_with_an_edited_recipe_but_not_with_other_words(
    calls: list[tuple[Any, ...]],
) -> None:
    assert run("hello", "--output", "out", "--dry-run").exit_code == 0
    recipe = Path("out/out.toml")
    edited = re.sub(r'"kokoro",[^}]*', '"flite" ', recipe.read_text()).replace("kokoro", "flite")
    recipe.write_text(edited)
    resumed = run("hello", "--output", "out", "--dry-run")
    assert resumed.exit_code == 0, resumed.output
    assert "voices: espeak, flite" in resumed.output
    assert recipe.read_text() == edited
    result = run("goodbye", "--output", "out")
    assert result.exit_code == 2
    assert "out/out.toml is there already, for hello (en); --output names another" in result.output
    assert len(calls) == 2


def test_an_unknown_language_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    result = run("hello", "--language", "klingon", "--output", "/nonexistent/x")
    assert result.exit_code == 2
    assert "does not speak language 'klingon'; Klingon is piqd" in result.output
