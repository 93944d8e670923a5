"""Writing an ONNX graph node by node."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekws.runtime.front_end import FrontEnd

OPSET = 17
IR_VERSION = 8

Array = NDArray[np.float64]
Shapes = Mapping[str, tuple[int | str, ...]]

NO_STATE: Shapes = MappingProxyType({})


class Graph:
    """Nodes and constants, numbered in the order of addition."""

    def __init__(self) -> None:
        """Start an empty graph."""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def floats(self, values: Array) -> str:
        """Add a constant and return its name."""
        return self._constant(np.ascontiguousarray(values, np.float32))

    def scalar(self, value: float) -> str:
        """Add a scalar."""
        return self._constant(np.array(value, np.float32))

    def ints(self, *values: int) -> str:
        """Add a row of integers."""
        return self._constant(np.array(values, np.int64))

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def model(
        self,
        front_end: FrontEnd,
        batch: int | str = "batch",
        state: Shapes = NO_STATE,
        next_state: Shapes = NO_STATE,
    ) -> onnx.ModelProto:
        """Return the model from `waveform` to `features`, of the shapes of a front end.

        `state` and `next_state` are further inputs and outputs.
        """
        inputs = {"waveform": (batch, front_end.window_samples), **state}
        outputs = {"features": (batch, front_end.n_mels, front_end.n_frames), **next_state}
        sources, results = (
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
            for shapes in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, "front_end", sources, results, self.constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model
