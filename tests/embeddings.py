"""Tiny embeddings in place of a pre-trained one: the levels of a few random filters."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgekws.core.embedding import Embedding
from edgekws.lowering import audio_graph


def tiny(shape: tuple[int | str, ...] = (1, "samples"), opset: int = 13) -> ModelProto:
    """Return a model from audio of `shape` to the mean level of four filters."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 1, 64)).astype(np.float32) / 8
    nodes = [
        helper.make_node("Reshape", ["wave", "shape"], ["signal"]),
        helper.make_node("Conv", ["signal", "weight"], ["bands"], strides=[16]),
        helper.make_node("Abs", ["bands"], ["levels"]),
        helper.make_node("GlobalAveragePool", ["levels"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("wave", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.array([1, 1, -1], np.int64), "shape"),
        ],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def embedding(samples: int, sample_rate: int = 8_000) -> Embedding:
    """Return `tiny` as an embedding of windows of `samples`."""
    return audio_graph.embedding_of(audio_graph.from_audio(tiny(), samples, "tiny"), sample_rate)
