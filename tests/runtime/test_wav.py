"""WAV files as recorders, streaming writers and crashes leave them, read by the runtime alone."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.runtime.detect import read_wav
from tests.tone_bundle import RATE, track

PCM = np.rint(track(1.0, {0.3: "низкий"}) * 32767).astype("<i2")
PCM[:100] = 0  # as many recordings begin


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    size = len(body) if size is None else size
    return name + struct.pack("<I", size) + body + b"\0" * (len(body) % 2)


def pcm_form(rate: int = RATE, bits: int = 16, coding: int = 1) -> bytes:
    return struct.pack("<HHIIHH", coding, 1, rate, rate * bits // 8, bits // 8, bits)


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def unfinished(riff_size: int | None, data_size: int) -> bytes:
    return riff(
        chunk(b"fmt ", pcm_form()), chunk(b"data", PCM.tobytes(), data_size), size=riff_size
    )


@pytest.mark.parametrize(
    ("riff_size", "data_size"),
    [(0, 0), (36, 0), (None, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF024, 0x7FFFF000)],
)
def test_an_unfinished_header_is_read_to_the_end(
    tmp_path: Path, riff_size: int | None, data_size: int
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(unfinished(riff_size, data_size))
    np.testing.assert_array_equal(read_wav(path, RATE), PCM / np.float32(32768))


def test_an_empty_file_with_a_tag_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    tag = chunk(b"LIST", b"INFOISFT\4\0\0\0abc\0")
    path.write_bytes(riff(chunk(b"fmt ", pcm_form()), chunk(b"data", b""), tag))
    assert len(read_wav(path, RATE)) == 0


def test_chunks_around_the_samples_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    data = chunk(b"data", PCM.tobytes())
    path.write_bytes(
        riff(chunk(b"bext", b"x" * 601), chunk(b"fmt ", pcm_form()), data, chunk(b"LIST", b"y" * 9))
    )
    np.testing.assert_array_equal(read_wav(path, RATE), PCM / np.float32(32768))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_the_extensible_form_is_read(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, PCM, RATE, subtype=subtype, format="WAVEX")
    assert path.read_bytes()[20:22] == b"\xfe\xff"
    expected = soundfile.read(path, dtype="float32")[0]
    np.testing.assert_allclose(read_wav(path, RATE), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin with RIFF"),
        (b"RIFX" + unfinished(None, 8)[4:], "does not begin with RIFF"),
        (riff(chunk(b"fmt ", pcm_form())), "there is no data chunk"),
        (riff(chunk(b"fmt ", pcm_form(), 0xFFFFFFF0)), "there is no data chunk"),
        (riff(chunk(b"data", b"1234")), "no complete fmt chunk before the samples"),
        (riff(chunk(b"fmt ", pcm_form()[:9]), chunk(b"data", b"1234")), "no complete fmt chunk"),
        (riff(chunk(b"fmt ", bytes(16)), chunk(b"data", b"1234")), "0 channels in frames of 0"),
        (riff(chunk(b"fmt ", pcm_form(bits=64)), chunk(b"data", b"")), "format 1, 64 bits"),
        (riff(chunk(b"fmt ", pcm_form(bits=64, coding=3)), chunk(b"data", b"")), "format 3, 64"),
    ],
)
def test_a_damaged_header_is_reported(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.wav: not a PCM WAV file \(.*{why}.*; convert it"):
        read_wav(path, RATE)


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "a.wav"
    os.mkfifo(pipe)
    with subprocess.Popen([sys.executable, "-c", _WRITE, str(pipe)], stdin=subprocess.PIPE) as at:
        assert at.stdin is not None
        at.stdin.write(unfinished(0, 0))
        at.stdin.close()
        np.testing.assert_array_equal(read_wav(pipe, RATE), PCM / np.float32(32768))


_WRITE = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"


def run(bundle: Path, *arguments: object, **environment: str) -> tuple[int, str, str]:
    """Run the bundle's own `detect.py` in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, str(bundle / "detect.py"), *map(str, arguments)],
        capture_output=True,
        env=os.environ | environment,
        check=False,
    )
    return done.returncode, done.stdout.decode("ascii"), done.stderr.decode()


def test_a_file_without_samples_is_an_error(tone_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, PCM[:0], RATE)
    for what in ("--clip", "--stream"):
        code, lines, errors = run(tone_bundle, what, path)
        assert (code, lines) == (5, "")
        assert "empty.wav: holds no samples; record it again" in errors


def test_names_are_escaped_where_standard_output_cannot_write_them(
    tone_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "звук.wav"
    soundfile.write(path, PCM, RATE)
    for what in ("--clip", "--stream"):
        code, line, errors = run(tone_bundle, what, path, PYTHONIOENCODING="ascii")
        assert (code, errors) == (0, "")
        assert json.loads(line)["file"] == str(path)
