"""Logits in the precision of the last layer's accumulator."""

import onnx

from edgekws.lowering.graph import Graph


def with_float_logits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without rounding the logits to 8 bits, if a Gemm computes them.

    The Gemm still multiplies in INT8: its sums are scaled to float instead of to UINT8.
    """
    graph = Graph(model)
    dequantize = graph.producer(model.graph.output[0].name)
    quantize = dequantize and graph.producer(dequantize.input[0])
    layer = quantize and graph.producer(quantize.input[0])
    if dequantize and quantize and layer and layer.op_type == "Gemm":
        graph.remove(dequantize)
        graph.remove(quantize)
    return graph.to_model()
