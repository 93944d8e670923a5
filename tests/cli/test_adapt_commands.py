"""`adapt` runs the chain of a recipe or a run with a step more, and ends with what it is worth."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ended

import edgekws.engine.run
from edgekws.cli.app import app
from edgekws.core.report import Report, Result
from edgekws.recipe.load import Loaded, load
from edgekws.recipe.lock import lock

SENTENCE = "misses of this person, cross-validated in 5 parts: 6 of 25 before, 2 of 25 after"


def run(*arguments: object) -> Ended:
    return CliRunner().invoke(app, ["adapt", *map(str, arguments)])


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Loaded, dict[str, Any]]]:
    """The recipes that were run; the report has a row of `adapt`."""
    seen: list[tuple[Loaded, dict[str, Any]]] = []

    def compress(loaded: Loaded, **options: Any) -> Report:
        seen.append((loaded, options))
        details = {"sentence": SENTENCE, "part": 1.0, "history": {"epochs": []}}
        row = Result(name="adapt", kind="adapt", sha256="0", measurements=(), details=details)
        return Report("mine", "0", {}, {}, (row,), ok=True)

    monkeypatch.setattr(edgekws.engine.run, "compress", compress)
    return seen


def test_it_runs_the_recipe_and_ends_with_what_it_is_worth(
    ran: list[tuple[Loaded, dict[str, Any]]], tmp_path: Path
) -> None:
    out = tmp_path / "dist" / "mine"
    done = run("quickstart", "voice", "--output", out, "--set", "steps.adapt.share=0.2")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == SENTENCE
    ((loaded, options),) = ran
    assert (loaded.recipe.name, options["dist"]) == ("mine", out.parent)
    (step,) = [step for step in loaded.recipe.steps if step.kind == "adapt"]
    assert step.model_dump()["share"] == 0.2
    assert step.model_dump()["recordings"] == Path("voice")
    done = run("quickstart", "voice", "--output", out, "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"event": "adapted", "sentence": SENTENCE, "part": 1.0}


def test_it_takes_the_folder_of_a_run(
    ran: list[tuple[Loaded, dict[str, Any]]], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "words" / "latest"
    folder.mkdir(parents=True)
    recipe = load("quickstart", ["seed=41"]).recipe
    (folder / "recipe.lock.toml").write_text(lock(recipe), encoding="utf-8")
    (folder / "report.json").write_text("{}")
    done = run(folder.parent, "voice", "--output", tmp_path / "mine", "--room", "r.wav")
    assert done.exit_code == 0, done.output
    ((loaded, _),) = ran
    assert loaded.recipe.seed == 41
    (step,) = [step for step in loaded.recipe.steps if step.kind == "adapt"]
    assert step.model_dump()["room"] == Path("r.wav")
    shutil.rmtree(folder)
    done = run(folder.parent, "voice", "--output", tmp_path / "mine")
    assert done.exit_code == 2, done.output
