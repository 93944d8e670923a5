"""Names that strangers chose: no control character reaches a terminal, and every file is read."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from edgekws.cli.app import app
from edgekws.cli.check_forms import annotations
from edgekws.cli.console import Terminal, show_error
from edgekws.cli.event_lines import csv_lines, text_lines
from edgekws.core.events import Event as Fact
from edgekws.core.measurement import Limit, Verdict
from edgekws.curation.synth import words_of
from edgekws.errors import UsageError
from edgekws.report.shown import Shown
from edgekws.runtime.detect import Event
from tests.tone_bundle import RATE, TONES, make, track

ROOT = Path(__file__).parents[2]
LOW, _ = TONES
ESCAPE, BYTES, FORMULA = "\x1b[2J.wav", os.fsdecode(b"\xff.wav"), "=1+1.wav"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle, and clips of strange names."""
    folder = tmp_path_factory.mktemp("место")
    make(folder, streaming=True)
    (folder / "clips").mkdir()
    for name in (ESCAPE, BYTES, FORMULA):
        clip = folder / "clips" / "s.wav"
        soundfile.write(clip, track(2.0, {0.7: LOW}), RATE)
        clip.rename(folder / "clips" / name)
    return folder


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_predict_reads_every_file_and_names_it(place: Path, tmp_path: Path) -> None:
    output = tmp_path / "l.csv"
    done = run("predict", place / "bundle", place / "clips", "--output", output)
    assert done.exit_code == 0, done.output
    with output.open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    assert names == [ESCAPE, "./" + FORMULA, "\\udcff.wav"]
    assert (place / "clips" / names[1]).is_file()


@pytest.mark.parametrize("form", [("--json",), ("--format", "csv"), ()])
def test_detect_names_every_file(place: Path, form: tuple[str, ...]) -> None:
    clips = [place / "clips" / name for name in (ESCAPE, BYTES, FORMULA)]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "edgekws",
        "detect",
        place / "bundle",
        *clips,
        *form,
    ]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(
        [os.fsencode(one) for one in command], cwd=ROOT, capture_output=True, env=plain
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode("ascii")
    if form == ("--json",):
        assert [json.loads(line)["file"] for line in told.splitlines()] == [*map(str, clips)]
    assert told.count(".wav") == 3
    assert ("\x1b" in told) == (form == ("--format", "csv"))  # a pipe takes names as they are


def test_data_is_explored_whatever_its_files_are_called(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for word in ("да", "нет"):
        (tmp_path / "rec" / word).mkdir(parents=True)
        for name in (ESCAPE, BYTES, FORMULA):
            clip = tmp_path / "rec" / word / "s.wav"
            soundfile.write(clip, random.normal(0, 0.05, 8_000), RATE)
            clip.rename(clip.with_name(name))
        (tmp_path / "rec" / word / f"\x1b[31m{word}.wav").write_bytes(b"no audio")
        (tmp_path / "rec" / word / os.fsdecode(b"\xfe.wav")).write_bytes(b"no audio")
    done = run("data", "explore", tmp_path / "rec", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert "\\x1b[31mда.wav" in done.output
    assert "\\udcfe.wav" in (tmp_path / "out" / "explore.json").read_text("utf-8")


def test_errors_and_lines_for_people_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(f"error: {ESCAPE}: no such file\nname \u202eanother")
    assert capsys.readouterr().err == "error: \\x1b[2J.wav: no such file\nname \\u202eanother\n"
    write = text_lines(sys.stdout, with_names=True)
    write(ESCAPE, Event(0.0, 1.0, "\x9bда", 0.5))
    assert capsys.readouterr().out == "\\x1b[2J.wav:     0.00 … 1.00 s  \\x9bда  0.50\n"
    write("a\nb.wav", Event(0.0, 1.0, "да", 0.5))
    assert capsys.readouterr().out == "a\\x0ab.wav:     0.00 … 1.00 s  да  0.50\n"
    (line,) = annotations(Path(ESCAPE), [Verdict(Limit("params", "max", 1), 2, -1.0, ok=False)])
    assert "\x1b" not in line


def test_a_line_feed_in_a_name_breaks_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.emit(Fact("warning", "a\nb.wav: cannot be read"))
    assert capsys.readouterr().err == "warning: a\\x0ab.wav: cannot be read\n"
    terminal.show(Shown("t", (), [("t", ("name", "n"), [["a\nb.wav", "1"]])], ["c\nd.wav"]))
    out = capsys.readouterr().out.splitlines()
    assert [line.split() for line in out[1:3]] == [["name", "n"], ["a\\x0ab.wav", "1"]]
    assert out[-1] == "c\\x0ad.wav"


def test_events_as_a_table_cannot_steer_a_terminal_nor_a_spreadsheet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    csv_lines(sys.stdout)(f"-{ESCAPE}", Event(0.0, 1.0, "=да", 0.5))
    head, row = capsys.readouterr().out.splitlines()
    assert head == "file,keyword,start_s,end_s,score"
    assert row.startswith("./-\\x1b[2J.wav,'=да,0.0,1.0,")


@pytest.mark.parametrize("word", ["a\x1b[2Jb", "a\u202eb", os.fsdecode(b"a\xff"), "a\tb"])
def test_labels_that_cannot_be_shown_are_refused_where_they_are_read(
    tmp_path: Path, word: str
) -> None:
    recipe = (ROOT / "recipes" / "quickstart.toml").read_text("utf-8")
    if word.isascii() or "\u202e" in word:
        told = json.dumps(word)
        (tmp_path / "r.toml").write_text(recipe, "utf-8")
        done = run("plan", tmp_path / "r.toml", "--set", f"dataset.keywords=[{told}]")
        assert done.exit_code == 2, done.output
        assert "holds characters that cannot be shown" in done.stderr
    (tmp_path / "rec" / word).mkdir(parents=True)
    soundfile.write(
        os.fsencode(tmp_path / "rec" / word / "s.wav"), np.zeros(8_000), RATE, format="WAV"
    )
    done = run("init", "--data", tmp_path / "rec", "--output", tmp_path / "new.toml")
    assert done.exit_code == 5, done.output
    assert "holds characters that cannot be shown" in done.stderr
    with pytest.raises(UsageError, match="holds characters that cannot be shown"):
        words_of(f"yes,{word}")
