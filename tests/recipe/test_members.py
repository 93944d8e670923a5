"""Recipes with the package's own members, in an interpreter that has loaded nothing else."""

import json
import subprocess
import sys
from pathlib import Path

RECIPE = """\
schema = 1
name = "quickstart"
seed = 7

[dataset]
kind = "synthetic"
keywords = ["lights", "music", "timer", "volume", "stop"]

[augment]
noise = { snr_db = [0, 20] }
spec_augment = { time_masks = 2, freq_masks = 1 }

[budget]
max_params = 10_000

[[steps]]
kind = "teacher"
backbone = { kind = "resnet18", width = 0.25 }
training = { epochs = 20, batch_size = 128, optimizer = { kind = "adamw", lr = 3e-3 } }

[[steps]]
kind = "distill"
teachers = ["teacher"]
backbone = { kind = "bcresnet", tau = 1 }
loss = { ce_weight = 0.65, kl_weight = 0.35, temperature = 3.0, label_smoothing = 0.1 }
training = { epochs = 30 }

[[steps]]
kind = "to2d"
backbone = { kind = "inverted_bottleneck", channels = 16 }

[[steps]]
kind = "quantize"
backend = { kind = "neural_compressor" }
max_drop = 0.005

[[steps]]
kind = "simplify"
"""

PROGRAM = """
import json
import sys
from pathlib import Path
from edgekws.core import family
from edgekws.errors import RecipeError
from edgekws.recipe.load import builtins, load
from edgekws.recipe.lock import lock
told = {"steps": [step.kind for step in load(sys.argv[1]).recipe.steps], "same": {}}
for path in (sys.argv[1], *builtins()):
    recipe = load(path).recipe
    locked = Path(sys.argv[1]).with_name("lock.toml")
    locked.write_text(lock(recipe), encoding="utf-8")
    told["same"][path] = load(locked).recipe == recipe
try:
    load(sys.argv[1], sys.argv[2:])
except RecipeError as error:
    told["problems"] = [problem.message for problem in error.problems]
for name in family.FAMILIES.keys() - {"Exporter"}:  # a recipe names no exporter
    for kind in family.kinds(name):
        family.load(name, kind)
told["heavy"] = sorted({"torch", "onnx", "onnxruntime", "scipy"} & set(sys.modules))
print(json.dumps(told))
"""


def test_a_recipe_is_read_without_torch(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    overrides = ["steps.distill.backbone.tua=1", "steps.0.training.optimizer.kind=adamv"]
    command = [sys.executable, "-c", PROGRAM, str(path), *overrides]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout)
    assert {str(path), "quickstart"} <= set(reported["same"])
    assert all(reported["same"].values())
    assert reported["steps"] == ["teacher", "distill", "to2d", "quantize", "simplify"]
    assert reported["heavy"] == []
    assert sorted(message.partition(";")[2] for message in reported["problems"]) == [
        " did you mean adamw?",
        " did you mean tau?",
    ]
