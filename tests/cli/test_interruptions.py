"""A long command that is interrupted ends with 130 and one line; nothing goes on, nothing is half.

What speaks, searches and compresses is interrupted in tests of its own.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

EDGEKWS = [sys.executable, "-m", "edgekws"]
AGAIN = b"interrupted; run the same command again to resume\n"
LIMIT_S = 60


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """So many clips that no command is done with them in a moment."""
    first = tmp_path / "clip.wav"
    soundfile.write(first, np.zeros(16_000), 16_000)
    for label in ("да", "нет"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(2_000):
            (tmp_path / "clips" / label / f"s{number % 9}_nohash_{number}.wav").hardlink_to(first)
    first.unlink()
    return tmp_path / "clips"


@contextmanager
def started(folder: Path, *arguments: str | Path) -> "Iterator[subprocess.Popen[bytes]]":
    pipe = subprocess.PIPE
    environment = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    command = [*EDGEKWS, *map(str, arguments), "--json"]
    with subprocess.Popen(
        command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        yield process


def interrupt(process: "subprocess.Popen[bytes]", number: signal.Signals) -> int:
    """Send a signal, look at how the process ends, and return how many children it had."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, errors = process.communicate(timeout=LIMIT_S)
    _, alive = psutil.wait_procs(children, timeout=LIMIT_S)
    assert (process.returncode, errors, alive) == (130, AGAIN, [])
    return len(children)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """The folder for temporary files of a command, which is to be empty in the end."""
    (tmp_path / "scratch").mkdir()
    yield tmp_path / "scratch"
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_profile_and_its_processes(bundle: Path, scratch: Path, number: signal.Signals) -> None:
    with started(scratch, "profile", bundle, "--seconds", "60") as process:
        assert process.stdout is not None
        assert any(b"measuring" in line for line in process.stdout)
        while len(psutil.Process(process.pid).children(recursive=True)) < 2:
            assert process.poll() is None
        assert interrupt(process, number) >= 2


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("predict", "{bundle}", "{clips}", "--output", "{out}/labels.csv"), signal.SIGTERM),
        (("data", "augment", "{clips}", "--output", "{out}/more"), signal.SIGINT),
    ],
)
def test_what_reads_clips(
    bundle: Path,
    clips: Path,
    scratch: Path,
    tmp_path: Path,
    command: tuple[str, ...],
    number: signal.Signals,
) -> None:
    (tmp_path / "out").mkdir()
    names = {"bundle": bundle, "clips": clips, "out": tmp_path / "out"}
    with started(scratch, *(word.format(**names) for word in command)) as process:
        assert process.stdout is not None
        assert any(b'"progress"' in line for line in process.stdout)
        interrupt(process, number)
    # what the same command goes on from is hidden, and has no name of an output
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_detect_that_listens(tone_bundle: Path, scratch: Path, number: signal.Signals) -> None:
    with started(scratch, "detect", tone_bundle, "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        wave = np.sin(np.arange(48_000) * 0.4) * 8_000
        process.stdin.write(wave.astype("<i2").tobytes())
        process.stdin.flush()
        interrupt(process, number)
