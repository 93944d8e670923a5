"""A tiny recipe and the command line, run as users run it: in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.warm import Program

TINY = """
schema = 1
name = "проба"
seed = 3
threads = 1

[dataset]
kind = "synthetic"
keywords = ["lights", "stop"]
clips_per_keyword = 40
dev_clips_per_keyword = 16
test_clips_per_keyword = 16
speech_minutes = 1
dev_speech_minutes = 0.5
test_speech_minutes = 0.5

[front_end]
n_mels = 24

[augment]
copies = 1

[target]
kind = "host"
seconds = 0.05
processes = 2

[budget]
max_params = 10_000
min_int8_coverage = 0.99

[[steps]]
kind = "teacher"
backbone = { kind = "plain", variant = "microcnn" }
training = { epochs = 2 }

[[steps]]
kind = "distill"
teachers = ["teacher"]
backbone = { kind = "mel_spanning", channels = 8, blocks = 1, head = 0 }
training = { epochs = 4 }

[[steps]]
kind = "to2d"

[[steps]]
kind = "quantize"
calibration_clips = 32

[[steps]]
kind = "simplify"
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def command(*arguments: str | Path) -> list[str]:
    """Return the command line that runs edgekws in this interpreter."""
    return [sys.executable, "-m", "edgekws", *map(str, arguments)]


def environment(cache: Path, **more: str) -> dict[str, str]:
    """Return the environment of a run with its own cache, without colour."""
    return os.environ | {"EDGEKWS_CACHE": str(cache), "NO_COLOR": "1", **more}


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny recipe, `run.toml`, and the cache of all runs in it."""
    folder = tmp_path_factory.mktemp("дом")
    (folder / "run.toml").write_text(TINY, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def edgekws(home: Path, program: Program) -> Run:
    """Run the command line in `home`; keyword arguments go into the environment."""

    def run(*arguments: str | Path, **more: str) -> "subprocess.CompletedProcess[str]":
        return program.run(*arguments, cwd=home, env=environment(home / "cache", **more))

    return run


@pytest.fixture(scope="session")
def compressed(edgekws: Run, home: Path) -> Path:
    """`home` after the tiny recipe has been run to the end."""
    done = edgekws("compress", "run.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    return home
