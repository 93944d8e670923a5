"""An editable ONNX graph with look-up of the producers and consumers of tensors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return the value of an attribute of `node`, or `default`."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


class Graph:
    """An editable copy of a model's main graph; `to_model` returns the changed model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self.nodes = list(self._model.graph.node)
        self._constants = {i.name: i for i in self._model.graph.initializer}

    def is_constant(self, name: str) -> bool:
        """Return whether the tensor is an initializer."""
        return name in self._constants

    def array(self, name: str) -> NDArray[Any]:
        """Return the values of an initializer."""
        return numpy_helper.to_array(self._constants[name])

    def set_array(self, name: str, values: NDArray[Any]) -> None:
        """Set the values of an initializer; a new name adds one."""
        self._constants[name] = numpy_helper.from_array(np.asarray(values, order="C"), name)

    def rank(self, name: str) -> int | None:
        """Return the number of axes of a tensor, `None` if its shape is unknown."""
        graph = self._model.graph
        for value in (*graph.value_info, *graph.input, *graph.output):
            if value.name == name and value.type.tensor_type.HasField("shape"):
                return len(value.type.tensor_type.shape.dim)
        return None

    def producer(self, name: str) -> onnx.NodeProto | None:
        """Return the node that produces the tensor; `None` for inputs and initializers."""
        return next((node for node in self.nodes if name in node.output), None)

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """Return the nodes that use the tensor."""
        return [node for node in self.nodes if name in node.input]

    def replace(self, node: onnx.NodeProto, others: Sequence[onnx.NodeProto]) -> None:
        """Replace `node` by `others`."""
        index = next(i for i, candidate in enumerate(self.nodes) if candidate is node)
        self.nodes[index : index + 1] = others

    def remove(self, node: onnx.NodeProto) -> None:
        """Remove a node with one input and one output; its consumers use its input instead."""
        source, result = node.input[0], node.output[0]
        self.replace(node, [])
        producer = self.producer(source)
        if producer is not None and any(o.name == result for o in self._model.graph.output):
            producer.output[list(producer.output).index(source)] = result
            source, result = result, source
        for user in self.consumers(result):
            user.input[:] = [source if name == result else name for name in user.input]

    def to_model(self, renamed: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """Return the changed model without unused initializers, with tensors renamed."""
        names = renamed or {}
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        used = {name for node in self.nodes for name in node.input}
        for name, tensor in self._constants.items():
            if name in used:
                added = graph.initializer.add()
                added.CopyFrom(tensor)
                added.name = names.get(name, name)
        return model
