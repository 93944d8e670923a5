"""A small Speech Commands, as a folder and as archives behind a server on this machine."""

import hashlib
import http.server
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.datasets._download import Archive
from edgekws.datasets.speech_commands import WORDS, which_set

_NAMES = tuple(f"{number:08x}" for number in range(100))
SPEAKERS = tuple(
    name
    for split, count in (("train", 8), ("dev", 4), ("test", 4))
    for name in [name for name in _NAMES if which_set(f"{name}_nohash_0.wav") == split][:count]
)
"""Eight of train, four of dev and four of test, by the hash."""


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by name, with ranges; breaks off where `cut_at` says, and notes requests."""

    files: dict[str, bytes]
    cut_at: int | None
    ranges: bool
    asked: list[str | None]

    def archive(self, name: str, content: bytes) -> Archive:
        self.files[name] = content
        url = f"http://127.0.0.1:{self.server_address[1]}/data/{name}"
        return Archive(url, hashlib.sha256(content).hexdigest())


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        content = self.server.files.get(self.path.rpartition("/")[2])
        if content is None:
            self.send_error(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", asked or "") if self.server.ranges else None
        start = int(match.group(1)) if match else 0
        if match and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.server.cut_at])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), _Handler) as server:
        server.files, server.cut_at, server.ranges, server.asked = {}, None, True, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sound(seconds: float = 0.2, pitch: float = 0.2) -> bytes:
    """Return a tone as a WAV file of 16 kHz."""
    file = io.BytesIO()
    wave = 0.1 * np.sin(np.arange(int(seconds * 16_000)) * pitch)
    soundfile.write(file, wave, 16_000, format="WAV")
    return file.getvalue()


def members() -> dict[str, bytes]:
    """Return the files of a small version 2: 11 words of 16 speakers, and 6 noise recordings."""
    files = {
        f"./{word}/{speaker}_nohash_0.wav": sound(pitch=0.1 + 0.01 * i + 0.001 * k)
        for i, word in enumerate((*WORDS["12"], "bed"))
        for k, speaker in enumerate(SPEAKERS)
    }
    for i in range(6):
        files[f"./_background_noise_/{i}.wav"] = sound(2, pitch=0.01 * (i + 1))
    for name, split in (("validation_list.txt", "dev"), ("testing_list.txt", "test")):
        listed = [path[2:] for path in files if which_set(path.rpartition("/")[2]) == split]
        listed = [path for path in listed if "_nohash_" in path]
        files[f"./{name}"] = "\n".join(listed).encode()
    return files


def packed(files: dict[str, bytes]) -> bytes:
    """Return a `.tar.gz` of files by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def put(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files by name under `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def small_version_2(tmp_path: Path) -> Path:
    return put(tmp_path / "root" / "SpeechCommands" / "speech_commands_v0.02", members())
