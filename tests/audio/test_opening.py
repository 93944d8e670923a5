"""Files as recorders, crashes and converters leave them: read everywhere, or refused by name."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edgekws.audio.decoding import to_int16
from edgekws.audio.inspection import inspect
from edgekws.audio.opening import length_s
from edgekws.audio.reading import read_audio, read_blocks
from edgekws.errors import DataError
from edgekws.runtime.detect import read_wav

RATE = 16_000


@pytest.fixture(scope="module")
def word(shared_data: Path) -> NDArray[np.float32]:
    """A spoken word, one second at 16 kHz."""
    path = min(shared_data.glob("asc/yes/*.flac"))
    wave: NDArray[np.float32] = soundfile.read(path, dtype="float32")[0]
    return wave


def unfinished_wav(path: Path) -> None:
    """Take the sizes out of a WAV header, as a writer does that was stopped."""
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = bytes(4)
    path.write_bytes(content)


CODINGS = ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM")


@pytest.mark.parametrize("coding", [*CODINGS, "GSM610"])
def test_a_wav_without_sizes_is_read_to_its_end(
    tmp_path: Path, coding: str, word: NDArray[np.float32]
) -> None:
    rate = 8_000 if coding == "GSM610" else RATE
    path = tmp_path / "a.wav"
    soundfile.write(path, word, rate, coding)
    whole = read_audio(path, rate)
    assert np.abs(whole).max() > 0.01
    unfinished_wav(path)
    assert soundfile.info(path).frames == 0
    np.testing.assert_array_equal(read_audio(path, rate)[: len(word)], whole[: len(word)])
    assert length_s(path) == pytest.approx(len(word) / rate, abs=0.1)
    assert inspect(path).length_s == length_s(path)


def test_runtime_and_command_read_an_unfinished_wav_alike(
    tmp_path: Path, word: NDArray[np.float32]
) -> None:
    soundfile.write(tmp_path / "a.wav", word, RATE)
    unfinished_wav(tmp_path / "a.wav")
    command, runtime = read_audio(tmp_path / "a.wav", RATE), read_wav(tmp_path / "a.wav", RATE)
    np.testing.assert_array_equal(command, runtime)
    assert len(command) == RATE


def test_a_flac_without_a_length_is_read_to_its_end(
    tmp_path: Path, word: NDArray[np.float32]
) -> None:
    soundfile.write(tmp_path / "a.flac", word, RATE)
    whole = read_audio(tmp_path / "a.flac", RATE)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.flac", RATE), whole)
    np.testing.assert_array_equal(
        read_audio(tmp_path / "a.flac", RATE, 0.25, 0.5), whole[4000:8000]
    )
    assert length_s(tmp_path / "a.flac") == inspect(tmp_path / "a.flac").length_s == 1.0


def test_parts_of_a_file_that_cannot_be_sought_in(
    tmp_path: Path, word: NDArray[np.float32]
) -> None:
    soundfile.write(tmp_path / "a.wav", word, 8_000, "GSM610")
    whole = read_audio(tmp_path / "a.wav", 8_000)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", 8_000, 0.5, 1), whole[4000:8000])
    assert len(read_audio(tmp_path / "a.wav", 8_000, 9)) == 0
    assert inspect(tmp_path / "a.wav", 0.5, 1.0).length_s == 0.5


def test_integers_stored_as_floats_are_refused_everywhere(
    tmp_path: Path, word: NDArray[np.float32]
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, to_int16(word).astype(np.float32), RATE, "FLOAT")
    for read in (read_audio, lambda *given: list(read_blocks(*given)), lambda p, _: inspect(p)):
        with pytest.raises(
            DataError, match=r"a\.wav: samples reach \d+, but full .* \(16-bit: 32768"
        ):
            read(path, RATE)


@pytest.mark.parametrize("largest", [3e38, 1e300])
def test_floats_without_measure_are_refused(tmp_path: Path, largest: float) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0, largest, 0, -largest]), RATE, "DOUBLE")
    with pytest.raises(
        DataError, match=r"a\.wav: (samples reach|holds samples that are not finite)"
    ):
        read_audio(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_what_is_above_full_scale_is_heard_as_training_hears_it(
    tmp_path: Path, rate: int, word: NDArray[np.float32]
) -> None:
    loud = word * (1.5 / np.abs(word).max())
    soundfile.write(tmp_path / "a.wav", loud, rate, "FLOAT")
    wave = read_audio(tmp_path / "a.wav", RATE)
    assert np.abs(wave).max() == 1
    np.testing.assert_allclose(wave, to_int16(wave) / 32768, atol=1 / 32768)


def claim(path: Path, rate: int) -> Path:
    """Write 100 kB of silence that claim another rate."""
    soundfile.write(path, np.zeros(50_000, np.int16), RATE)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("rate", [1, 39, 999, 768_001, 2_000_000_000])
def test_rates_that_no_recorder_has_are_refused(tmp_path: Path, rate: int) -> None:
    path = claim(tmp_path / "a.wav", rate)
    for read in (lambda: read_audio(path, RATE), lambda: inspect(path), lambda: length_s(path)):
        with pytest.raises(
            DataError, match=rf"a\.wav: {rate} Hz; expected a rate from 1000 to 768"
        ):
            read()


@pytest.mark.parametrize("rate", [1_000, 768_000])
def test_the_slowest_and_the_fastest_recorder(tmp_path: Path, rate: int) -> None:
    path = claim(tmp_path / "a.wav", rate)
    assert len(read_audio(path, RATE)) == pytest.approx(50_000 * RATE / rate, abs=1)
    assert inspect(path).sample_rate == rate


def test_channels_that_cancel_out_are_told(tmp_path: Path, word: NDArray[np.float32]) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([word, -word], 1), RATE)
    for read in (read_audio, lambda p, _: inspect(p)):
        with pytest.raises(
            DataError, match=r"a\.wav: its channels cancel .* keep a single channel"
        ):
            read(path, RATE)
    with pytest.raises(ValueError, match=r"a\.wav: its channels cancel .* keep a single channel"):
        read_wav(path, RATE)
    soundfile.write(path, np.stack([word, -0.8 * word], 1), RATE)
    assert np.abs(read_audio(path, RATE)).max() > 0.001
    soundfile.write(path, np.zeros((RATE, 2)), RATE)
    assert len(read_audio(path, RATE)) == RATE


@pytest.mark.parametrize("name", ["a.raw", "a.RAW"])
def test_a_recording_called_raw_is_read_by_its_header(
    tmp_path: Path, name: str, word: NDArray[np.float32]
) -> None:
    path = tmp_path / name
    soundfile.write(path, word, RATE, format="WAV")
    assert len(read_audio(path, RATE)) == len(word)
    unfinished_wav(path)
    assert len(read_audio(path, RATE)) == len(word)
    assert length_s(path) == len(word) / RATE
    assert inspect(path).length_s == len(word) / RATE


def test_samples_without_a_header_are_refused(tmp_path: Path, word: NDArray[np.float32]) -> None:
    (tmp_path / "a.raw").write_bytes(to_int16(word).tobytes())
    with pytest.raises(DataError, match=r"a\.raw: cannot be read as audio \(Format not recogni"):
        length_s(tmp_path / "a.raw")
    with pytest.raises(DataError, match=r"none\.raw: no such file"):
        length_s(tmp_path / "none.raw")


def test_names_that_are_not_utf8(tmp_path: Path, word: NDArray[np.float32]) -> None:
    soundfile.write(tmp_path / "a.wav", word, RATE)
    path = (tmp_path / "a.wav").rename(tmp_path / "\udcff.wav")
    assert len(read_audio(path, RATE)) == RATE


def test_what_is_too_long_for_memory_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekws.audio.reading.MOST_SAMPLES", 200_000)
    soundfile.write(tmp_path / "a.wav", np.zeros(300_000), RATE)
    with pytest.raises(DataError, match=r"a\.wav: longer than 0\.0 hours; split it"):
        read_audio(tmp_path / "a.wav", RATE)
    assert sum(map(len, read_blocks(tmp_path / "a.wav", RATE))) == 300_000
