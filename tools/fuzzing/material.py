"""What mutated inputs start from: a bundle, recordings, tables and a recipe, all sound."""

import json
import wave
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekws.core.contract import Contract, Normalization
from edgekws.lowering import onnx_file
from edgekws.runtime.front_end import FrontEnd
from tests import tone_bundle

RATE = 8000
WORDS = ("низкий", "высокий")
SPEAKERS = 10

RECIPE = """\
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
window_s = 0.5
[target]
kind = "host"
seconds = 0.05
processes = 2
[budget]
max_params = 100_000
[[steps]]
kind = "teacher"
backbone = {{ kind = "plain", variant = "microcnn" }}
training = {{ epochs = 1 }}
"""


def bundle(folder: Path) -> Path:
    """Write the bundle of tones, with its streaming form, into `folder`; return its folder."""
    return tone_bundle.make(folder, streaming=True)


def network(path: Path) -> None:
    """Write a network for `RECIPE`'s front end: logits are a matrix times the mean over time."""
    front_end = FrontEnd(
        sample_rate=RATE,
        n_fft=256,
        win_length=240,
        hop_length=80,
        n_mels=10,
        window_s=0.5,
        f_max=4000,
    )
    shape = (front_end.n_mels, front_end.n_frames)
    contract = Contract(
        front_end, Normalization((-6.0,) * 10, (3.0,) * 10), WORDS, shape, {"kind": "plain"}
    )
    matrix = np.random.default_rng(0).standard_normal((10, len(WORDS))).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["features"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["logits"]),
    ]
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", *shape])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(WORDS)])
    weights = [numpy_helper.from_array(matrix, "matrix")]
    graph = helper.make_graph(nodes, "linear", [given], [logits], weights)
    opset = helper.make_opsetid("", 17)
    onnx_file.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), contract, path)


def wav(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write floats `(samples,)` in [-1, 1] as 16-bit WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def track(path: Path, duration_s: float = 3.0) -> list[dict[str, str]]:
    """Write noise with two tones in it; return the rows that label them."""
    wav(path, tone_bundle.track(duration_s, {0.5: WORDS[0], 1.8: WORDS[1]}), tone_bundle.RATE)
    ends = ((WORDS[0], 0.5), (WORDS[1], 1.8))
    return [
        {"file": str(path), "keyword": keyword, "speaker": f"s{n}", "start_s": str(start),
         "end_s": str(start + tone_bundle.BURST_S)}
        for n, (keyword, start) in enumerate(ends)
    ]  # fmt: skip


def clips(folder: Path) -> list[dict[str, str]]:
    """Write short recordings of two words by ten speakers; return the rows of their table."""
    rng, rows = np.random.default_rng(5), []
    for speaker in range(SPEAKERS):
        split = ("train", "dev", "test")[min(speaker // 4, 2)]
        for n, word in enumerate(WORDS):
            path = folder / f"{n}-{speaker}.wav"
            tone = np.sin(np.arange(RATE // 2) * (0.4 + 0.8 * n + 0.02 * speaker))
            wav(path, 0.2 * tone + 0.05 * rng.standard_normal(RATE // 2), RATE)
            row = {"path": str(path), "label": word, "speaker": f"s{speaker}", "split": split}
            rows.append({**row, "start_s": "0", "end_s": "0.5"})
    return rows


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write rows as JSON lines, from which every kind of table is made."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read what `write_rows` wrote."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
