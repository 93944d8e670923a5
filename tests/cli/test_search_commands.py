"""The command `sweep`: what it says before it trains, and what it refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgekws.cli.app import app

SWEEP = """schema = 1
name = "few"
base = "quickstart"
until = "distill"
[parameters]
front_end.n_mels = [20, 40]
front_end.win_length = [480, 600]
"""


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text(SWEEP)


def test_a_dry_run_tells_machines_one_object() -> None:
    done = CliRunner().invoke(app, ["sweep", "few.toml", "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["valid"], told["invalid"], told["seeds"]) == (2, 2, [1])
    assert told["reasons"][0]["key"] == "front_end.win_length"
    assert told["reasons"][0]["count"] == 2
    assert told["estimated_s"] is None
    assert not Path("runs").exists()


def test_a_dry_run_tells_people_what_cannot_be() -> None:
    done = CliRunner().invoke(app, ["sweep", "few.toml", "--dry-run"])
    assert "2 valid, 2 invalid" in done.stdout
    assert "does not fit into an FFT of 512" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["best"], 2, "best needs the sweep's folder and --output FILE"),
        (["few.toml", "runs"], 2, "RUN and --output go with: edgekws sweep best"),
        (["few.toml", "--output", "x"], 2, "RUN and --output go with: edgekws sweep best"),
        (["best", "runs", "--output", "x"], 2, "results.json is not there"),
        (["fwe.toml", "--dry-run"], 2, "fwe.toml: there is no such sweep file"),
        (["few.toml", "--dry-run", "--set", "front_end.nmels=3"], 2, "did you mean n_mels?"),
    ],
)
def test_says_what_is_wrong(arguments: list[str], code: int, message: str) -> None:
    done = CliRunner().invoke(app, ["sweep", *arguments])
    assert done.exit_code == code
    assert message in done.stderr
