"""`init` and `doctor`: files, questions, exit codes."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner
from typer.testing import Result as Ended

from edgekws.cli.app import app
from edgekws.engine import doctor
from edgekws.engine.doctor import Check
from edgekws.recipe.load import builtin_sweeps, builtins, load


def run(*arguments: str) -> Ended:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_init_writes_a_recipe_that_loads() -> None:
    result = run("init", "--keywords", " lights, music,", "--max-params", "7000")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Wrote recipe.toml. Next: edgekws plan recipe.toml")
    recipe = load("recipe.toml").recipe
    assert recipe.dataset.labels()[:2] == ("lights", "music")
    assert recipe.budget["max_params"] == 7000


def test_init_takes_several_sources_of_speech_without_a_keyword() -> None:
    for word in ("yes", "no"):
        Path("words", word).mkdir(parents=True)
        soundfile.write(Path("words", word, "a_1.wav"), np.zeros(160), 16_000)
    sources = ("--negatives", "talk", "--negatives", "more.csv")
    result = run("init", "--data", "words", "--keywords", "yes", *sources)
    assert result.exit_code == 0, result.output
    recipe: Any = load("recipe.toml").recipe
    assert recipe.dataset.negatives == (Path("talk"), Path("more.csv"))
    assert "mine" in [step.kind for step in recipe.steps]


def test_init_composes_what_a_terminal_may_have_taken_apart() -> None:
    assert run("init", "--keywords", "cafe\u0301,b", "--language", "fr").exit_code == 0
    assert load("recipe.toml").recipe.dataset.labels()[0] == "caf\u00e9"


def test_init_replaces_a_file_only_when_told_to() -> None:
    Path("mine.toml").write_text("precious")
    result = run("init", "--keywords", "a", "--output", "mine.toml")
    assert result.exit_code == 2
    assert "mine.toml is there already" in result.stderr
    assert Path("mine.toml").read_text() == "precious"
    assert run("init", "--keywords", "a", "--output", "mine.toml", "--force").exit_code == 0
    assert load("mine.toml").recipe.name == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "init needs --keywords WORDS, or --data DIR with a folder for each word"),
        (
            ("--data", ".", "--negatives", "talk", "--language", "de"),
            2,
            "it has no effect with --negatives",
        ),
        (("--keywords", "a", "--negatives", "b"), 2, "--negatives has no effect without --data"),
        (("--data", "nowhere"), 5, "nowhere: no such folder"),
        (("--keywords", "a", "--output", f"{__file__}/r.toml"), 1, "r.toml: cannot be written ("),
        (("--keywords", "a", "--target", "hots"), 2, "did you mean host?"),
    ],
)
def test_init_says_what_is_wrong_and_writes_nothing(
    arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    result = run("init", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_init_lists_the_built_in_recipes() -> None:
    result = run("init", "--list")
    assert result.exit_code == 0
    ready = builtins() | builtin_sweeps()
    for name, path in ready.items():
        first = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert any(line.startswith(name) and first in line for line in result.stdout.splitlines())
    assert str(builtins()["quickstart"].parent) in result.stdout
    told = [json.loads(line) for line in run("init", "--list", "--json").stdout.splitlines()]
    assert {line["name"] for line in told} == set(ready)
    assert all(line["description"] for line in told)


def test_init_tells_machines_where_the_recipe_is() -> None:
    result = run("init", "--keywords", "a", "--json")
    assert json.loads(result.stdout) == {"event": "recipe", "path": "recipe.toml"}


def on_a_terminal(answers: bytes) -> "tuple[int, str]":
    """Run `init` with a terminal as its input, and type `answers`."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "edgekws", "init"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.write(ours, answers)
        out, err = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert b"Words to spot" not in out
    return process.returncode, err.decode()


def test_init_asks_on_a_terminal() -> None:
    code, err = on_a_terminal("да, нет\n\nru\n5000\n\n\n".encode())
    assert code == 0, err
    recipe: Any = load("recipe.toml").recipe
    assert recipe.dataset.keywords == ("да", "нет")
    assert recipe.dataset.language == "ru"
    assert recipe.budget["max_params"] == 5000
    assert recipe.budget["max_macs"] == 1_000_000


def test_ctrl_c_at_a_question_is_an_interruption() -> None:
    code, err = on_a_terminal(b"\x04")
    assert code == 130
    assert "interrupted" in err
    assert not Path("recipe.toml").exists()


def found(monkeypatch: pytest.MonkeyPatch, *checks: Check) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: iter(checks))


def test_doctor_shows_every_check_and_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Check("torch", "ok", "2.13"), Check("disk", "warn", "1 GiB", "free some"))
    result = run("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ok      torch  2.13",
        "warn    disk   1 GiB",
        "               free some",
    ]


def test_doctor_ends_with_code_6_where_a_part_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Check("onnxsim", "missing", "not installed", "pip install onnxsim"))
    result = run("doctor")
    assert result.exit_code == 6
    assert "error: missing: onnxsim (pip install onnxsim)" in result.stderr
    result = run("doctor", "--json")
    assert result.exit_code == 6
    told = json.loads(result.stdout)
    assert told["ok"] is False
    assert told["checks"][0]["advice"] == "pip install onnxsim"
