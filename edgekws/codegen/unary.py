"""Functions of one byte as tables, made by running onnxruntime."""

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgekws.codegen.graph_nodes import Array, Node


def table_of(node: Node, constants: dict[str, Array]) -> NDArray[np.uint8]:
    """Return what a node makes of each of the 256 bytes, `(256,)`."""
    graph = onnx.helper.make_graph(
        [node.proto],
        "lookup",
        [onnx.helper.make_tensor_value_info(node.inputs[0], onnx.TensorProto.UINT8, [256])],
        [onnx.helper.make_tensor_value_info(node.outputs[0], onnx.TensorProto.UINT8, [256])],
        [onnx.numpy_helper.from_array(constants[n], n) for n in node.inputs[1:] if n in constants],
    )
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    table: NDArray[np.uint8] = session.run(None, {node.inputs[0]: np.arange(256, dtype=np.uint8)})[
        0
    ]
    return table
