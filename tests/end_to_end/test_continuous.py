"""A chain that ends in `calibrate`: thresholds from dev, misses and false alarms on test."""

import json
import subprocess
from pathlib import Path

import pytest

from edgekws.bundle.verify import verify
from edgekws.core.report import Report
from edgekws.spotting.results import from_details
from tests.end_to_end.conftest import TINY, Run
from tests.end_to_end.test_stream import STUDENT

CALIBRATE = """
[[steps]]
kind = "calibrate"
"""
STREAM = STUDENT.replace("budget = { max_peak_ram_kib = 4 }\n", "")


@pytest.fixture(scope="module")
def recipe(home: Path) -> str:
    """The text of a recipe without a step `calibrate`."""
    start = TINY[: TINY.index("[[steps]]")].replace('"проба"', '"речь"')
    return start.replace("min_int8", "max_false_alarms_per_hour = 5000\nmin_int8") + STREAM


@pytest.fixture(scope="module")
def heard(edgekws: Run, home: Path, recipe: str) -> "subprocess.CompletedProcess[str]":
    """What the chain said."""
    (home / "speech.toml").write_text(recipe + CALIBRATE, encoding="utf-8")
    done = edgekws("compress", "speech.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def report_of(folder: Path) -> Report:
    return Report.load(folder / "речь" / "latest" / "report.json")


def test_thresholds_are_of_dev_and_figures_of_test(
    heard: "subprocess.CompletedProcess[str]", home: Path
) -> None:
    report = report_of(home / "runs")
    quantized, stream, calibrated, bundle = report.results[2:]
    assert [r.kind for r in report.results[2:]] == ["quantize", "stream", "calibrate", "bundle"]
    assert stream.value("miss_rate") is None
    for result in (quantized, calibrated, bundle):
        made = from_details(result.details)
        assert made is not None
        assert result.value("miss_rate") == made.total.miss_rate
        assert result.value("false_alarms_per_hour") == made.total.false_alarms_per_hour
        assert all(one.curve for one in made.keywords)
    keys = [verdict.limit.key for name, verdict in report.deciding()]
    assert keys == ["max_params", "max_false_alarms_per_hour", "min_int8_coverage"]
    folder = home / "dist" / "речь"
    assert verify(folder).max_abs_diff == 0
    settings = json.loads((folder / "manifest.json").read_text("utf-8"))["detection"]
    chosen = home / "runs" / "речь" / "latest" / "05-calibrate" / "detection.json"
    assert settings == json.loads(chosen.read_text("utf-8"))
    assert settings["calibration"]["max_fa_per_hour"] == 5000


def test_terminal_page_and_card_say_how_it_does(
    heard: "subprocess.CompletedProcess[str]", home: Path
) -> None:
    assert "in continuous speech" in heard.stdout
    assert "bundle (test)" in heard.stdout
    page = (home / "runs" / "речь" / "latest" / "report.html").read_text("utf-8")
    assert "<h2>In continuous speech</h2>" in page
    assert "not tested in continuous speech" not in page + heard.stdout
    card = (home / "dist" / "речь" / "MODEL_CARD.md").read_text("utf-8")
    assert " keywords missed: " in card
    assert "| misses |" in card


def test_another_budget_chooses_anew_or_says_for_what_was_chosen(
    heard: "subprocess.CompletedProcess[str]", edgekws: Run, home: Path
) -> None:
    again = edgekws(
        "compress", "speech.toml", "--runs", "r7", "--dist", "d7",
        "--set", "budget.max_false_alarms_per_hour=4000",
        "--set", "steps.calibrate.false_alarms_per_hour=5000",
    )  # fmt: skip
    note = "thresholds were chosen for 5000 false alarms per hour, but the budget allows 4000"
    assert note in again.stdout
    before, after = report_of(home / "runs"), report_of(home / "r7")
    assert [r.sha256 for r in after.results[:5]] == [r.sha256 for r in before.results[:5]]
    assert all(r.cached for r in after.results[:5])


def test_the_model_is_the_same_without_it_and_not_tested(
    heard: "subprocess.CompletedProcess[str]", edgekws: Run, home: Path, recipe: str
) -> None:
    clips = recipe.replace("max_false_alarms_per_hour = 5000\n", "")
    (home / "clips.toml").write_text(clips, encoding="utf-8")
    done = edgekws("compress", "clips.toml", "--runs", "r8", "--dist", "d8")
    assert done.returncode == 0, done.stderr
    for name in ("model", "stream", "frontend", "frontend_stream"):
        own, other = (home / d / "речь" / f"{name}.onnx" for d in ("dist", "d8"))
        assert own.read_bytes() == other.read_bytes()
    line = "not tested in continuous speech"
    page = (home / "r8" / "речь" / "latest" / "report.html").read_text("utf-8")
    assert line in done.stdout
    assert line in page
    assert line in (home / "d8" / "речь" / "MODEL_CARD.md").read_text("utf-8")
    assert line in edgekws("plan", "clips.toml").stdout
