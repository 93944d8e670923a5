"""Inspection: levels as they were made, clipping where there is some, prints that know again."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from edgekws.audio import inspection
from edgekws.audio.inspection import FLOOR_DBFS, inspect, measured
from edgekws.audio.likeness import ALIKE
from edgekws.errors import DataError

RATE = 16_000


def _tone(amplitude: float, hertz: float = 440, seconds: float = 1.0) -> NDArray[np.float32]:
    wave = amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return wave.astype(np.float32)[:, None]


def _word(seed: int) -> NDArray[np.float32]:
    """Return a sound that changes over time and frequency, between silences."""
    random = np.random.default_rng(seed)
    parts = [_tone(random.uniform(0.05, 0.4), random.uniform(200, 3_000), 0.06) for _ in range(9)]
    silence = np.zeros((3_000, 1), np.float32)
    return np.concatenate([silence, *parts, silence])


def test_levels_of_a_tone() -> None:
    sound = measured(_tone(0.1), RATE)
    assert sound.length_s == 1.0
    assert sound.peak_dbfs == pytest.approx(-20, abs=0.01)
    assert sound.rms_dbfs == pytest.approx(-23.01, abs=0.01)
    assert sound.loud_dbfs == pytest.approx(-23.01, abs=0.1)
    assert sound.quiet_dbfs == pytest.approx(-23.01, abs=0.1)
    assert (sound.clipped, sound.channels) == (0, 1)
    assert abs(sound.offset) < 1e-3


def test_quiet_and_loud_frames() -> None:
    wave = np.concatenate([_tone(0.1), _tone(0.001)])
    sound = measured(wave, RATE)
    assert sound.loud_dbfs - sound.quiet_dbfs == pytest.approx(40, abs=0.5)


def test_offset_and_silence() -> None:
    assert measured(_tone(0.1) + np.float32(0.02), RATE).offset == pytest.approx(0.02, abs=1e-4)
    for nothing in (np.zeros((800, 1), np.float32), np.zeros((0, 1), np.float32)):
        sound = measured(nothing, RATE)
        assert (sound.peak_dbfs, sound.rms_dbfs) == (FLOOR_DBFS, FLOOR_DBFS)
        assert not sound.likeness.any()


@pytest.mark.parametrize("ceiling", [1.0, 0.98, 0.6])
def test_clipping_is_counted_run_by_run(ceiling: float) -> None:
    wave = np.clip(_tone(1.3), -1, 1) * np.float32(ceiling)
    top = np.abs(wave[:, 0]) >= np.abs(wave).max() - 2e-5
    runs = [len(run) for run in "".join("1" if t else "0" for t in top).split("0")]
    expected = sum(run for run in runs if run >= 3)
    assert measured(wave, RATE).clipped == expected > 100
    stereo = np.concatenate([_tone(0.5), wave], axis=1)
    assert measured(stereo, RATE).clipped == expected


@pytest.mark.parametrize("hertz", [100, 440, 3_000])
def test_a_tone_that_fits_is_not_clipped(hertz: float) -> None:
    wave = np.round(_tone(0.9, hertz) * 32767) / 32768
    assert measured(wave.astype(np.float32), RATE).clipped == 0


def test_the_digest_is_of_the_samples(tmp_path: Path) -> None:
    for suffix in ("wav", "flac"):
        soundfile.write(tmp_path / f"a.{suffix}", (_word(1) * 32767).astype(np.int16), RATE)
    whole, same = inspect(tmp_path / "a.wav"), inspect(tmp_path / "a.flac")
    assert whole.digest == same.digest != inspect(tmp_path / "a.wav", 0.01).digest
    part = inspect(tmp_path / "a.wav", 0.2, 0.3)
    assert part.length_s == pytest.approx(0.1)
    assert inspect(tmp_path / "a.wav", 9.0).length_s == 0


def test_a_print_knows_a_recording_again() -> None:
    words = [_word(seed) for seed in range(6)]
    prints = [measured(word, RATE).likeness for word in words]
    others = [float(a @ b) for i, a in enumerate(prints) for b in prints[:i]]
    for word, known in zip(words, prints, strict=True):
        made_over = (
            word * np.float32(0.2),
            word[2_500:-1_000],
            soxr.resample(word, RATE, 8_000),
        )
        for wave, rate in zip(made_over, (RATE, RATE, 8_000), strict=True):
            assert float(measured(wave, rate).likeness @ known) > ALIKE > max(others)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.wav: no such file"):
        inspect(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="cannot be read as audio"):
        inspect(tmp_path / "a.wav")
    soundfile.write(tmp_path / "n.wav", np.full(9, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite numbers"):
        inspect(tmp_path / "n.wav")


def test_a_long_recording_is_measured_in_the_memory_of_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute = np.tile(_tone(1.0), (60, 1)) * np.linspace(0.01, 1.2, 60 * RATE)[:, None]
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    soundfile.write(short, minute[: 20 * RATE], RATE)
    soundfile.write(long, np.tile(minute, (3, 1)), RATE)
    monkeypatch.setattr(inspection, "BLOCK_S", 1000.0)
    whole = inspect(long)
    monkeypatch.setattr(inspection, "BLOCK_S", 10.0)
    inspect(short)  # what is allocated once
    peaks = []
    for path in (short, long):
        tracemalloc.start()
        sound = inspect(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
    np.testing.assert_allclose(sound.likeness, whole.likeness, atol=1e-6)
    told = [replace(one, likeness=whole.likeness, offset=0, rms_dbfs=0) for one in (sound, whole)]
    assert told[0] == told[1]
    assert sound.clipped > 100
    assert sound.rms_dbfs == pytest.approx(whole.rms_dbfs, abs=1e-9)
