"""Functions of one byte as tables, made by running onnxruntime."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgekws.codegen.graph_nodes import Array, Node


def table_of(nodes: Sequence[Node], constants: dict[str, Array]) -> NDArray[np.uint8]:
    """Return what nodes, one after the other, make of each of the 256 bytes, `(256,)`."""
    first, last = nodes[0], nodes[-1]
    protos = [onnx.NodeProto.FromString(node.proto.SerializeToString()) for node in nodes]
    for before, after in pairwise(protos):
        after.input[0] = before.output[0]
    used = dict.fromkeys(name for node in nodes for name in node.inputs[1:] if name in constants)
    graph = onnx.helper.make_graph(
        protos,
        "lookup",
        [onnx.helper.make_tensor_value_info(first.inputs[0], onnx.TensorProto.UINT8, [256])],
        [onnx.helper.make_tensor_value_info(last.outputs[0], onnx.TensorProto.UINT8, [256])],
        [onnx.numpy_helper.from_array(constants[name], name) for name in used],
    )
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # What would be fused or removed is left as it runs in the whole graph.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    every_byte = np.arange(256, dtype=np.uint8)
    table: NDArray[np.uint8] = session.run(None, {first.inputs[0]: every_byte})[0]
    return table
