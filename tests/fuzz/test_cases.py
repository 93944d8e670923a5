"""Some hundreds of mutated inputs; `python tools/fuzz.py` runs as many as are asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = {"recipes": 15, "tables": 10, "audio": 6, "bundles": 15, "caches": 2}


def fuzz(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the tool in an interpreter of its own: only one that has no threads can be forked."""
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """Cases of every kind, run by one process."""
    each = [word for kind, count in CASES.items() for word in ("--kind", kind, "--cases", count)]
    return fuzz(*each, "--workers", 1, "--failures", tmp_path_factory.mktemp("failures"))


@pytest.mark.parametrize("kind", CASES)
def test_mutated_input_is_refused_or_used_and_nothing_else(
    kind: str, campaign: "subprocess.CompletedProcess[str]"
) -> None:
    assert campaign.returncode == 0, campaign.stdout + campaign.stderr
    rows = [line.split()[:3] for line in campaign.stdout.splitlines()]
    assert [kind, str(CASES[kind]), "0"] in rows


def test_a_case_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    again = [fuzz("--kind", "bundles", "--seed", 4, "--case", 11).stdout for _ in range(2)]
    codes = [text.splitlines()[-1].split("  ")[-1] for text in again]
    assert codes[0] == codes[1]
