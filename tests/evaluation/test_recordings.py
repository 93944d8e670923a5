"""`evaluate` on a folder of recordings: one's own voice, labelled as the model knows it."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner
from typer.testing import Result as Ended

from edgekws.audio.decoding import to_float32, to_int16
from edgekws.cli.app import app
from edgekws.core.events import quiet
from edgekws.evaluation.recordings import RecordingSet
from edgekws.metrics.intervals import clopper_pearson
from edgekws.runtime.detect import Classifier
from tests.tone_bundle import RATE, TONES, track

LOW, HIGH = TONES


def evaluate(bundle: Path, folder: Path, *options: object, exit_code: int = 0) -> Ended:
    arguments = ["evaluate", bundle, "--recordings", folder, *options]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == exit_code, done.output
    return done


def write(folder: Path, word: str, name: str, tone: str | None, rate: int = RATE) -> None:
    (folder / word).mkdir(parents=True, exist_ok=True)
    wave = track(1.4, {0.5: tone} if tone else {}, seed=len(name))
    if rate != RATE:
        import soxr

        wave = soxr.resample(wave, RATE, rate)
    soundfile.write(folder / word / name, wave, rate)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """Six clips of one speaker, one of them said wrongly, and a word of no label."""
    folder = tmp_path / "voice"
    for n in range(3):
        write(folder, LOW, f"me_nohash_{n}.wav", LOW, (RATE, 8_000, 48_000)[n])
        write(folder, HIGH, f"me_nohash_{n}.wav", LOW if n == 2 else HIGH)
    write(folder, "тишина", "me_nohash_0.wav", None)
    return folder


@pytest.mark.parametrize("tone_bundle", ["windowed"], indirect=True)
def test_one_voice_has_intervals_over_clips_and_a_warning(tone_bundle: Path, voice: Path) -> None:
    (voice / "_background_noise_").mkdir()
    soundfile.write(voice / "_background_noise_" / "me_room_0.wav", track(2.0, {}), RATE)
    done = evaluate(tone_bundle, voice)
    assert "warning: 1 speaker (me), 7 clips: read it with care" in done.stderr
    low, high = clopper_pearson(6, 7)
    found = re.search(r"accuracy +85\.7 % \[(\S+), (\S+)\]  \(n = 7\)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) <= 100 * low + 5
    assert float(found[2]) >= 100 * high - 5
    assert re.search(rf"{HIGH} +{LOW} +1", done.stdout)
    assert re.search(r"_unknown_ +\S+ % +100\.0 %", done.stdout)


@pytest.mark.parametrize("tone_bundle", ["windowed"], indirect=True)
def test_several_speakers_are_groups(tone_bundle: Path, voice: Path, tmp_path: Path) -> None:
    write(voice, LOW, "anna_nohash_0.wav", LOW)
    done = evaluate(tone_bundle, voice, "--output", tmp_path / "e.json")
    assert "1 speaker" not in done.stderr
    assert re.search(r"accuracy .*2 speakers", done.stdout), done.stdout
    text = (tmp_path / "e.json").read_text("utf-8")
    assert f'"recordings": "{voice}"' in text


@pytest.mark.parametrize("tone_bundle", ["windowed"], indirect=True)
def test_folders_without_a_word_of_the_model_are_refused(tone_bundle: Path, tmp_path: Path) -> None:
    write(tmp_path / "v", "да", "me_nohash_0.wav", LOW)
    done = evaluate(tone_bundle, tmp_path / "v", exit_code=5)
    assert f"holds да, but the model knows {LOW}, {HIGH}, _unknown_, _silence_" in done.stderr
    done = evaluate(tone_bundle, tmp_path / "none", exit_code=5)
    assert "no such folder" in done.stderr
    (tmp_path / "v" / LOW).mkdir()
    soundfile.write(tmp_path / "v" / LOW / "me_nohash_0.wav", np.zeros(0), RATE)
    done = evaluate(tone_bundle, tmp_path / "v", exit_code=5)
    assert "holds no samples; record it again" in done.stderr


def test_the_features_are_those_of_the_models_front_end(micro_bundle: Path, tmp_path: Path) -> None:
    samples = to_int16(track(1.0, {0.3: LOW}))
    (tmp_path / "да").mkdir()
    soundfile.write(tmp_path / "да" / "me_nohash_0.wav", samples, RATE)
    logits = RecordingSet(tmp_path, micro_bundle, quiet).logits(micro_bundle)
    expected = Classifier(micro_bundle).logits(to_float32(samples))
    np.testing.assert_array_equal(logits[0], expected)
