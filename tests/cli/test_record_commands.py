"""`record` from a file and from a microphone: what is kept, what is asked for again, and why."""

import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr
from rich.console import Console  # noqa: TID251
from typer.testing import CliRunner
from typer.testing import Result as Ended

from edgekws.cli.app import app
from edgekws.cli.live_view import LiveView
from edgekws.cli.take_view import TakeView
from edgekws.core.events import quiet
from edgekws.curation.record import Moment
from tests.tone_bundle import RATE, burst, track

LOW, HIGH = "низкий", "высокий"


def run(*arguments: object, exit_code: int = 0) -> Ended:
    done = CliRunner().invoke(app, ["record", *map(str, arguments)])
    assert done.exit_code == exit_code, done.output
    return done


def spoken(words: Sequence[str | None], levels: Sequence[float] = ()) -> np.ndarray:
    """Return a second of a room for each word, which begins after 1.6 s of 4; `None` is silence."""
    parts = []
    for n, word in enumerate(words):
        part = track(4.0, {}, seed=n) * 0.3
        if word:
            tone = burst(word) * (levels[n] if levels else 1)
            part[round(1.6 * RATE) :][: len(tone)] += tone
        parts.append(np.clip(part, -1, 1))
    return np.concatenate(parts)


def recording(folder: Path, wave: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(folder / "r.wav", soxr.resample(wave, RATE, rate), rate, subtype="PCM_16")
    return folder / "r.wav"


def clips(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))


def test_a_file_gives_the_good_takes_of_its_word(tmp_path: Path) -> None:
    levels = [1, 0.05, 8, 1, 1]  # good, too quiet, clipped, good, good
    file = recording(tmp_path, spoken([LOW] * 5, levels), 48_000)
    out = tmp_path / "voice"
    done = run(LOW, "--from", file, "--output", out, "--per-word", 3, "--speaker", "anna")
    assert clips(out) == [f"{LOW}/anna_nohash_{n}.wav" for n in range(3)]
    assert done.stderr.count(f"{LOW} again: it is too quiet") == 1
    assert done.stderr.count(f"{LOW} again: it is clipped") == 1
    assert done.stdout == f"{LOW} 3 in {out}\n"
    for name in clips(out):
        wave, rate = soundfile.read(out / name, dtype="float32")
        assert (rate, len(wave), soundfile.info(out / name).subtype) == (RATE, RATE, "PCM_16")
        loud = np.flatnonzero(np.abs(wave) > 0.1)
        assert (loud[0] + loud[-1]) / 2 == pytest.approx(RATE / 2, abs=0.03 * RATE)


def test_what_is_there_is_not_recorded_again(tmp_path: Path) -> None:
    file, out = recording(tmp_path, spoken([LOW] * 2)), tmp_path / "voice"
    done = run(LOW, "--from", file, "--output", out, "--per-word", 3, exit_code=5)
    assert (
        f"there are now {LOW} 2, and 3 each were asked for: record more, and run again"
        in done.stderr
    )
    before = {name: (out / name).read_bytes() for name in clips(out)}
    done = run(LOW, "--from", file, "--output", out, "--per-word", 3, exit_code=5)
    assert "0 clips written" in done.stderr
    assert {name: (out / name).read_bytes() for name in clips(out)} == before
    run(LOW, "--from", file, "--output", out, "--per-word", 2)
    (out / LOW / "me_nohash_0.wav").unlink()
    run(LOW, "--from", file, "--output", out, "--per-word", 2)
    assert {name: (out / name).read_bytes() for name in clips(out)} == before


def test_the_room_is_recorded_in_pieces(tmp_path: Path) -> None:
    file, out = recording(tmp_path, track(15.0, {})), tmp_path / "voice"
    done = run("--noise", 20, "--from", file, "--output", out, exit_code=5)
    assert (
        "there are now 15 s of the room, and 20 s of the room were asked for: record more"
        in done.stderr
    )
    names = [f"_background_noise_/me_room_{n}.wav" for n in range(2)]
    assert clips(out) == names
    run("--noise", 20, "--from", file, "--output", out)
    assert [soundfile.info(out / name).duration for name in clips(out)] == [10, 5, 5]


def test_seconds_of_the_room_need_not_be_whole_samples(tmp_path: Path) -> None:
    file = recording(tmp_path, track(3.0, {}))
    run("--noise", 2.33333, "--from", file, "--output", tmp_path / "voice")
    (name,) = clips(tmp_path / "voice")
    assert soundfile.info(tmp_path / "voice" / name).frames == round(2.33333 * RATE)


def test_a_damaged_recording_of_the_room_is_named(tmp_path: Path) -> None:
    room = tmp_path / "voice" / "_background_noise_"
    room.mkdir(parents=True)
    (room / "me_room_0.wav").write_bytes(b"RIFF")
    file = recording(tmp_path, track(3.0, {}))
    done = run("--noise", 2, "--from", file, "--output", tmp_path / "voice", exit_code=5)
    assert "me_room_0.wav: cannot be read as audio" in done.stderr


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    memos = tmp_path / "memos"
    memos.mkdir()
    for n, rate in enumerate((8_000, 44_100)):
        recording(memos, spoken([LOW]), rate).rename(memos / f"{n}.wav")
    soundfile.write(memos / "a.wav", np.zeros(RATE), RATE)
    run(LOW, "--from", memos, "--output", tmp_path / "v", "--per-word", 2)
    assert len(clips(tmp_path / "v")) == 2
    (tmp_path / "none").mkdir()
    done = run(LOW, "--from", tmp_path / "none", "--output", tmp_path / "v", exit_code=5)
    assert "none: holds no recordings; name another with --from" in done.stderr


class _Microphone:
    """What `sounddevice.InputStream` is: hears `heard` at 48 kHz, then Ctrl-C is pressed."""

    heard = np.zeros(0, np.float32)

    def __init__(self, rate: int, size: int, *, device: object, channels: int, dtype: str) -> None:
        assert (rate, device, channels, dtype) == (48_000, 1, 1, "float32")
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
        return block[:, None], False


@pytest.fixture
def microphone(monkeypatch: pytest.MonkeyPatch) -> type[_Microphone]:
    def query(device: object, kind: str) -> dict[str, float]:
        if device == "none":
            raise ValueError("No input device matching 'none'")
        return {"default_samplerate": 48_000.0}

    gone = type("PortAudioError", (Exception,), {})
    module = SimpleNamespace(InputStream=_Microphone, PortAudioError=gone, query_devices=query)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return _Microphone


def test_a_microphone_asks_for_words_in_turn_and_again(
    tmp_path: Path, microphone: type[_Microphone], monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = spoken([LOW, None, HIGH, LOW], [1, 1, 1, 1])
    # a prompted take is cut short by the word: drop what follows it, so that prompts and words meet
    keep = round(2.5 * RATE)
    wave = np.concatenate([wave[:keep], wave[4 * RATE : 8 * RATE], wave[8 * RATE :][:keep],
                           wave[12 * RATE :][:keep]])  # fmt: skip
    monkeypatch.setattr(microphone, "heard", soxr.resample(wave, RATE, 48_000))
    out = tmp_path / "voice"
    order = (LOW, HIGH, "--per-word", 2, "--output", out, "--device", 1)
    done = run(*order, exit_code=130)
    assert clips(out) == sorted(
        f"{word}/me_nohash_{n}.wav" for word, n in ((LOW, 0), (HIGH, 0), (LOW, 1))
    )
    assert f"say: {LOW} (1 of 2)" in done.stderr
    assert f"{HIGH} again: nothing was heard" in done.stderr
    assert "run the same command again to resume" in done.stderr
    monkeypatch.setattr(microphone, "heard", soxr.resample(spoken([HIGH]), RATE, 48_000))
    done = run(*order, "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "event": "recorded", "output": str(out), "new": 1, "clips": {LOW: 2, HIGH: 2},
        "refused": 0, "room_s": 0,
    }  # fmt: skip


def test_a_muted_microphone_ends_the_recording(
    tmp_path: Path, microphone: type[_Microphone], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "heard", np.zeros(60 * 48_000, np.float32))
    done = run(LOW, "--output", tmp_path / "v", "--device", 1, exit_code=5)
    assert "10 takes in a row were refused, the last because nothing was heard" in done.stderr


def test_missing_microphones_are_reported(
    tmp_path: Path, microphone: type[_Microphone], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(LOW, "--output", tmp_path / "v", "--device", "none", exit_code=6)
    assert "no such microphone (No input device matching 'none'); list them with" in done.stderr
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = run(LOW, "--output", tmp_path / "v", exit_code=6)
    assert "pip install 'edgekws[microphone]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the words to record, or the seconds of the room with --noise"),
        (["да", "да"], "'да' is named twice"),
        (["a/b"], "'a/b' cannot name a folder"),
        (["_unknown_"], "is a filler class, not a keyword"),
        (["да", "--speaker", "a_b"], "--speaker a_b: expected letters and digits"),
        (["да", "нет", "--from", "r.wav"], "--from has recordings of one word, or of the room"),
        (["да", "--from", "r.wav", "--device", "1"], "leave --device out"),
    ],
)
def test_bad_usage(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert message in run(*arguments, "--output", tmp_path, exit_code=2).stderr


def test_the_prompt_is_live_on_a_terminal() -> None:
    shown_on = io.StringIO()
    terminal = Console(file=shown_on, force_terminal=True, width=80)
    with TakeView(quiet, terminal) as view:
        view.show(Moment("да", 2, 5, False, 0.7, -52.4))
        view.show(Moment("нет", 3, 5, True, 2.9, -3.0))  # too soon
    shown = shown_on.getvalue()
    assert "ready" in shown
    assert "да" in shown
    assert "2 of 5" in shown
    assert "-52 dBFS" in shown
    assert "нет" not in shown


def test_a_slow_terminal_is_not_updated_all_the_time() -> None:
    def slowly() -> str:
        time.sleep(0.3)
        return "first"

    shown_on = io.StringIO()
    with LiveView(Console(file=shown_on, force_terminal=True), 0.2) as view:
        view.update(slowly)
        view.update(lambda: "second")
    assert "first" in shown_on.getvalue()
    assert "second" not in shown_on.getvalue()
