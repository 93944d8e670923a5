"""A short soak of the C of a bundle under sanitizers; `tools/soak_c.py` feeds as much as asked."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.int8_bundle import pack_bundle, write_model

ROOT = Path(__file__).parents[2]


def test_a_soak_finds_nothing_and_says_how_much_it_fed(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    write_model(tmp_path)
    bundle = pack_bundle(tmp_path, tmp_path / "bundle", streaming=True)
    tool = [sys.executable, str(ROOT / "tools" / "soak_c.py"), str(bundle)]
    done = subprocess.run(
        [*tool, "--hours", "0.05", "--compiler", "gcc"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["hours"] == 0.05
    assert result["pieces"] > 1000
    assert result["events"] > 0
    assert result["state_bytes"] > 0
    assert "-fsanitize=address,undefined" in result["cflags"]
