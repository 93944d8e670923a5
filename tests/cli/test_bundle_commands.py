"""`verify` and `export` on a real bundle: text, JSON and exit codes."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner
from typer.testing import Result as Ended

from edgekws.bundle import pack
from edgekws.cli.app import app


def run(*arguments: object) -> Ended:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(result: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_verify_says_what_was_found(bundle: Path) -> None:
    done = run("verify", bundle)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"{bundle}: 12 files as they were packed; 4 golden clips, max |Δlogit| 0",
        "labels: да, нет, _unknown_, _silence_",
        f"sha256: {pack.identity(bundle)}",
    ]
    (line,) = told(run("verify", bundle, "--json"))
    assert line["event"] == "verified"
    assert line["sha256"] == pack.identity(bundle)
    assert line["max_abs_diff"] == 0


def test_verify_warns_of_another_runtime_and_does_not_run_it(bundle: Path) -> None:
    (bundle / "detect.py").write_text("raise SystemExit('it was run')\n")
    pack.seal(bundle, "# card\n")
    done = run("verify", bundle)
    assert done.exit_code == 0, done.output
    assert "warning:" in done.stderr
    assert "detect.py is another runtime version" in done.stderr
    assert "was not run" in done.stderr
    warning, verified = told(run("verify", bundle, "--json"))
    assert warning["event"] == "warning"
    assert len(verified["notes"]) == 1


def test_each_cause_has_its_exit_code(bundle: Path, tmp_path: Path) -> None:
    golden = bundle / "golden" / "golden.json"
    rows = json.loads(golden.read_text("utf-8"))
    rows[0]["logits"][0] += 1
    golden.write_text(json.dumps(rows))
    done = run("verify", bundle)
    assert done.exit_code == 5
    assert "golden/golden.json is not the file that was packed" in done.stderr
    pack.seal(bundle, "# card\n")
    done = run("export", bundle, "--to", "zip", "--output", tmp_path / "b.zip")
    assert done.exit_code == 4
    assert "logits on the golden clips differ" in done.stderr
    assert not (tmp_path / "b.zip").exists()
    done = run("verify", tmp_path / "none.zip")
    assert done.exit_code == 5
    assert "none.zip: no such bundle; give its folder or its zip" in done.stderr
    assert run("export", bundle, "--to", "tar", "--output", "b.tar").exit_code == 2
    done = run("export", bundle, "--to", "folder", "--output", bundle)
    assert done.exit_code == 2
    assert "is, or overlaps with, the bundle; name another --output" in done.stderr


def test_export_says_what_was_written(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "связка.zip"
    done = run("export", bundle, "--to", "zip", "--output", path)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{path}: 12 files as they were packed; 4 golden clips")
    (line,) = told(run("export", path, "--to", "ort", "--output", tmp_path / "ort", "--json"))
    assert (line["event"], line["form"]) == ("exported", "ort")
    assert line["output"] == str(tmp_path / "ort")
    assert line["verified"]["sha256"] == pack.identity(tmp_path / "ort")
    assert run("verify", tmp_path / "ort").exit_code == 0


def test_help_has_an_example() -> None:
    for command in ("export", "verify"):
        text = run(command, "--help").stdout
        assert f"edgekws {command} " in text
        assert "--json" in text
