"""A network as a TFLite file, with what it needs and how far it differs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.tflite.comparing import Differences, compare
from edgekws.tflite.graph import Tensor
from edgekws.tflite.interpreter import arena_bytes
from edgekws.tflite.reading import read
from edgekws.tflite.writing import write


@dataclass(frozen=True)
class Form:
    """A TFLite file; `arena` is what TFLM needs on this machine, in bytes."""

    name: str
    content: bytes
    input: Tensor
    output: Tensor
    operators: tuple[str, ...]
    variables: int
    arena: int
    differences: Differences


def export(
    name: str, model: onnx.ModelProto, clips: Sequence[NDArray[np.float32]], description: str
) -> Form:
    """Return a quantized model as TFLite, compared on clips `(n_mels, T)`.

    Raises:
        UnsupportedError: a layer has no form in TFLite; the message names it.
        ParityError: a layer differs by more than its rounding.
    """
    graph = read(model)
    content = write(graph, description)
    operators = {operator.code for operator in graph.operators}
    operators |= {"CALL_ONCE"} if graph.variables else set()
    return Form(
        name,
        content,
        graph.tensors[graph.inputs[0]],
        graph.tensors[graph.output],
        tuple(sorted(operators)),
        len(graph.variables),
        arena_bytes(content),
        compare(model, graph, clips),
    )
