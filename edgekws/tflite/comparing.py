"""How far a TFLite model differs from its ONNX model, layer by layer and at the end.

TFLite rounds otherwise: its multipliers are integers of 31 bits, and most kernels round twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgekws.codegen.graph_nodes import optimized_model
from edgekws.codegen.reference_cpu import difference_advice
from edgekws.errors import ParityError
from edgekws.lowering.stream_state import stream_of
from edgekws.runtime import detect
from edgekws.tflite.builder import SIGNED
from edgekws.tflite.graph import MOVEMENTS, Graph, Layer, Tensor
from edgekws.tflite.interpreter import Interpreter
from edgekws.tflite.parts import parts

Values = dict[str, NDArray[Any]]


@dataclass
class LayerDifferences:
    """How many integers of a layer differ, and by how many steps.

    `own_…` is the layer alone, given what onnxruntime computed before it.
    """

    layer: str
    values: int = 0
    different: int = 0
    largest: int = 0
    own_different: int = 0
    own_largest: int = 0

    def count(self, expected: NDArray[Any], whole: NDArray[Any], own: NDArray[Any]) -> None:
        """Add the values of a run."""
        apart, own_apart = (np.abs(v.astype(np.int64) - expected) for v in (whole, own))
        self.values += expected.size
        self.different += int((apart > 0).sum())
        self.largest = max(self.largest, int(apart.max()))
        self.own_different += int((own_apart > 0).sum())
        self.own_largest = max(self.own_largest, int(own_apart.max()))


@dataclass
class Differences:
    """What was compared; a run is a window, or a hop of a stream. Scores are softmax of logits."""

    runs: int = 0
    labels_equal: int = 0
    largest_logit: float = 0.0
    largest_score: float = 0.0
    layers: list[LayerDifferences] = field(default_factory=list)

    def count(self, expected: NDArray[Any], logits: NDArray[Any]) -> None:
        """Add the logits of a run."""
        scores = [detect.softmax(values[None]) for values in (expected, logits)]
        self.runs += 1
        self.labels_equal += int(expected.argmax() == logits.argmax())
        self.largest_logit = max(self.largest_logit, float(np.abs(expected - logits).max()))
        self.largest_score = max(self.largest_score, float(np.abs(scores[0] - scores[1]).max()))


def compare(
    model: onnx.ModelProto, graph: Graph, clips: Iterable[NDArray[np.float32]]
) -> Differences:
    """Return the differences on clips `(n_mels, T)`, each the beginning of a stream if it is one.

    Raises:
        ParityError: a layer differs by more than its rounding from the same input, or another
            state is read than was kept.
    """
    reference, own = _Reference(model, graph), _Parts(graph)
    result = Differences(layers=[LayerDifferences(layer.name) for layer in own.layers])
    for clip in clips:
        reference.reset()
        interpreter, kept = Interpreter(graph), _beginning(graph)
        for piece in reference.pieces(clip):
            values = reference.run(piece)
            result.count(values["logits"][0], interpreter.logits(piece))
            for row, layer in zip(result.layers, own.layers, strict=True):
                expected = _integers(graph.tensors[layer.tensor], values[layer.onnx])
                whole = interpreter.tensor(layer.tensor).ravel()[layer.index]
                row.count(expected, whole, own.run(layer, values))
            kept = _check_states(graph, interpreter, kept)
    own.check(result.layers)
    return result


class _Reference:
    """What onnxruntime computes, with the output of every layer."""

    def __init__(self, model: onnx.ModelProto, graph: Graph) -> None:
        optimized, self._stream = optimized_model(model), stream_of(model)
        self._frames = graph.tensors[graph.inputs[0]].shape[1]
        self._axes = len(optimized.graph.input[0].type.tensor_type.shape.dim) - 2
        present = {output.name for output in optimized.graph.output}
        names = [layer.onnx for layer in graph.layers if layer.onnx not in present]
        optimized.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The graph is optimized already: it runs as it is.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            optimized.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]
        self._states: Values = {}

    def reset(self) -> None:
        for state in self._stream.states if self._stream else ():
            self._states[state.input] = np.full(state.shape, state.fill, state.dtype)

    def pieces(self, clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the window, or the hops of a clip, of which the last one ends with it."""
        return np.split(clip[:, clip.shape[1] % self._frames :], clip.shape[1] // self._frames, 1)

    def run(self, features: NDArray[np.float32]) -> Values:
        inputs = {"features": features[(None,) * self._axes], **self._states}
        values = dict(zip(self._names, self._session.run(self._names, inputs), strict=True))
        for state in self._stream.states if self._stream else ():
            self._states[state.input] = values[state.output]
        return values


class _Parts:
    """Each layer alone, run on what onnxruntime computed before it."""

    def __init__(self, graph: Graph) -> None:
        self._tensors = graph.tensors
        self._sources = {layer.tensor: layer for layer in graph.layers}
        cut = list(parts(graph))
        self.layers = [layer for layer, _ in cut]
        self._interpreters = {layer.tensor: Interpreter(part) for layer, part in cut}

    def run(self, layer: Layer, values: Values) -> NDArray[Any]:
        """Return the output of a layer, in the order of ONNX."""
        interpreter = self._interpreters[layer.tensor]
        inputs = [self._stored(name, values) for name in interpreter.graph.inputs]
        output: NDArray[Any] = interpreter.run(*inputs).ravel()[layer.index]
        return output

    def check(self, rows: list[LayerDifferences]) -> None:
        """Raise a ParityError where a layer alone differs by more than its operators round."""
        for layer, row in zip(self.layers, rows, strict=True):
            operators = self._interpreters[layer.tensor].graph.operators
            allowed = sum(operator.code not in MOVEMENTS for operator in operators)
            if row.own_largest > allowed:
                raise ParityError(
                    f"layer {row.layer} differs by {row.own_largest} steps in TFLite from the same "
                    f"input, more than the {allowed} of its rounding; {difference_advice()}"
                )

    def _stored(self, name: str, values: Values) -> NDArray[np.int8]:
        tensor, layer = self._tensors[name], self._sources[name]
        stored = np.zeros(tensor.size, np.int8)
        stored[layer.index] = _integers(tensor, values[layer.onnx])
        return stored.reshape(tensor.shape)


def _integers(tensor: Tensor, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return what ONNX computes, bytes or logits, as integers of a tensor of TFLite."""
    if values.dtype == np.uint8:
        return values.astype(np.int64) - SIGNED
    assert tensor.scales is not None
    whole: NDArray[np.int64] = np.rint(values / tensor.scales.values[0]).astype(np.int64)
    return whole + tensor.scales.zero


def _beginning(graph: Graph) -> Values:
    return {v.name: np.full(v.shape, v.fill, np.int8) for v in graph.variables}


def _check_states(graph: Graph, interpreter: Interpreter, kept: Values) -> Values:
    """Return what a run kept, after a check that it read what the one before it did."""
    for variable in graph.variables:
        if not np.array_equal(interpreter.tensor(variable.before), kept[variable.name]):
            raise ParityError(f"TFLite does not keep {variable.name}; please report it")
    return {v.name: interpreter.tensor(v.after).copy() for v in graph.variables}
