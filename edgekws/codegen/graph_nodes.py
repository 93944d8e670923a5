"""The graph that onnxruntime runs, with typed access to its nodes."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgekws.errors import UnsupportedError
from edgekws.lowering.stream_state import of_one_hop, stream_of
from edgekws.metrics.execution import optimized

Array = NDArray[Any]


@dataclass(frozen=True)
class Node:
    """An operator: `inputs` and `outputs` are names, empty where one is left out.

    `form` is what the network is to be written in, for messages.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: onnx.NodeProto
    form: str = "C"

    def refuse(self, reason: str) -> UnsupportedError:
        """Return the error that this layer has no portable form."""
        return UnsupportedError(
            f"layer {self.name} ({self.op}) has no form in {self.form}: {reason}"
        )


@dataclass(frozen=True)
class OptimizedGraph:
    """The nodes in the order in which they run, the constants, and the shapes of the ends."""

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]


def optimized_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what onnxruntime runs of a model at full optimization, for one clip or one hop.

    Raises:
        UnsupportedError: the graph cannot be loaded.
    """
    single = of_one_hop(model) if stream_of(model) else _of_one_clip(model)
    return optimized(single, "ORT_ENABLE_ALL")


def optimized_graph(model: onnx.ModelProto, form: str = "C") -> OptimizedGraph:
    """Return the nodes of `optimized_model`, which is to be written in another form.

    Raises:
        UnsupportedError: the graph cannot be loaded.
    """
    graph = optimized_model(model).graph
    return OptimizedGraph(
        tuple(_node(proto, form) for proto in graph.node),
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer},
        {value.name: _shape(value) for value in graph.input},
        tuple(value.name for value in graph.output),
    )


def _of_one_clip(model: onnx.ModelProto) -> onnx.ModelProto:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for end in (*fixed.graph.input, *fixed.graph.output):
        end.type.tensor_type.shape.dim[0].dim_value = 1
    return fixed


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)


def _node(proto: onnx.NodeProto, form: str) -> Node:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
    name = re.sub(r"_token_\d+$", "", proto.name) or proto.output[0]
    return Node(
        proto.op_type, name, tuple(proto.input), tuple(proto.output), attributes, proto, form
    )


def scalar(constants: dict[str, Array], name: str) -> Any:
    """Return a constant of one element, as numpy scalar."""
    value = constants[name]
    return value.reshape(()).item() if value.dtype.kind in "iu" else np.float32(value.reshape(()))
