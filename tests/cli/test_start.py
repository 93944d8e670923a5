"""The command starts quickly: what a fresh interpreter has loaded, and how it ends."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "onnx", "onnxruntime", "numpy", "rich", "matplotlib", "scipy")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], (*HEAVY, "pydantic")),
        (["--version"], (*HEAVY, "pydantic")),
        (["compress", "--help"], HEAVY),  # typer itself takes pydantic for a command's arguments
    ],
)
def test_help_loads_nothing_heavy(arguments: list[str], heavy: tuple[str, ...]) -> None:
    program = f"""
import sys
from edgekws.cli import main
sys.argv = ["edgekws", *{arguments!r}]
try:
    main()
except SystemExit as end:
    loaded = {{name.partition(".")[0] for name in sys.modules}}
    print(sorted(loaded.intersection({heavy!r})), end.code, "edgekws" in loaded)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[] 0 True"], done.stderr


def test_a_wrong_recipe_ends_a_process_with_code_2() -> None:
    command = [sys.executable, "-m", "edgekws", "plan", "no-such.toml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: no-such.toml: there is no such recipe file")


def test_a_bug_ends_a_process_with_one_line_and_code_1() -> None:
    program = """
import sys
import edgekws.recipe.load
from edgekws.cli import main
edgekws.recipe.load.load = lambda path, overrides: [][0]
sys.argv = ["edgekws", "plan", "quickstart"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("a bug: IndexError: list index out of range; run again with")
    assert done.stderr.count("\n") == 1
