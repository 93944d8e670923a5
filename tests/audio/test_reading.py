"""Audio files of every kind come out as mono at the rate that was asked for."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.audio.reading import read_audio
from edgekws.errors import DataError


def _tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> NDArray[np.float32]:
    time = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_formats_and_rates(tmp_path: Path, name: str, rate: int) -> None:
    soundfile.write(tmp_path / name, _tone(rate), rate)
    wave = read_audio(tmp_path / name, 16_000)
    assert wave.shape == (8_000,)
    assert wave.dtype == np.float32
    middle = slice(1_000, -1_000)
    np.testing.assert_allclose(wave[middle], _tone(16_000)[middle], atol=0.03)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = _tone(16_000), _tone(16_000, hz=880)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16_000, "FLOAT")
    np.testing.assert_allclose(
        read_audio(tmp_path / "a.wav", 16_000), (left + right) / 2, atol=1e-6
    )


def test_part_of_a_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", _tone(16_000), 16_000, "FLOAT")
    whole = read_audio(tmp_path / "a.wav", 16_000)
    part = read_audio(tmp_path / "a.wav", 16_000, start_s=0.1, end_s=0.2)
    np.testing.assert_array_equal(part, whole[1_600:3_200])
    assert len(read_audio(tmp_path / "a.wav", 16_000, 0.4, 9.0)) == 1_600
    assert len(read_audio(tmp_path / "a.wav", 8_000, 2.0)) == 0


@pytest.mark.parametrize(
    ("pattern", "seconds"),
    [("asc/yes/*.flac", (1, 1)), ("librispeech/*/*.ogg", (2, 40)), ("wuw2/*/*/*.flac", (0.5, 9))],
)
def test_real_recordings(shared_data: Path, pattern: str, seconds: tuple[float, float]) -> None:
    path = min(shared_data.glob(pattern))
    wave = read_audio(path, 16_000)
    assert seconds[0] <= len(wave) / 16_000 <= seconds[1]
    assert 0.01 < np.abs(wave).max() <= 1.2
    part = read_audio(path, 16_000, 0.25, 0.5)
    assert len(part) == 4_000
    inner = slice(200, -200)  # a part has edges of its own where the rate is changed
    np.testing.assert_allclose(part[inner], wave[4_000:8_000][inner], atol=2e-3)


def test_paths_may_be_any_unicode(tmp_path: Path) -> None:
    path = tmp_path / "قف 停.wav"
    soundfile.write(path, _tone(16_000), 16_000)
    assert len(read_audio(path, 16_000)) == 8_000


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.wav: no such file; correct the path"):
        read_audio(tmp_path / "none.wav", 16_000)
    (tmp_path / "text.wav").write_text("not audio")
    with pytest.raises(DataError, match=r"text\.wav: cannot be read as audio .*convert it to WAV"):
        read_audio(tmp_path / "text.wav", 16_000)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(DataError, match=r"folder\.wav: is a folder"):
        read_audio(tmp_path / "folder.wav", 16_000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16_000, "FLOAT")
    with pytest.raises(DataError, match=r"nan\.wav: holds samples that are not finite"):
        read_audio(tmp_path / "nan.wav", 16_000)
