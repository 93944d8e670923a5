"""Restore the clamping activations that onnxruntime's quantizer drops."""

import onnx

from edgekws.lowering.graph import Graph


def with_clamps(quantized: onnx.ModelProto, source: onnx.ModelProto) -> onnx.ModelProto:
    """Return a QDQ model with the Relu and Clip nodes of its source model.

    The quantizer removes them and gives the activation's output name to the previous layer;
    without the rounding after it, that layer would no longer be clamped.
    """
    graph, floats = Graph(quantized), Graph(source)
    present = {node.name for node in graph.nodes}
    for clamp in reversed(floats.nodes):
        if clamp.op_type not in ("Relu", "Clip") or clamp.name in present:
            continue
        producer = graph.producer(clamp.output[0])
        assert producer is not None, clamp.name
        producer.output[list(producer.output).index(clamp.output[0])] = clamp.input[0]
        for name in clamp.input[1:]:
            if name:
                graph.set_array(name, floats.array(name))
        graph.replace(producer, [producer, clamp])
    return graph.to_model()
