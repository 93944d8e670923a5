"""Voices of a few nodes in the forms of Piper and Kokoro, and a program that writes a WAV file."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SAMPLE_RATE = 16_000

PROGRAM = """
import math, struct, sys, wave
_, voice, speed, output = sys.argv
text = sys.stdin.read()
with open(__file__ + ".log", "a") as log:
    log.write(f"{voice}: {text}\\n")
hertz = 200 + 40 * len(voice) + sum(map(ord, text)) % 300
turn = 2 * math.pi * hertz / 16000
samples = [8000 * math.sin(turn * n) for n in range(int(6000 / float(speed)))]
with wave.open(output, "wb") as file:
    file.setnchannels(1); file.setsampwidth(2); file.setframerate(16000)
    file.writeframes(struct.pack(f"<{len(samples)}h", *map(int, samples)))
"""

SOUNDS = "_^$ .ˈˌ" + "abcdefghijklmnopqrstuvwxyzæðŋɐɑɒɔəɚɛɜɡɪɹʃʊʌʒθᵻː"


def write_program(folder: Path) -> list[str]:
    """Write the program, and return its command; it logs what it says beside itself."""
    path = folder / "say.py"
    path.write_text(PROGRAM)
    return [sys.executable, str(path), "{voice}", "{speed}", "{output}"]


def said(folder: Path) -> list[str]:
    log = folder / "say.py.log"
    return log.read_text().splitlines() if log.exists() else []


def write_piper(folder: Path, name: str = "en_US-tiny", speakers: int = 1, **config: Any) -> Path:
    """Write a voice with noise and a length that the scales change, and its configuration."""
    inputs: dict[str, Any] = {"input": TensorProto.INT64, "input_lengths": TensorProto.INT64}
    inputs |= {"scales": TensorProto.FLOAT} | ({"sid": TensorProto.INT64} if speakers > 1 else {})
    nodes = [
        helper.make_node("Gather", ["scales", "zero"], ["noise_scale"]),
        helper.make_node("Gather", ["scales", "one"], ["length"]),
        *_spoken("input", "length"),
        helper.make_node("RandomNormalLike", ["flat"], ["noise"], scale=0.5),
        helper.make_node("Mul", ["noise", "noise_scale"], ["variation"]),
        helper.make_node("Add", ["wave", "variation"], ["sum"]),
    ]
    if speakers > 1:
        nodes.append(helper.make_node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Add", ["sum", "speaker"], ["both"]))
        nodes.append(helper.make_node("Identity", ["both"], ["output"]))
    else:
        nodes.append(helper.make_node("Identity", ["sum"], ["output"]))
    path = folder / f"{name}.onnx"
    _save(path, nodes, inputs)
    settings = {
        "audio": {"sample_rate": SAMPLE_RATE},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.5, "length_scale": 1, "noise_w": 0.8},
        "num_speakers": speakers,
        "phoneme_id_map": {sound: [number] for number, sound in enumerate(SOUNDS)},
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(settings | config))
    return path


def write_kokoro(folder: Path, styles: tuple[str, ...]) -> Path:
    """Write a model, its phonemes and styles, each of another loudness."""
    inputs: dict[str, Any] = {
        "tokens": TensorProto.INT64,
        "style": TensorProto.FLOAT,
        "speed": TensorProto.FLOAT,
    }
    nodes = [
        helper.make_node("Reciprocal", ["speed"], ["slow"]),
        helper.make_node("ReduceMax", ["slow"], ["length"], keepdims=0),
        *_spoken("tokens", "length"),
        helper.make_node("ReduceMean", ["style"], ["level"], keepdims=0),
        helper.make_node("Mul", ["wave", "level"], ["audio"]),
    ]
    folder.mkdir(exist_ok=True)
    _save(folder / "model.onnx", nodes, inputs, "audio")
    vocabulary = {sound: number for number, sound in enumerate(SOUNDS + "IWAOQYʤʧ", 1)}
    (folder / "vocab.json").write_text(json.dumps({"vocab": vocabulary}))
    for number, name in enumerate(styles):
        np.full((510, 1, 256), 0.2 + number / 10, "<f4").tofile(folder / f"{name}.bin")
    return folder


def _spoken(ids: str, length: str) -> list[onnx.NodeProto]:
    """Return nodes that hold each of the `ids` for 400 samples, times `length`."""
    return [
        helper.make_node("Cast", [ids], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "last"], ["column"]),
        helper.make_node("Mul", [length, "hold"], ["held"]),
        helper.make_node("Cast", ["held"], ["count"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["count", "first"], ["counts"]),
        helper.make_node("Concat", ["ones", "counts"], ["repeats"], axis=0),
        helper.make_node("Tile", ["column", "repeats"], ["rows"]),
        helper.make_node("Reshape", ["rows", "all"], ["flat"]),
        helper.make_node("Sin", ["flat"], ["wave"]),
    ]


def _save(
    path: Path, nodes: list[onnx.NodeProto], inputs: dict[str, Any], output: str = "output"
) -> None:
    constants = {
        "zero": np.int64(0), "one": np.int64(1), "last": np.array([2]), "first": np.array([0]),
        "ones": np.array([1, 1]), "all": np.array([-1]), "hold": np.float32(400),
    }  # fmt: skip
    shapes: dict[str, list[int | None]] = {
        "input": [1, None],
        "tokens": [1, None],
        "style": [1, 256],
        "scales": [3],
    }
    graph = helper.make_graph(
        nodes,
        "voice",
        [helper.make_tensor_value_info(n, t, shapes.get(n, [1])) for n, t in inputs.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
