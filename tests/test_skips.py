"""Skipped tests are counted at the end; where nothing may be left out, they fail the run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import ALLOWED, forbidden

ROOT = Path(__file__).parents[1]
SKIPPING = """
import pytest
@pytest.mark.parametrize("n", [1, 2])
def test_skipped(n): pytest.skip({reason!r})
def test_passed(): pass
"""


def run(folder: Path, reason: str, *options: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_it.py").write_text(SKIPPING.format(reason=reason))
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-c", "/dev/null", *options]
    command += ["-p", "no:cacheprovider", "--rootdir", str(folder), str(folder / "test_it.py")]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("reason", "options", "code"),
    [
        ("no Chromium on PATH: apt-get install chromium", (), 0),
        ("no Chromium on PATH: apt-get install chromium", ("--forbid-skips",), 1),
        ("this machine has no CUDA device", ("--forbid-skips",), 0),
    ],
)
def test_a_skip_is_said_and_may_be_forbidden(
    tmp_path: Path, reason: str, options: tuple[str, ...], code: int
) -> None:
    done = run(tmp_path, reason, *options)
    assert done.returncode == code, done.stdout
    assert f"2 × {reason}\n" in done.stdout
    assert ("not allowed here" in done.stdout) == bool(code)


def test_what_a_package_would_cure_is_not_allowed() -> None:
    curable = [
        "needs sshd and ssh: apt-get install openssh-server openssh-client",
        "no Chromium on PATH: apt-get install chromium",
        "no PostgreSQL server here; apt-get install postgresql",
        "strace is not installed",
        "Ray is not installed",
    ]
    assert forbidden(curable) == curable


def test_every_allowed_reason_is_one_that_a_test_gives() -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "tests").rglob("*.py")
        if path.name not in ("skips.py", "test_skips.py")
    )
    for reason in ALLOWED:
        for word in reason.replace("(a|no)", "a").split(" has "):
            assert word in source, reason
