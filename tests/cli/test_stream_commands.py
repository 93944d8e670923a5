"""`detect` on real files: the events of the bundle's own runtime, in every form."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
from rich.console import Console  # noqa: TID251
from typer.testing import CliRunner
from typer.testing import Result as Ended

from edgekws.cli.app import app
from edgekws.cli.live_scores import LiveScores
from tests.tone_bundle import RATE, track

AUDIO = track(4.0, {0.6: "низкий", 2.2: "высокий"})
WORDS = ["низкий", "высокий"]


def run(*arguments: object, stdin: bytes | None = None) -> Ended:
    return CliRunner().invoke(app, ["detect", *map(str, arguments)], input=stdin)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "звук.wav", AUDIO, RATE, subtype="PCM_16")
    return tmp_path / "звук.wav"


def test_json_is_what_the_bundles_own_runtime_prints(tone_bundle: Path, recording: Path) -> None:
    done = run(tone_bundle, recording, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    command = [sys.executable, "-I", str(tone_bundle / "detect.py"), "--stream", str(recording)]
    own = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines == [json.loads(line) for line in own.stdout.splitlines()]
    assert [line["keyword"] for line in lines] == WORDS
    assert all(list(line) == ["file", "keyword", "start_s", "end_s", "score"] for line in lines)


def test_any_format_and_rate_gives_the_same_words(tone_bundle: Path, tmp_path: Path) -> None:
    stereo = np.repeat(soxr.resample(AUDIO, RATE, 44_100)[:, None], 2, axis=1)
    soundfile.write(tmp_path / "a.flac", stereo, 44_100)
    done = run(tone_bundle, tmp_path / "a.flac", tmp_path / "a.flac")
    assert done.exit_code == 0, done.output
    rows = done.stdout.splitlines()
    assert [row.split()[-2] for row in rows] == WORDS * 2
    assert all(row.startswith(f"{tmp_path / 'a.flac'}:") for row in rows)
    pcm = (soxr.resample(AUDIO, RATE, 8_000) * 32767).astype("<i2").tobytes()
    with (tmp_path / "a.raw").open("wb") as file:
        file.write(pcm)
    command = [sys.executable, "-m", "edgekws", "detect", str(tone_bundle), "-", "--rate", "8000"]
    with (tmp_path / "a.raw").open("rb") as file:
        piped = subprocess.run(command, stdin=file, capture_output=True, check=True, text=True)
    assert [row.split()[-2] for row in piped.stdout.splitlines()] == WORDS


def test_tables_and_label_tracks(tone_bundle: Path, recording: Path, tmp_path: Path) -> None:
    done = run(tone_bundle, recording, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["keyword"] for row in rows] == WORDS
    labels = tmp_path / "new" / "labels.txt"
    done = run(tone_bundle, recording, "--format", "audacity", "--output", labels, "--json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    track = [line.split("\t") for line in labels.read_text("utf-8").splitlines()]
    assert [(line[2], round(float(line[1]), 3)) for line in track] == [
        (line["keyword"], line["end_s"]) for line in told
    ]
    assert [path.name for path in labels.parent.iterdir()] == ["labels.txt"]
    done = run(tone_bundle, recording, "--output", labels)
    assert (done.exit_code, done.stdout) == (0, "")
    assert [row.split()[-2] for row in labels.read_text("utf-8").splitlines()] == WORDS


def test_what_cannot_be_read_is_told_and_the_rest_is_heard(
    tone_bundle: Path, recording: Path
) -> None:
    done = run(tone_bundle, "missing.wav", recording, "--json")
    assert done.exit_code == 5
    assert len(done.stdout.splitlines()) == 2
    assert "missing.wav: no such file" in done.stderr
    assert "1 of 2 could not be read" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name audio files, - for standard input, or --microphone"),
        (["a.wav", "--microphone"], "or --microphone; one of these"),
        (["-", "-"], "can be read only once"),
        (["a.wav", "--rate", "8000"], "--rate is for PCM on standard input"),
        (["a.wav", "--json", "--format", "csv"], "--json is a format already"),
        (["a.wav", "b.wav", "--format", "audacity"], "belongs to one recording"),
        (["a.wav", "--hop-ms", "30"], "--hop-ms: a decision every 30 ms is not possible"),
    ],
)
def test_bad_usage(tone_bundle: Path, arguments: list[str], message: str) -> None:
    done = run(tone_bundle, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_output_that_cannot_be_written(tone_bundle: Path, recording: Path, tmp_path: Path) -> None:
    done = run(tone_bundle, recording, "--output", tmp_path)
    assert done.exit_code == 2
    assert "is a folder, not a file; name another --output" in done.stderr
    done = run(tone_bundle, recording, "--output", recording / "a.txt")
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


class _Microphone:
    """What `sounddevice.InputStream` is: hears AUDIO at 48 kHz, then is interrupted."""

    heard = soxr.resample(AUDIO, RATE, 48_000)

    def __init__(
        self, samplerate: int, blocksize: int, *, device: object, channels: int, dtype: str
    ) -> None:
        assert (samplerate, device, channels, dtype) == (48_000, None, 1, "float32")
        self._at = 0

    def __enter__(self) -> "_Microphone":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        block = self.heard[self._at : self._at + frames]
        if len(block) < frames:
            raise KeyboardInterrupt
        self._at += frames
        return block[:, None], self._at == frames


def sounddevice(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    told = {
        "InputStream": _Microphone,
        "PortAudioError": type("PortAudioError", (Exception,), {}),
        "query_devices": lambda device, kind: {"default_samplerate": 48_000.0},
    }
    module = SimpleNamespace(**(told | changes))
    monkeypatch.setitem(sys.modules, "sounddevice", module)


def test_the_microphone_is_heard_until_it_is_interrupted(
    tone_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounddevice(monkeypatch)
    done = run(tone_bundle, "--microphone", "--json")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["file"], line["keyword"]) for line in lines] == [
        ("microphone", word) for word in WORDS
    ]
    assert done.stderr.count("audio of the microphone was lost") == 1


def test_a_missing_microphone_is_told(tone_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = run(tone_bundle, "--microphone")
    assert done.exit_code == 6
    assert "pip install 'edgekws[microphone]'" in done.stderr
    gone = type("PortAudioError", (Exception,), {})

    def none(device: object, kind: str) -> None:
        raise gone("no default device")

    sounddevice(monkeypatch, PortAudioError=gone, query_devices=none)
    done = run(tone_bundle, "--microphone")
    assert done.exit_code == 6
    assert "cannot be used (no default device); plug one in" in done.stderr


def test_a_sounddevice_without_its_library_is_told(
    tone_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    done = run(tone_bundle, "--microphone")
    assert done.exit_code == 6
    assert "does not find PortAudio (PortAudio library not found)" in done.stderr
    assert not isinstance(sys.modules.get("sounddevice"), ModuleType)


def test_scores_are_shown_on_a_terminal_only() -> None:
    shown_on = io.StringIO()
    terminal = Console(file=shown_on, force_terminal=True, width=80)
    with LiveScores(terminal) as live:
        live.show("a.wav", 12.34, {"да": 0.75})
        live.show("a.wav", 12.5, {"да": 0.99})  # too soon
    shown = shown_on.getvalue()
    assert "12.3 s" in shown
    assert "0.75" in shown
    assert "0.99" not in shown
    piped = io.StringIO()
    with LiveScores(Console(file=piped, force_terminal=False)) as live:
        live.show("a.wav", 1.0, {"да": 0.75})
    assert piped.getvalue() == ""


@pytest.mark.parametrize("form", [[], ["--json"], ["--format", "csv"]])
def test_it_ends_quietly_when_nobody_reads(tone_bundle: Path, form: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "edgekws", "detect", str(tone_bundle), "-", *form]
    spoken = track(4.0, {1.0: "низкий", 2.5: "высокий"})
    samples = (spoken * 32767).astype("<i2").tobytes()
    done = subprocess.run(command, input=samples, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
