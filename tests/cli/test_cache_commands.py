"""`edgekws cache`: what it shows, and what it removes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgekws.cli.app import app
from edgekws.core.events import quiet
from edgekws.core.store import build_folder, used_by


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["cache", *arguments])


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def write(folder: Path) -> None:
        (folder / "x").write_bytes(bytes(4096))

    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path))
    with used_by("lights", tmp_path):
        for kind in ("steps", "features"):
            build_folder(tmp_path / kind / "1", write, quiet)
    return tmp_path


def test_it_shows_kinds_and_recipes(cache: Path) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    for word in ("features", "steps", "all", "lights", "KiB", str(cache)):
        assert word in done.output
    found = told(run("--json"))
    assert (found["event"], found["folder"], len(found["entries"])) == ("cache", str(cache), 2)
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"]) > 8192
    assert found["entries"][0]["recipes"] == ["lights"]


def test_an_empty_cache_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKWS_CACHE", str(tmp_path / "none"))
    assert run().exit_code == 0
    assert told(run("--json"))["entries"] == []
    assert "removed 0 entries" in run("prune", "--max-size", "0").output


def test_pruning_says_what_it_does(cache: Path) -> None:
    assert run("prune").exit_code == 2
    done = run("prune", "--recipe", "lights", "--dry-run")
    assert "would remove 2 entries, 8." in done.output
    assert told(run("prune", "--recipe", "other", "--json"))["entries"] == []
    assert len(told(run("prune", "--max-size", "0.000005", "--json"))["entries"]) == 1
    assert "removed 1 entry" in run("prune", "--older-than", "0").output
    assert not any(cache.glob("*/1"))
