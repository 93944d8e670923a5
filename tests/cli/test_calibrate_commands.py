"""`calibrate` and `evaluate-events` as they are run: tables, JSON, pages, exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner
from typer.testing import Result as Ended

from edgekws.cli.app import app
from tests.tone_bundle import BURST_S, RATE, TONES, make, track

LOW, HIGH = TONES


def run(*arguments: object) -> Ended:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, a table of one sentence, and noise."""
    folder = tmp_path_factory.mktemp("место")
    make(folder, streaming=True)
    said = {0.7: LOW, 3.1: HIGH}
    soundfile.write(folder / "s.wav", track(5.0, said), RATE)
    rows = [f"s.wav,{word},dev,{t},{t + BURST_S}" for t, word in said.items()]
    text = "\n".join(["file,keyword,split,start_s,end_s", *rows])
    (folder / "t.csv").write_text(text, encoding="utf-8")
    (folder / "noise").mkdir()
    soundfile.write(folder / "noise" / "n.wav", track(6.0, {}, seed=4), RATE)
    return folder


def common(place: Path) -> list[object]:
    return ["--positives", place / "t.csv", "--negatives", place / "noise"]


def test_calibrate_shows_a_table_and_writes_a_page(place: Path, tmp_path: Path) -> None:
    output, page = tmp_path / "b", tmp_path / "new" / "p.html"
    limit = ["--max-fa-per-hour", "2", "--output", output, "--page", page]
    done = run("calibrate", place / "bundle", *common(place), *limit, "--where", "split=dev")
    assert done.exit_code == 0, done.output
    assert "9 s free of keywords cannot show 2 false alarms per hour" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[2:4]] == [LOW, HIGH]
    assert "no false alarm in 9 s shows fewer than 4,340 per hour" in done.stdout
    assert "smoothing " in done.stdout
    basis = (
        "95 % intervals: misses if independent (one recording); false alarms by recording (only 2)"
    )
    assert basis in done.stdout
    told = page.read_text("utf-8")
    assert told.count("<svg") == 1
    assert "src=" not in told.replace('src="data:', "")  # all of it is in the page
    assert str(output) in told
    assert run("verify", output).exit_code == 0


def test_evaluate_events_gives_json_and_pictures(place: Path, tmp_path: Path) -> None:
    rest = [*common(place), "--output", tmp_path / "r", "--json"]
    done = run("evaluate-events", place / "bundle", *rest)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (made,) = [line for line in lines if line["event"] == "events"]
    assert [one["keyword"] for one in made["keywords"]] == [LOW, HIGH]
    assert made["total"]["labels"] == 2
    assert made["total"]["false_alarms_per_hour_ci95"][0] == 0
    assert made["total"]["false_alarms_per_hour_basis"]["kind"] == "by recording"
    basis = {"kind": "if independent", "speakers": 0, "recordings": 1}
    assert made["total"]["miss_rate_basis"] == basis
    assert len(made["keywords"][0]["curve"][0]) == 5
    assert {p.name for p in (tmp_path / "r").iterdir()} == {"events.html", "det.png"}
    assert (tmp_path / "r" / "det.png").read_bytes()[:4] == b"\x89PNG"


def test_usage_and_data_errors(place: Path, tmp_path: Path) -> None:
    limit = ["--max-fa-per-hour", "2", "--output", tmp_path / "b"]
    done = run("calibrate", place / "bundle", *common(place), *limit, "--page", "p.png")
    assert (
        done.exit_code,
        "p.png: --page is a file that ends in .html or .htm" in done.stderr,
    ) == (2, True)
    done = run("calibrate", place / "bundle", *common(place), *limit, "--where", "split")
    assert (done.exit_code, "--where split: expected COLUMN=VALUE" in done.stderr) == (2, True)
    done = run("evaluate-events", place / "bundle", *common(place), "--output", "a.txt")
    assert (done.exit_code, "a.txt: --output is a folder, or a file" in done.stderr) == (2, True)
    done = run("evaluate-events", place / "bundle", "--positives", place / "x.csv")
    assert (done.exit_code, "x.csv: no such file" in done.stderr) == (5, True)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("calibrate", "--max-fa-per-hour", "inf"), "1000000"),
        (("calibrate", "--max-fa-per-hour", "1e308"), "1000000"),
        (("calibrate", "--max-fa-per-hour", "nan"), "Invalid value for '--max-fa-per-hour'"),
        (("calibrate", "--max-fa-per-hour", "1", "--tolerance-s", "inf"), "--tolerance-s inf: exp"),
        (
            ("evaluate-events", "--tolerance-s", "inf"),
            "--tolerance-s inf: expected a finite number",
        ),
        (("detect", "a.wav", "--hop-ms", "-inf"), "--hop-ms -inf: expected a finite number"),
        (("profile", "--seconds", "inf"), "--seconds inf: expected a finite number"),
    ],
)
def test_numbers_without_end_are_refused(
    place: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    command, *rest = arguments
    known = ("--positives", place / "t.csv", *("--output", tmp_path / "made"))
    more = {"calibrate": known, "evaluate-events": known[:2]}.get(command, ())
    done = run(command, place / "bundle", *rest, *more)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "made").exists()


def test_export_as_one_graph(place: Path, tmp_path: Path) -> None:
    output = tmp_path / "one.onnx"
    done = run("export", place / "bundle", "--to", "waveform", "--output", output, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["form"] == "waveform"
    assert output.is_file()
    assert np.isfinite(json.loads(done.stdout)["verified"]["max_abs_diff"])
