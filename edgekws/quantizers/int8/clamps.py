"""The clamping activations that onnxruntime's quantizer leaves out, put back."""

import onnx

from edgekws.lowering.graph import Graph


def with_clamps(quantized: onnx.ModelProto, source: onnx.ModelProto) -> onnx.ModelProto:
    """Return a QDQ model with the Relu and Clip nodes of the model that it was made from.

    The quantizer takes them out and lets the layer before give the output by the activation's
    name; without the rounding behind it, that layer would no longer be clamped.
    """
    graph, floats = Graph(quantized), Graph(source)
    present = {node.name for node in graph.nodes}
    for clamp in reversed(floats.nodes):
        if clamp.op_type not in ("Relu", "Clip") or clamp.name in present:
            continue
        maker = graph.producer(clamp.output[0])
        assert maker is not None, clamp.name
        maker.output[list(maker.output).index(clamp.output[0])] = clamp.input[0]
        for name in clamp.input[1:]:
            if name:
                graph.set_array(name, floats.array(name))
        graph.replace(maker, [maker, clamp])
    return graph.to_model()
