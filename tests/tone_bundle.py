"""A bundle whose keywords are tones: a small network whose events can be told beforehand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekws.bundle import pack
from edgekws.core.contract import Contract, Normalization
from edgekws.runtime.front_end import FrontEnd, log_mel

TONES = {"низкий": 400.0, "высокий": 2500.0}
LABELS = (*TONES, "_unknown_", "_silence_")
RATE = 16_000
BURST_S = 0.4
HOP = 2


def burst(keyword: str) -> np.ndarray:
    """Return the tone of a keyword, `BURST_S` long."""
    n = round(BURST_S * RATE)
    return 0.3 * np.sin(2 * np.pi * TONES[keyword] * np.arange(n) / RATE) * np.hanning(n) ** 0.25


def track(duration_s: float, spoken: dict[float, str], seed: int = 0) -> np.ndarray:
    """Return noise `(samples,)` float32 in which tones begin at the given seconds."""
    wave = np.random.default_rng(seed).standard_normal(round(duration_s * RATE)) * 0.003
    for start_s, keyword in spoken.items():
        start = round(start_s * RATE)
        part = burst(keyword)[: len(wave) - start]
        wave[start : start + len(part)] += part
    return wave.astype(np.float32)


def contract(n_mels: int = 40) -> Contract:
    """Return the contract of the network."""
    front_end = FrontEnd(n_mels=n_mels)
    normalization = Normalization((-6.0,) * n_mels, (3.0,) * n_mels)
    return Contract(front_end, normalization, LABELS, (n_mels, front_end.n_frames), {"kind": "x"})


def nearest_template(told: Contract) -> tuple[np.ndarray, np.ndarray]:
    """Return weights `(n_labels, n_mels)` and bias: minus the distance to each label's mean."""
    middle = (1 - BURST_S) / 2
    windows = [track(1.0, {middle: keyword}, seed=1) for keyword in TONES]
    windows += [track(1.0, {}, seed=1), np.zeros(RATE, np.float32)]
    means = np.stack([(log_mel(w, told.front_end).mean(axis=1) + 6) / 3 for w in windows])
    return 2 * means, -np.square(means).sum(axis=1)


def windowed_model(told: Contract) -> onnx.ModelProto:
    """Return `features` `(batch, n_mels, T)` → mean over time → nearest template."""
    n_mels, n_frames = told.input_shape
    nodes = [
        helper.make_node("GlobalAveragePool", ["features"], ["mean"]),
        helper.make_node("Conv", ["mean", "weight", "bias"], ["scores"]),
        helper.make_node("Flatten", ["scores"], ["logits"]),
    ]
    given: dict[str, list[Any]] = {"features": ["batch", n_mels, n_frames]}
    model = _model(nodes, told, given, ["batch", len(LABELS)])
    model.metadata_props.add(key="contract", value=told.to_json())
    return model


def streaming_model(told: Contract) -> onnx.ModelProto:
    """Return the same network with the last `T - 1` frames as its state."""
    n_mels, n_frames = told.input_shape
    keep = n_frames - 1
    nodes = [
        helper.make_node("Concat", ["past", "features"], ["frames"], axis=2),
        helper.make_node("Slice", ["frames", "minus_keep", "end", "time"], ["next"]),
        helper.make_node("Slice", ["frames", "first", "end", "time"], ["ending_with_hops"]),
        helper.make_node(
            "AveragePool", ["ending_with_hops"], ["means"], kernel_shape=[n_frames], strides=[HOP]
        ),
        helper.make_node("Conv", ["means", "weight", "bias"], ["scores"]),
        helper.make_node("Squeeze", ["scores", "batch"], ["by_label"]),
        helper.make_node("Transpose", ["by_label"], ["logits"], perm=[1, 0]),
    ]
    given: dict[str, list[Any]] = {"features": [1, n_mels, "F"], "past": [1, n_mels, keep]}
    constants: dict[str, list[int]] = {
        "minus_keep": [-keep],
        "end": [2**31],
        "first": [HOP - 1],
        "time": [2],
    }
    model = _model(nodes, told, given, ["D", len(LABELS)], {**constants, "batch": [0]})
    state = {"input": "past", "output": "next", "dtype": "float32", "fill": 0.0}
    states = [{**state, "shape": [1, n_mels, keep]}]
    stream = {"hop_frames": HOP, "window_frames": n_frames, "states": states}
    model.metadata_props.add(key="stream", value=json.dumps(stream))
    past = helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, n_mels, keep])
    model.graph.output.append(past)
    return model


def _model(
    nodes: list[onnx.NodeProto],
    told: Contract,
    given: dict[str, list[Any]],
    logits: list[Any],
    integers: dict[str, list[int]] | None = None,
) -> onnx.ModelProto:
    weight, bias = nearest_template(told)
    constants = [
        numpy_helper.from_array(weight[..., None].astype(np.float32), "weight"),
        numpy_helper.from_array(bias.astype(np.float32), "bias"),
        *(numpy_helper.from_array(np.array(v, np.int64), k) for k, v in (integers or {}).items()),
    ]
    inputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in given.items()]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits)]
    graph = helper.make_graph(nodes, "tones", inputs, outputs, constants)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def make(folder: Path, *, streaming: bool, n_mels: int = 40) -> Path:
    """Write a sealed bundle into a new folder under `folder`."""
    told = contract(n_mels)
    models = {"model": windowed_model(told), "stream": streaming_model(told)}
    for name, model in models.items():
        onnx.save(model, str(folder / f"{name}.onnx"))
    bundle = folder / "bundle"
    bundle.mkdir()
    golden = np.stack([track(1.0, {0.3: keyword}) for keyword in TONES]) * 32767
    stream = folder / "stream.onnx" if streaming else None
    origin = {"recipe": "tones"}
    pack.pack(bundle, folder / "model.onnx", told, golden.astype(np.int16), origin, stream)
    pack.seal(bundle, "# card\n")
    return bundle
