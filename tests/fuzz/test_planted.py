"""The fuzzer sees every kind of fault: a check that cannot fail would be worth nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXPECTED = {
    "raises": "says that it is a bug",
    "shows_a_traceback": "shows a traceback",
    "another_exit_code": "exit code 7, not one of",
    "says_nothing": "exit code 2 without a word",
    "is_killed": "ended by signal 11",
    "computes": "of processor time, more than 1",
    "waits": "did not end in 3 s",
    "allocates": "MiB, more than 600",
    "changes_its_input": "changed its input: 'box/in/table.csv'",
    "removes_its_input": "removed: 'box/in/table.csv'",
    "writes_beside": "wrote outside of its output: 'escaped'",
    "writes_to_home": "wrote outside of its output: 'box/home/.config'",
    "leaves_a_temporary_file": "wrote outside of its output: 'box/tmp/left'",
    "leaves_half_a_file": "left half-written: .edgekws-0123abcd.part",
    "warns": "shows a warning of Python: ",
    "colours": "writes the control character '\\x1b'",
    "prints_text_for_json": "a line of standard output is not JSON",
    "prints_nan_for_json": "a line of standard output is not JSON (NaN is no JSON)",
    "believes_the_cache": "gives other figures than with the sound cache",
}


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    """What the fuzzer says of each planted fault."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.fuzz.planted"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    problems: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return problems


def test_a_sound_command_is_let_pass(found: dict[str, list[str]]) -> None:
    assert found["sound"] == []


def test_every_planted_fault_is_in_the_table(found: dict[str, list[str]]) -> None:
    assert found.keys() == {"sound", *EXPECTED}


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_planted_fault_is_found(found: dict[str, list[str]], fault: str) -> None:
    assert any(EXPECTED[fault] in problem for problem in found[fault]), found[fault]
