"""The data commands from the command line, on a few real files."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner
from typer.testing import Result as Ended

from edgekws.cli.app import app


def run(*arguments: str) -> Ended:
    return CliRunner().invoke(app, ["data", *arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two words of ten speakers; the speaker s0 is broken."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for word in ("да", "нет"):
        (tmp_path / "rec" / word).mkdir(parents=True)
        for n in range(10):
            wave = np.pad(random.normal(0, 0.05, 4_000), 2_000)
            soundfile.write(tmp_path / "rec" / word / f"s{n}_nohash_0.wav", wave, 16_000)
    (tmp_path / "rec" / "да" / "s0_nohash_0.wav").write_bytes(b"no audio")
    return tmp_path / "rec"


def test_broken_data_is_explored_and_the_exit_code_is_0(folder: Path) -> None:
    result = run("explore", "rec")
    assert result.exit_code == 0, result.output
    assert "clips that cannot be read" in result.stdout
    assert "e.g. да/s0_nohash_0.wav: cannot be read" in result.stdout
    assert "page in runs/data/rec/report.html" in result.stderr
    assert sorted(p.name for p in Path("runs/data/rec").iterdir()) == [
        "clips.csv", "explore.json", "report.html",
    ]  # fmt: skip


def test_json_is_one_object(folder: Path) -> None:
    result = run("explore", "rec", "--output", "page.html", "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    told = json.loads(line)
    assert (told["event"], told["clips"], told["readable"]) == ("data", 20, 19)
    assert told["findings"][0]["code"] == "unreadable"
    assert told["page"] == "page.html"
    assert Path("page.html").is_file()


def test_where_nothing_can_be_read_the_exit_code_is_5(folder: Path) -> None:
    for path in folder.glob("*/*.wav"):
        path.write_bytes(b"no audio")
    result = run("explore", "rec")
    assert result.exit_code == 5
    assert "none of its 20 clips can be read" in result.stderr
    assert run("explore", "gone").exit_code == 2


def test_augment_tells_what_is_missing_by_exit_code_5(folder: Path) -> None:
    result = run("augment", "rec", "--output", "more", "--set", "augment.speed=[0.9,1.1]")
    assert result.exit_code == 5, result.output
    assert "1 clips are not in more: cannot be read" in result.stderr
    (folder / "да" / "s0_nohash_0.wav").unlink()
    result = run("augment", "rec", "--output", "whole", "--copies", "2", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert (told["event"], told["originals"], told["unreadable"]) == ("augmented", 19, [])
    assert Path("whole/manifest.csv").is_file()


def test_synth_speaks(folder: Path) -> None:
    Path("words.txt").write_text("да\n", encoding="utf-8")
    options = ("--language", "ru", "--clips", "2", "--voices", "ru+f1", "--output", "spoken")
    result = run("synth", "words.txt", *options)
    assert result.exit_code == 0, result.output
    assert "2 clips of 1 words by 1 voices (not split 2) in spoken" in result.stdout
    assert len(list(Path("spoken/да").glob("ru+f1_nohash_*.wav"))) == 2


@pytest.mark.parametrize("command", ["explore", "augment", "synth"])
def test_help_teaches_by_examples(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"edgekws data {command}" in result.stdout
