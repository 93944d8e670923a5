"""A short soak of a server; `tools/soak_serve.py` runs as long as asked."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_soak_finds_nothing_and_says_what_it_measured(bundle: Path, tmp_path: Path) -> None:
    tool = [
        sys.executable,
        "tools/soak_serve.py",
        str(bundle),
        "--output",
        str(tmp_path / "a.json"),
    ]
    size = ["--clients", "2", "--minutes", "0.05", "--track-s", "4", "--malformed", "110"]
    done = subprocess.run([*tool, *size], cwd=ROOT, capture_output=True, text=True)
    result = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    slow = [fault for fault in result["faults"] if fault.startswith("events late")]
    assert [fault for fault in result["faults"] if fault not in slow] == [], done.stderr
    steady, rough = result["steady"], result["malformed"]
    assert steady["streams"] == steady["clients"] == 2
    assert steady["events"] > 0
    assert rough["sessions"] == 110
    assert rough["refused"] > 50
    assert result["exit_code"] == 0
