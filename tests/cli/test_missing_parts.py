"""A package that is not there ends a command with code 6 and the line that installs it."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
hidden = sys.argv[1]

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())

import edgekws.recipe.load

def work(path, overrides=()):
"""
REST = """
edgekws.recipe.load.load = work
from edgekws.cli import main
sys.argv = ["edgekws", "plan", "r.toml"]
main()
"""
WORK = {
    "espeakng_loader": """
    from edgekws.synthesizers.speaking.espeak_ng import Espeak
    Espeak()
""",
    "torchaudio": """
    from edgekws.audio._torchaudio import load
    load()
""",
    "onnxsim": """
    from edgekws.lowering.simplify import simplify
    simplify("a.onnx", "b.onnx", None)
""",
    "neural_compressor": """
    import numpy, torch
    from edgekws.core.family import load
    backend = load("Quantizer", "neural_compressor")(kind="neural_compressor")
    backend.quantize(torch.nn.Conv2d(1, 1, 1), numpy.zeros((2, 1, 4, 4), "float32"), "minmax")
""",
    "onnxscript": """
    import numpy, torch
    from edgekws.quantizers.neural_compressor import _to_onnx
    _to_onnx(torch.export.export(torch.nn.ReLU(), (torch.zeros(2, 3),)).module(),
             numpy.zeros((1, 3), "float32"))
""",
}
LINES = {
    "espeakng_loader": "pip install espeakng-loader",
    "torchaudio": "pip install 'torchaudio<",
    "onnxsim": "pip install 'onnxsim>=",
    "neural_compressor": "pip install 'neural-compressor[pt]>=",
    "onnxscript": "pip install 'onnxscript>=",
}


def run(hidden: str, work: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM + work + REST, hidden]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, cwd=root)


@pytest.mark.parametrize("hidden", WORK)
def test_a_part_that_is_not_installed_ends_with_code_6(hidden: str) -> None:
    done = run(hidden, WORK[hidden])
    assert done.returncode == 6, done.stderr
    told = done.stderr.splitlines()[-1]
    assert told.startswith("error: ")
    assert "is not installed" in told
    assert LINES[hidden] in told
    assert "Traceback" not in done.stderr


def test_a_module_of_our_own_that_is_not_there_is_a_bug() -> None:
    done = run("nothing", "\n    import edgekws.no_such_room\n")
    assert done.returncode == 1
    assert done.stderr.startswith("a bug: ModuleNotFoundError: No module named 'edgekws.no_such_")
