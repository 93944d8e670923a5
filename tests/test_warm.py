"""The warm command line begins as a fresh interpreter does."""

import os
from pathlib import Path

from tests.warm import Program

MAIN = "import tempfile, torch\nprint(torch.NAME, tempfile.gettempdir())\n"


def test_modules_and_temporary_folder_are_those_of_the_environment(
    program: Program, tmp_path: Path
) -> None:
    for name, text in {
        "edgekws/__main__": MAIN,
        "edgekws/__init__": "",
        "torch": "NAME = 7",
    }.items():
        path = tmp_path / "modules" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "modules"), "TMPDIR": str(tmp_path)}
    done = program.run(cwd=tmp_path, env=environment)
    assert (done.stdout, done.stderr) == (f"7 {tmp_path}\n", "")
