"""Every command against an engine that says what the test wants: text, JSON and exit codes."""

import errno
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ended

import edgekws.engine
import edgekws.recipe.load
import edgekws.report
from edgekws import __version__, errors
from edgekws.cli.app import app
from edgekws.core.events import Emit, Event
from edgekws.core.measurement import Budget, Limit, Measurement, Verdict
from edgekws.core.report import Report, Result

Engine = Callable[[str, str, Callable[..., Any]], None]
"""Puts a function in the place of the engine's of that module and name."""

pages: list[Path] = []
"""Where reports were written."""

BROKEN_LINE = r"budget is not met: min_accuracy = 97\.0 % \(95\.1 %, −1\.9 pp\)"

MEASUREMENTS = (
    Measurement("params", 9184),
    Measurement("macs", 523_400, "/s"),
    Measurement("size_kib", 13.42, "KiB"),
    Measurement("int8_coverage", 0.998),
    Measurement("accuracy", 0.951, n=640, ci95=(0.93, 0.968)),
    Measurement("latency_p50_us", 24.13, "µs"),
)
MET = Verdict(Limit("params", "max", 10_000), 9184, 0.0816, ok=True)
BROKEN = Verdict(Limit("accuracy", "min", 0.97), 0.951, -0.0196, ok=False)


def judged(*verdicts: Verdict) -> Report:
    """A run of one step and a bundle, judged by `verdicts`."""
    results = (
        Result("teacher", "teacher", "aa", MEASUREMENTS, ()),
        Result("bundle", "bundle", "bb", MEASUREMENTS, verdicts),
    )
    return Report("demo", "cc", {}, {}, results, ok=all(v.ok for v in verdicts))


def compress(loaded: Any, *, emit: Emit, **options: Any) -> Report:
    """Tell what an engine tells, and meet the budget."""
    emit(Event("run", "demo", data={"folder": "runs/demo/1"}))
    emit(Event("step", "teacher", 1, 1, {"step_kind": "teacher"}))
    emit(Event("progress", "train [b]teacher[/b]", 1, 4, {"loss": float("nan")}))
    emit(Event("warning", "two clips left out"))
    told = [m.__dict__ for m in MEASUREMENTS]
    emit(Event("measured", "teacher", data={"measurements": told, "seconds": 65}))
    emit(Event("note", "bundle in dist/demo"))
    return judged(MET)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Put a function in the place of the engine's of that module and name."""
    recipe = SimpleNamespace(steps=[SimpleNamespace(name="teacher", budget={})], limits="limits")
    pages.clear()
    loaded = SimpleNamespace(recipe=recipe, notes=("r.toml:3: unused",))
    monkeypatch.setattr(edgekws.recipe.load, "load", lambda path, overrides=(): loaded)

    def put(module: str, name: str, function: Callable[..., Any]) -> None:
        package, _, short = module.rpartition(".")
        fake = ModuleType(module)
        setattr(fake, name, function)
        monkeypatch.setitem(sys.modules, module, fake)
        monkeypatch.setattr(import_module(package), short, fake, raising=False)

    put("edgekws.engine.run", "compress", compress)
    put("edgekws.report.html", "write_html", lambda report, path: pages.append(path))
    return put


def run(*arguments: str) -> Ended:
    return CliRunner().invoke(app, list(arguments))


def lines(result: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_compress_tells_people_plainly_where_there_is_no_terminal(engine: Engine) -> None:
    result = run("compress", "r.toml")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [
        "warning: r.toml:3: unused",
        "run demo in runs/demo/1",
        "1/1 teacher …",
        "warning: two clips left out",
        "1/1 teacher: params 9,184, MACs/s 523 k, size 13.4 KiB, INT8 99.8 %, "
        "accuracy 95.1 % [93.0, 96.8], p50 24.1 µs, 1 min 05 s",
        "bundle in dist/demo",
        "report in runs/demo/1/report.html",
    ]
    assert pages == [Path("runs/demo/1/report.html")]
    assert "demo: the network after every step" in result.stdout
    row = r"bundle \(test\) +9,184 +523 k +13\.4 KiB +– +99\.8 % +95\.1 % \[93\.0, 96\.8\]"
    assert re.search(row, result.stdout)
    assert re.search(r"max_params +bundle +≤ 10,000 +9,184 +\+8\.2 % +met", result.stdout)
    assert "\x1b" not in result.output
    assert "\r" not in result.output


def test_compress_passes_its_options_on(engine: Engine) -> None:
    seen: dict[str, Any] = {}

    def compress(loaded: Any, **options: Any) -> Any:
        seen.update(options)
        return judged(MET)

    engine("edgekws.engine.run", "compress", compress)
    result = run(
        *("compress", "r.toml", "--force", "a", "--force", "b", "--keep-going"),
        *("--runs", "x", "--dist", "y"),
    )
    assert result.exit_code == 0, result.output
    del seen["emit"]
    assert seen == {
        "runs": Path("x"),
        "dist": Path("y"),
        "force": ["a", "b"],
        "keep_going": True,
    }


def test_overrides_reach_the_recipe(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def load(path: str, overrides: Any = ()) -> None:
        seen.append((path, list(overrides)))
        raise errors.RecipeError([errors.Problem("r.toml:3", "sed", "no such key")])

    monkeypatch.setattr("edgekws.recipe.load.load", load)
    for command in ("compress", "plan"):
        result = run(command, "r.toml", "--set", "a=1", "--set", "b=2")
        assert result.exit_code == 2
        assert result.stderr == "error: r.toml:3: sed: no such key\n"
    assert seen == [("r.toml", ["a=1", "b=2"])] * 2


def test_a_broken_budget_ends_with_the_table_and_code_3(engine: Engine) -> None:
    engine(
        "edgekws.engine.run",
        "compress",
        lambda loaded, **options: judged(MET, BROKEN),
    )
    result = run("compress", "r.toml")
    assert result.exit_code == 3
    assert re.search(r"min_accuracy +bundle +≥ 97\.0 % +95\.1 % +−1\.9 pp +exceeded", result.stdout)
    assert re.search(BROKEN_LINE, result.stderr)


def test_json_is_one_object_a_line(engine: Engine) -> None:
    result = run("compress", "r.toml", "--json")
    told = lines(result)
    kinds = ["warning", "run", "step", "progress", "warning", "measured", "note", "note", "report"]
    assert [line["event"] for line in told] == kinds
    assert told[3] == {
        "event": "progress",
        "text": "train [b]teacher[/b]",
        "done": 1,
        "total": 4,
        "data": {"loss": None},
    }
    assert told[-1]["results"][0]["measurements"][4]["ci95"] == [0.93, 0.968]
    assert told[-1]["ok"] is True
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.UsageError("no step"), 2, "error: no step"),
        (errors.UnsupportedError("no such layer"), 2, "error: no such layer"),
        (errors.ParityError("moved by 3"), 4, "error: moved by 3"),
        (errors.DataError("a.wav is empty"), 5, "error: a.wav is empty"),
        (errors.MissingPartError("no ssh"), 6, "error: no ssh"),
        (errors.MachineError("crashed"), 1, "error: crashed"),
        (MemoryError(), 1, "error: this machine has not enough memory; close other programs"),
        (OSError(errno.ENOSPC, "x", "out"), 1, "error: the disk is full: out"),
        (OSError(errno.EACCES, "x"), 1, "error: access is denied"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume"),
    ],
)
def test_every_cause_has_its_exit_code(
    engine: Engine, error: BaseException, code: int, message: str
) -> None:
    def fail(loaded: Any, **options: Any) -> None:
        raise error

    engine("edgekws.engine.run", "compress", fail)
    for flags in ((), ("--json",)):
        result = run("compress", "r.toml", *flags)
        assert result.exit_code == code
        assert result.stderr.splitlines()[-1].startswith(message)
        assert "Traceback" not in result.stderr
    assert result.stdout.splitlines()[1:] == []


def test_debug_shows_where_an_error_came_from(engine: Engine) -> None:
    def fail(loaded: Any, **options: Any) -> None:
        raise errors.DataError("a.wav is empty")

    engine("edgekws.engine.run", "compress", fail)
    result = run("--debug", "compress", "r.toml")
    assert result.exit_code == 5
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: a.wav is empty\n")


def test_plan_shows_weights_and_what_cannot_be_met(engine: Engine) -> None:
    from edgekws.engine.plan import Plan
    from edgekws.engine.untrained import PlanRow

    rows = (
        PlanRow("student", "distill", 9184, 523_400, 40.2, None, "3-D"),
        PlanRow("to2d", "to2d", 9000, 26_000_000, 13.0, 24.13, ""),
    )
    made = Plan(rows, (BROKEN,), ("accuracy is known only after the run",))
    engine("edgekws.engine.plan", "plan", lambda loaded, emit: made)
    result = run("plan", "r.toml")
    assert result.exit_code == 0, result.output
    assert re.search(r"student +9,184 +523 k +40\.2 KiB +– +3-D", result.stdout)
    assert re.search(r"to2d +9,000 +26\.0 M +13\.0 KiB +24\.1 µs", result.stdout)
    assert re.search(r"min_accuracy +final model .* exceeded", result.stdout)
    assert "note: accuracy is known only after the run" in result.stdout
    (told,) = lines(run("plan", "r.toml", "--json"))
    assert told["event"] == "plan"
    assert told["rows"][0]["latency_p50_us"] is None
    line = "r.toml:3: max_size_kib = 5 cannot be met: the final model has 20.0 KiB"
    impossible = replace(made, broken=(line,))
    engine("edgekws.engine.plan", "plan", lambda loaded, emit: impossible)
    result = run("plan", "r.toml")
    assert result.exit_code == 3
    assert (result.stdout + result.stderr).count(line) == 1


def test_check_judges_by_file_or_recipe(engine: Engine, tmp_path: Path) -> None:
    seen: list[Any] = []
    fresher: list[bool] = []

    def check(path: Path, budget: Any, emit: Any, loaded: Any = None, *, fresh: bool) -> Any:
        seen.append((path, budget, loaded is not None))
        fresher.append(fresh)
        return MEASUREMENTS, (MET, BROKEN)

    engine("edgekws.evaluation.check", "check", check)
    limits = tmp_path / "budget.toml"
    limits.write_text("max_params = 10")
    result = run("check", "m.onnx", "--budget", str(limits), "--fresh")
    assert result.exit_code == 3
    assert fresher == [True]
    assert re.search(r"accuracy +95\.1 % \[93\.0, 96\.8\]  \(n = 640\)", result.stdout)
    assert re.search(BROKEN_LINE, result.stderr)
    result = run("check", "m.onnx", "--recipe", "r.toml", "--json")
    assert result.exit_code == 3
    (told,) = lines(result)
    assert told["ok"] is False
    assert told["verdicts"][1]["limit"] == {"metric": "accuracy", "op": "min", "value": 0.97}
    assert seen == [
        (Path("m.onnx"), Budget((Limit("params", "max", 10),)), False),
        (Path("m.onnx"), "limits", True),
    ]


def test_check_needs_a_budget() -> None:
    result = run("check", "m.onnx")
    assert result.exit_code == 2
    assert result.stderr == "error: check needs --budget FILE, --recipe FILE or both\n"


def test_report_is_rebuilt_and_opened(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    engine("edgekws.report.html", "write_html", lambda report, path: path.write_text(report.name))
    newest = tmp_path / "latest"
    newest.mkdir()
    judged(MET).save(newest / "report.json")
    result = run("report", str(tmp_path), "--open")
    assert result.exit_code == 0, result.output
    assert (newest / "report.html").read_text() == "demo"
    assert opened == [(newest / "report.html").as_uri()]
    assert str(newest / "report.html") in result.stdout.replace("\n", "")
    (told,) = lines(run("report", str(newest), "--json"))
    assert told["html"] == str(newest / "report.html")
    (newest / "report.json").write_text("{}")
    result = run("report", str(tmp_path))
    assert result.exit_code == 5
    assert "report.json is not the report of a run; run compress again" in result.stderr
    result = run("report", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert "there is no report; name a folder that compress wrote under runs/" in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("edgekws compr", ["compress"]),
        ("edgekws compress qui", ["quickstart"]),
        ("edgekws compress my", ["my words.toml"]),
        ("edgekws check a.onnx --recipe qui", ["quickstart"]),
        ("edgekws compress r.toml --keep", ["--keep-going"]),
    ],
)
def test_a_shell_completes_commands_options_and_recipes(
    words: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my words.toml").touch()
    result = CliRunner().invoke(
        app,
        prog_name="edgekws",
        env={
            "_EDGEKWS_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
    )
    assert result.stdout.splitlines() == expected


def test_version_and_help() -> None:
    assert run("--version").stdout == f"edgekws {__version__}\n"
    for command in ("compress", "plan", "check", "report"):
        text = run(command, "--help").stdout
        assert "Example" in text
        assert f"edgekws {command} " in text
        assert "--json" in text
