"""The runtime that every bundle carries, run as its users run it."""

import io
import json
import math
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edgekws.runtime import detect


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


@given(st.lists(st.integers(-100, 100), max_size=30), st.integers(1, 20))
def test_fit_window_against_a_search(samples: list[int], size: int) -> None:
    wave = np.array(samples, np.float32)
    fitted = detect.fit_window(wave, size)
    assert fitted.shape == (size,)
    assert fitted.dtype == np.float32
    if len(wave) <= size:
        left = (size - len(wave)) // 2
        np.testing.assert_array_equal(fitted[left : left + len(wave)], wave)
        assert np.abs(fitted).sum() == np.abs(wave).sum()
    else:
        parts = [wave[i : i + size] for i in range(len(wave) - size + 1)]
        loudest = max(parts, key=lambda part: float((part.astype(float) ** 2).sum()))
        np.testing.assert_array_equal(fitted, loudest)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_reading_equals_soundfile(tmp_path: Path, subtype: str) -> None:
    stereo = np.random.default_rng(0).uniform(-0.9, 0.9, (400, 2))
    path = write_wav(tmp_path / "звук.wav", stereo, subtype=subtype)
    expected = soundfile.read(path, dtype="float32")[0].mean(axis=1)
    np.testing.assert_allclose(detect.read_wav(path, 16_000), expected, atol=1e-6)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros(100), rate=8_000)
    with pytest.raises(ValueError, match="8000 Hz, but the model expects 16000 Hz; resample it"):
        detect.read_wav(path, 16_000)
    path.write_bytes(b"RIFFnonsense")
    with pytest.raises(ValueError, match=r"a\.wav: not a PCM WAV file"):
        detect.read_wav(path, 16_000)
    for subtype in ("GSM610", "DOUBLE", "ULAW"):
        write_wav(path, np.zeros(100), subtype=subtype)
        with pytest.raises(ValueError, match=r"a\.wav: not a PCM WAV file .*; convert it to 16"):
            detect.read_wav(path, 16_000)


def test_floats_that_are_no_samples_are_refused_with_the_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.array([0.0, 12_000, -3.0]), subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: .*not up to 12000; divide by full scale"):
        detect.read_wav(path, 16_000)
    write_wav(path, np.array([0.0, np.nan, 0.0]), subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav: expected finite numbers"):
        detect.read_wav(path, 16_000)


def test_the_command_prints_a_line_a_clip_and_goes_on_after_a_bad_one(bundle: Path) -> None:
    golden = json.loads((bundle / "golden" / "golden.json").read_text("utf-8"))
    clips = [bundle / "golden" / row["file"] for row in golden]
    command = [sys.executable, "-I", str(bundle / "detect.py"), "--clip", "missing.wav"]
    done = subprocess.run(
        [*command, *map(str, clips)], capture_output=True, text=True, encoding="utf-8"
    )
    lines = [json.loads(line) for line in io.StringIO(done.stdout)]
    assert done.returncode == 5
    assert "missing.wav" in done.stderr
    assert [line["label"] for line in lines] == [row["label"] for row in golden]
    assert all(set(line) == {"file", "label", "score"} for line in lines)


@pytest.mark.parametrize("loaded", ["numpy", "onnxruntime"])
def test_ctrl_c_ends_it_without_a_traceback(tone_bundle: Path, loaded: str) -> None:
    command = [sys.executable, "-I", str(tone_bundle / "detect.py"), "--stream", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        while loaded not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        process.wait(30)  # its standard input is still open
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (-signal.SIGINT, "")


def test_the_end_of_its_reader_ends_it_without_a_traceback(bundle: Path) -> None:
    clips = [str(next((bundle / "golden").glob("*.wav")))] * 400
    command = [sys.executable, "-I", str(bundle / "detect.py"), "--clip", *clips]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "label" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGPIPE


@pytest.mark.parametrize("hop_ms", ["inf", "nan", "-inf", "0"])
def test_a_hop_that_cannot_be_had_is_wrong_usage(tone_bundle: Path, hop_ms: str) -> None:
    command = [sys.executable, "-I", str(tone_bundle / "detect.py"), "--stream", "-"]
    done = subprocess.run([*command, f"--hop-ms={hop_ms}"], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"a decision every {float(hop_ms):g} ms is not possible" in done.stderr


def test_an_incomplete_bundle_is_named(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.onnx is missing"):
        detect.Classifier(bundle)


def test_wave_module_files_are_read(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "b.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.arange(-5, 5, dtype="<i2").tobytes())
    np.testing.assert_array_equal(
        detect.read_wav(tmp_path / "b.wav", 16_000), np.arange(-5, 5, dtype=np.float32) / 32768
    )


@pytest.mark.parametrize(
    ("width", "data", "expected"),
    [
        (1, b"\x00\x80\xff", [-1, 0, 127 / 128]),
        (2, b"\x00\x80\x00\x00\x01\x00\xff\x7f", [-1, 0, 1 / 32768, 32767 / 32768]),
        (3, b"\x00\x00\x80\x01\x00\x00\x00\x00\x40", [-1, 2**-23, 0.5]),
        (4, b"\x00\x00\x00\x80\x00\x00\x00\x40", [-1, 0.5]),
    ],
)
def test_samples_of_every_width_by_hand(width: int, data: bytes, expected: list[float]) -> None:
    samples = detect.from_pcm(data, width)
    assert samples.dtype == np.float32
    assert samples.tolist() == np.array(expected, np.float32).tolist()


def test_blocks_of_a_file_are_read_to_the_end(tmp_path: Path) -> None:
    samples = np.arange(2 * 32_000 + 5, dtype=np.int64) % 65_536 - 32_768
    path = write_wav(tmp_path / "a.wav", samples.astype(np.int16))
    blocks = list(detect.wav_blocks(path, 16_000))
    assert [len(block) for block in blocks] == [32_000, 32_000, 5]
    np.testing.assert_array_equal(np.concatenate(blocks), np.float32(samples / 32_768))


@pytest.mark.parametrize(
    ("hop_ms", "hops"), [(20, 1), (40, 2), (100, 5), (20.19, 1), (19.81, 1), (60.19, 3)]
)
def test_decisions_come_at_whole_hops(hop_ms: float, hops: int) -> None:
    assert detect.decision_hops(hop_ms, 20) == hops


@pytest.mark.parametrize("hop_ms", [0, 1, 9.9, 20.21, 19.79, 30, 50, 60.21])
def test_decisions_between_hops_cannot_be_had(hop_ms: float) -> None:
    with pytest.raises(ValueError, match=r"is not possible; use a multiple of 20 ms"):
        detect.decision_hops(hop_ms, 20)


def test_a_score_is_the_softmax_of_the_window_that_is_taken(bundle: Path) -> None:
    classifier = detect.Classifier(bundle)
    wave = np.random.default_rng(0).standard_normal(20_000).astype(np.float32) * 0.1
    logits = classifier.logits(detect.fit_window(wave, 16_000))
    odds = [math.exp(float(x)) for x in logits]
    label, score = classifier.classify(wave)
    assert label == classifier.labels[odds.index(max(odds))]
    assert score == pytest.approx(max(odds) / sum(odds), rel=1e-9)
    many = detect.softmax(np.stack([logits, logits + 1000]))
    np.testing.assert_allclose(many, [np.array(odds) / sum(odds)] * 2, rtol=1e-3)


def test_what_is_printed_of_an_event_is_rounded() -> None:
    event = detect.Event(1.23456, 2.00049, "да", 0.987654)
    assert event.line("a.wav") == {
        "file": "a.wav", "keyword": "да", "start_s": 1.235, "end_s": 2.0, "score": 0.9877,
    }  # fmt: skip
