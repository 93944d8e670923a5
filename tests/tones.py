"""A small data set of tones by ten speakers, and networks that are one matrix."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from edgekws.core.contract import Contract, Normalization
from edgekws.lowering import onnx_file
from edgekws.recipe.load import Loaded, load
from edgekws.runtime.front_end import FrontEnd

WORDS = ("да", "нет")
SPLITS = ("train",) * 4 + ("dev",) * 3 + ("test",) * 3

RECIPE = """
schema = 1
name = "tones"
seed = 3
[dataset]
kind = "manifest"
path = "{table}"
unknown = false
[front_end]
sample_rate = 8000
n_fft = 256
win_length = 240
hop_length = 80
n_mels = 10
f_max = 4000
[[steps]]
kind = "teacher"
backbone = {{ kind = "plain" }}
"""


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe: two words, each twice by ten speakers, a tone a word in noise."""
    folder = tmp_path_factory.mktemp("тоны")
    rng = np.random.default_rng(5)
    rows = []
    for speaker, split in enumerate(SPLITS):
        for word, label in enumerate(WORDS):
            for take in range(2):
                name = f"{label}-{speaker}-{take}.wav"
                tone = np.sin(np.arange(8000) * (0.4 + 0.8 * word + 0.02 * speaker))
                soundfile.write(folder / name, 0.2 * tone + 0.1 * rng.standard_normal(8000), 8000)
                rows.append({"path": name, "label": label, "speaker": f"s{speaker}"})
                rows[-1]["split"] = split
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    recipe = folder / "tones.toml"
    recipe.write_text(RECIPE.format(table=folder / "clips.csv"), encoding="utf-8")
    return recipe


@pytest.fixture
def loaded(
    tones: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Loaded:
    """Return the recipe, with a cache of its own that lasts for the session."""
    cache = tones.parent / "cache"
    monkeypatch.setenv("EDGEKWS_CACHE", str(cache))
    return load(str(tones))


Linear = Callable[..., SimpleNamespace]


@pytest.fixture
def linear(tmp_path: Path) -> Linear:
    """Return what writes a network: logits are a matrix times the mean features over time."""

    def write(
        name: str,
        front_end: FrontEnd,
        normalization: Normalization,
        labels: tuple[str, ...] = WORDS,
        seed: int = 0,
    ) -> SimpleNamespace:
        mels = front_end.n_mels
        matrix = np.random.default_rng(seed).standard_normal((mels, len(labels)))
        matrix = matrix.astype(np.float32)
        shape = (mels, front_end.n_frames)
        contract = Contract(front_end, normalization, labels, shape, {"kind": "plain"})
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx_file.save(_model(matrix, shape), contract, path)
        return SimpleNamespace(path=path, matrix=matrix, contract=contract)

    return write


def _model(matrix: np.ndarray, shape: tuple[int, int]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("GlobalAveragePool", ["features"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", matrix.shape[1]])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
