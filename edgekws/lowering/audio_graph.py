"""Graphs from audio to vectors, and from vectors to logits: an embedding and its head.

The speech embedding is Google's (Lin et al. 2020, "Training Keyword Spotters with Limited and
Synthesized Speech Data"), as openWakeWord uses it: a mel spectrogram in dB, divided by 10 plus 2,
windows of 76 frames every 8 frames, 96 values for each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    compose,
    helper,
    numpy_helper,
)

from edgekws.core.embedding import Embedding
from edgekws.errors import UnsupportedError
from edgekws.lowering import onnx_file, word_embedding
from edgekws.metrics import execution

AUDIO, VECTORS, LOGITS = "audio", "vectors", "logits"

MOST_BYTES = 1 << 29
"""Largest file of an embedding: a serialized graph has at most 2 GiB."""

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""The weight `(inputs, outputs)` and the bias `(outputs,)` of a layer."""

_WINDOW, _STEP, _BANDS = 76, 8, 32
_PCM = 32768.0
_HEAD = "head/"


def load(path: Path) -> ModelProto:
    """Return the ONNX model at `path`.

    Raises:
        UnsupportedError: it cannot be read, or is too large.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UnsupportedError(f"{path}: larger than {MOST_BYTES >> 20} MiB")
        return onnx.load(path)
    except (OSError, DecodeError) as error:
        raise UnsupportedError(f"{path}: expected an ONNX model: {error}") from error


def from_audio(model: ModelProto, samples: int, what: str) -> ModelProto:
    """Return a model from `audio` `(1, samples)` to `vectors` `(1, size)`.

    `model`, called `what` in errors, takes float audio `(samples,)`, `(batch, samples)` or
    `(batch, 1, samples)`; its first output, of any shape, is the vector.

    Raises:
        UnsupportedError: it has another input, or does not run on `samples` samples.
    """
    name, rank = _audio_input(model, what)
    graph = _renamed(model)
    shape = {1: [samples], 2: [1, samples], 3: [1, 1, samples]}[rank]
    head = _reshaped(AUDIO, f"m/{name}", shape)
    tail = _reshaped(f"m/{model.graph.output[0].name}", VECTORS, [1, -1])
    return _checked(_assembled([graph], [*head, *graph.graph.node, *tail], samples, model), what)


def google_speech(mel: ModelProto, embedding: ModelProto, samples: int) -> ModelProto:
    """Return Google's speech embedding, from `audio` `(1, samples)` at 16 kHz to `vectors`.

    `mel` is `melspectrogram.onnx`, which takes samples of 16-bit PCM as floats, `embedding` is
    `embedding_model.onnx`. The vector has 96 values for each window of 76 frames.

    Raises:
        UnsupportedError: the files are others, or `samples` is less than one window.
    """
    parts = [_renamed(mel, "mel/"), _renamed(embedding, "cnn/")]
    mel_in, mel_out = (f"mel/{value[0].name}" for value in (mel.graph.input, mel.graph.output))
    cnn_in, cnn_out = (
        f"cnn/{value[0].name}" for value in (embedding.graph.input, embedding.graph.output)
    )
    frames = (samples - 512) // 160 + 1  # its Fourier transform has 512 samples, its hop 160
    starts = range(0, frames - _WINDOW + 1, _STEP)
    if not starts:
        seconds = (512 + 160 * (_WINDOW - 1)) / 16_000
        raise UnsupportedError(
            f"the speech embedding needs {seconds:g} s of audio; raise window_s in [front_end]"
        )
    nodes = [
        *_scaled(AUDIO, mel_in, "Mul", _PCM),
        *parts[0].graph.node,
        *_scaled(mel_out, "e/tenths", "Div", 10.0),
        *_scaled("e/tenths", "e/levels", "Add", 2.0),
        *_reshaped("e/levels", "e/frames", [1, -1, _BANDS, 1]),
        *(node for i, start in enumerate(starts) for node in _cut(i, start)),
        helper.make_node("Concat", [f"e/{i}" for i in range(len(starts))], [cnn_in], axis=0),
        *parts[1].graph.node,
        *_reshaped(cnn_out, VECTORS, [1, -1]),
    ]
    return _checked(_assembled(parts, nodes, samples, mel), "the speech embedding")


def spoken_words(network: ModelProto, samples: int) -> ModelProto:
    """Return the embedding of EfficientWord-Net, from `audio` `(1, samples)` at 16 kHz.

    `network` is its ResNet-50, from log-mel to a vector of 2,048 values.

    Raises:
        UnsupportedError: the file is another, or `samples` is too many.
    """
    part = _renamed(network, "cnn/")
    features, vector = f"cnn/{network.graph.input[0].name}", f"cnn/{network.graph.output[0].name}"
    before, constants = word_embedding.nodes(AUDIO, features, samples, "w/")
    nodes = [*before, *part.graph.node, *_reshaped(vector, VECTORS, [1, -1])]
    model = _assembled([part], nodes, samples, network)
    model.graph.initializer.extend(constants)
    return _checked(model, "the word embedding")


def with_head(embedding: ModelProto, layers: Sequence[Layer]) -> ModelProto:
    """Return a model from `audio` to `logits`: the embedding, then linear layers with ReLUs."""
    model = ModelProto()
    model.CopyFrom(embedding)
    value = VECTORS
    for i, (weight, bias) in enumerate(layers):
        at, last = f"{_HEAD}{i}", i == len(layers) - 1
        total, active = (LOGITS, "") if last else (f"{at}/sum", f"{at}/active")
        for kind, array in (("weight", weight), ("bias", bias)):
            model.graph.initializer.append(numpy_helper.from_array(array, f"{at}/{kind}"))
        nodes = [
            helper.make_node("MatMul", [value, f"{at}/weight"], [f"{at}/product"], f"{at}/MatMul"),
            helper.make_node("Add", [f"{at}/product", f"{at}/bias"], [total], f"{at}/Add"),
        ]
        if not last:
            nodes.append(helper.make_node("Relu", [total], [active], f"{at}/Relu"))
        model.graph.node.extend(nodes)
        value = active
    del model.graph.output[:]
    size = layers[-1][1].shape[0]
    model.graph.output.append(helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, size]))
    return model


def layers_of(model: ModelProto) -> tuple[Layer, ...]:
    """Return the layers of the head of a model by `with_head`."""
    arrays = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.startswith(_HEAD)
    }
    count = len(arrays) // 2
    return tuple((arrays[f"{_HEAD}{i}/weight"], arrays[f"{_HEAD}{i}/bias"]) for i in range(count))


def embedding_of(model: ModelProto, sample_rate: int) -> Embedding:
    """Return the embedding in a model from `audio` to `vectors`, or to `logits` by `with_head`.

    The same embedding gives the same bytes, with any head and with none.
    """
    bare = onnx_file.strip(model)
    layers = layers_of(model)
    size = len(layers[0][0]) if layers else _shape(model.graph.output[0])[1]
    for values in (bare.graph.node, bare.graph.initializer):
        kept = [value for value in values if not value.name.startswith(_HEAD)]
        del values[:]
        values.extend(kept)
    del bare.graph.output[:]
    bare.graph.output.append(helper.make_tensor_value_info(VECTORS, TensorProto.FLOAT, [1, size]))
    samples = _shape(bare.graph.input[0])[1]
    return Embedding(bare.SerializeToString(deterministic=True), sample_rate, samples, size)


def read(path: Path) -> tuple[Embedding, tuple[Layer, ...]]:
    """Return the embedding and the head of a teacher that takes audio, written by its step.

    Raises:
        UsageError: the file is no ONNX model, or holds no contract.
    """
    model, contract = onnx_file.load(path)
    rate = int(contract.architecture["sample_rate"])
    return embedding_of(model, rate), layers_of(model)


def logits(layers: Sequence[Layer], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits `(N, n_labels)` that a head gives for vectors `(N, size)`."""
    values = vectors.astype(np.float32, copy=False)
    for weight, bias in layers[:-1]:
        values = np.maximum(values @ weight + bias, 0)
    weight, bias = layers[-1]
    return np.asarray(values @ weight + bias, np.float32)


def _audio_input(model: ModelProto, what: str) -> tuple[str, int]:
    """Return the name and the rank of the input that takes audio."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) == 1:
        tensor = inputs[0].type.tensor_type
        rank = len(tensor.shape.dim)
        middle = tensor.shape.dim[1].dim_value if rank == 3 else 1
        if tensor.elem_type == TensorProto.FLOAT and rank in (1, 2, 3) and middle in (0, 1):
            return inputs[0].name, rank
    names = ", ".join(value.name for value in inputs) or "none"
    raise UnsupportedError(
        f"{what}: expected one input of float audio, (samples,), (batch, samples) or "
        f"(batch, 1, samples); its inputs: {names}"
    )


def _renamed(model: ModelProto, prefix: str = "m/") -> ModelProto:
    """Return a copy with `prefix` before every name, so that graphs can be joined."""
    return compose.add_prefix(model, prefix)


def _assembled(
    parts: Sequence[ModelProto], nodes: Sequence[NodeProto], samples: int, like: ModelProto
) -> ModelProto:
    """Return a model of `nodes` from audio to vectors, with the weights of `parts`.

    It has the operator sets and local functions of all `parts`, and those of `like` first.
    """
    sets = {entry.domain: entry.version for part in (*parts, like) for entry in part.opset_import}
    graph = helper.make_graph(
        list(nodes),
        "edgekws",
        [helper.make_tensor_value_info(AUDIO, TensorProto.FLOAT, [1, samples])],
        [helper.make_tensor_value_info(VECTORS, TensorProto.FLOAT, [1, None])],
        [tensor for part in parts for tensor in part.graph.initializer],
    )
    graph.sparse_initializer.extend(t for part in parts for t in part.graph.sparse_initializer)
    imports = [helper.make_opsetid(*entry) for entry in sorted(sets.items())]
    functions = [function for part in parts for function in part.functions]
    return helper.make_model(graph, opset_imports=imports, functions=functions)


def _checked(model: ModelProto, what: str) -> ModelProto:
    """Run a model from audio to vectors on silence, and note the size of the vectors in it."""
    samples = _shape(model.graph.input[0])[1]
    stripped = onnx_file.strip(model)
    try:
        vectors = execution.outputs(stripped, {AUDIO: np.zeros((1, samples), np.float32)})[0]
    except UnsupportedError as error:
        raise UnsupportedError(
            f"{what}: does not run on {samples} samples, one window at its rate: {error}"
        ) from error
    del stripped.graph.output[:]
    output = helper.make_tensor_value_info(VECTORS, TensorProto.FLOAT, list(vectors.shape))
    stripped.graph.output.append(output)
    return stripped


def _shape(value: ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _constant(name: str, array: NDArray[Any]) -> NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def _reshaped(source: str, to: str, shape: Sequence[int]) -> list[NodeProto]:
    return [
        _constant(f"{to}/shape", np.array(shape, np.int64)),
        helper.make_node("Reshape", [source, f"{to}/shape"], [to]),
    ]


def _scaled(source: str, to: str, op: str, by: float) -> list[NodeProto]:
    return [
        _constant(f"{to}/by", np.array(by, np.float32)),
        helper.make_node(op, [source, f"{to}/by"], [to]),
    ]


def _cut(index: int, start: int) -> list[NodeProto]:
    """Return the nodes that cut a window of the frames `(1, T, bands, 1)`."""
    at = f"e/{index}"
    bounds = {"start": start, "end": start + _WINDOW, "axis": 1}
    constants = [_constant(f"{at}/{key}", np.array([n], np.int64)) for key, n in bounds.items()]
    inputs = ["e/frames", *(f"{at}/{key}" for key in bounds)]
    return [*constants, helper.make_node("Slice", inputs, [at])]
