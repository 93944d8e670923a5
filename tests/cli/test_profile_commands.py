"""`profile`, and the forms of `check` for continuous integration."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from typer.testing import CliRunner

from edgekws.cli import check_forms
from edgekws.cli.app import app
from edgekws.core.measurement import Limit, Measurement, Verdict
from edgekws.errors import MachineError
from tests import profiles

MET = Verdict(Limit("params", "max", 10_000), 9184, 0.0816, ok=True)
BROKEN = Verdict(Limit("accuracy", "min", 0.97), 0.951, -0.0196, ok=False)
MISSING = Verdict(Limit("macs", "max", 1e6), None, None, ok=False)
FOUND = (Measurement("params", 9184), Measurement("macs", 523_400, "/s"))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen: list[Any] = []

    def profile(paths: list[Path], target: Any, emit: Any) -> Any:
        seen.append((paths, target))
        return profiles.profile()

    monkeypatch.setattr("edgekws.evaluation.profile.profile", profile)
    return seen


def test_profile_shows_tables_and_writes_a_page(engine: list[Any], tmp_path: Path) -> None:
    page = tmp_path / "p.html"
    done = run("profile", "a", "--affinity", "0,1", "--seconds", "3", "--output", str(page))
    assert done.exit_code == 0, done.output
    (paths, target), *_ = engine
    assert (paths, target.affinity, target.seconds) == ([Path("a")], (0, 1), 3.0)
    for words in ("audio → label", "24.0 µs [23.5, 24.7]", "80.0 %", "the 12 longest of"):
        assert words in done.stdout
    assert "control: музыка measured 1.001 × itself [0.990, 1.010]: level" in done.stdout
    assert page.is_file()


@pytest.mark.parametrize("command", [("profile",), ("check", "--budget", "budget.toml")])
def test_what_is_no_model_ends_alike_in_every_command(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("budget.toml").write_text("[budget]\nmax_params = 1\n")
    Path("no.onnx").write_text("no model")
    for model, message in (("gone.onnx", "no such model"), ("no.onnx", "not an ONNX model")):
        done = run(*command, model)
        assert (done.exit_code, message in done.stderr) == (5, True), done.stderr


def test_profile_in_json(engine: list[Any]) -> None:
    done = run("profile", "a", "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["event"], told["level"]) == ("profile", True)
    assert told["weights"][0]["runs_kib"] is None


def test_profile_refuses_before_it_measures(engine: list[Any]) -> None:
    assert "CPUs by number" in run("profile", "a", "--affinity", "one").stderr
    assert run("profile", "a", "--output", "p.pdf").exit_code == 2
    assert engine == []
    assert "edgekws profile a.onnx b.onnx" in run("profile", "--help").stdout


def test_junit_has_a_case_for_every_limit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "b.xml"
    check_forms.write_junit(path, Path("m\x01<&>.onnx"), FOUND, (MET, BROKEN, MISSING))
    suite = Xml.parse(path).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    assert suite.get("name") == "m\N{REPLACEMENT CHARACTER}<&>.onnx"
    failures = {c.get("name"): c.find("failure") for c in suite.iter("testcase")}
    assert failures["max_params"] is None
    kinds = {k: f.get("type") for k, f in failures.items() if f is not None}
    assert kinds == {"min_accuracy": "broken", "max_macs": "not measured"}
    assert [p.get("value") for p in suite.iter("property")] == ["9184", "523400 /s"]
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="name another --junit"):
        check_forms.write_junit(tmp_path / "file" / "b.xml", Path("m"), FOUND, (MET,))


def test_annotations_are_escaped() -> None:
    (line,) = check_forms.annotations(Path("a%\nb.onnx"), (MET, BROKEN))
    assert line == (
        "::error title=min_accuracy::a%25%0Ab.onnx: min_accuracy: 95.1 %25, must be ≥ 97.0 %25 "
        "(−1.9 pp)"
    )
    assert list(check_forms.annotations(Path("m"), (MET,))) == [
        "::notice title=budget::m: all 1 limits are met"
    ]


def test_check_tells_github_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekws.evaluation.check.check", lambda *a, **k: (FOUND, (MET, BROKEN)))
    budget, junit = tmp_path / "b.toml", tmp_path / "b.xml"
    budget.write_text("max_params = 10")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    base = ("check", "m.onnx", "--budget", str(budget))
    done = run(*base, "--junit", str(junit))
    assert (done.exit_code, "::error" in done.stdout, junit.is_file()) == (3, False, True)
    assert "::error title=min_accuracy::m.onnx" in run(*base, "--format", "github").stdout
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert "::error" in run(*base).stdout
    assert "::error" not in run(*base, "--format", "text").stdout
    assert "::error" not in run(*base, "--json").stdout
    both = run(*base, "--json", "--format", "github")
    assert (both.exit_code, "leave --format out" in both.stderr) == (2, True)
