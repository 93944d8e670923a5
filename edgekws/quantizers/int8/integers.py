"""Constants as integers: INT8 weights, INT32 biases, and no redundant clips."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgekws.errors import UnsupportedError
from edgekws.lowering.graph import Graph, attribute
from edgekws.quantizers.int8.scales import floor_scales, widen

Values = NDArray[Any]
# A larger bias could overflow the INT32 accumulator.
LARGEST_BIAS = 2**30


def with_integer_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with INT8 weights and INT32 biases, each behind its DequantizeLinear.

    Raises:
        UnsupportedError: a float constant other than a scale remains; the message names its node.
    """
    integers = without_clamps(with_integer_weights(model))
    refuse_floats(integers)
    return integers


def with_integer_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with INT8 weights and INT32 biases; keep the activations' clamps."""
    graph = Graph(model)
    fold_weights(graph)
    drop_clips(graph)
    floor_scales(graph)
    quantize_biases(graph)
    drop_bias_zero_points(graph)
    return graph.to_model()


def without_clamps(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without the activations that a QuantizeLinear already performs."""
    graph = Graph(model)
    drop_clamps(graph)
    return graph.to_model()


def drop_clips(graph: Graph) -> None:
    """Drop each Clip of integers that are within its bounds by their type or as constants."""
    for clip in [node for node in graph.nodes if node.op_type == "Clip"]:
        lowest, highest = _integer_range(graph, clip.input[0])
        low, high = _bounds(graph, clip)
        if low <= lowest and highest <= high:
            graph.remove(clip)


def _integer_range(graph: Graph, name: str) -> tuple[float, float]:
    """Return the smallest and largest possible value of a tensor; infinite if not an integer."""
    if graph.is_constant(name):
        return float(graph.array(name).min()), float(graph.array(name).max())
    quantize = graph.producer(name)
    if quantize is None or quantize.op_type != "QuantizeLinear":
        return -np.inf, np.inf
    limits = np.iinfo(graph.array(quantize.input[2]).dtype)
    return limits.min, limits.max


def fold_weights(graph: Graph) -> None:
    """Compute each QuantizeLinear of a constant, as ONNX defines it (half to even, saturating)."""
    for quantize in [node for node in graph.nodes if node.op_type == "QuantizeLinear"]:
        name = quantize.input[0]
        if not graph.is_constant(name):
            continue
        weight, scale, zero_point = (graph.array(constant) for constant in quantize.input[:3])
        axis = attribute(quantize, "axis", 1)
        limits = np.iinfo(zero_point.dtype)
        steps = np.rint(weight / _along(scale, axis, weight.ndim))
        steps = steps + _along(zero_point.astype(np.float32), axis, weight.ndim)
        integers = np.clip(steps, limits.min, limits.max).astype(zero_point.dtype)
        graph.set_array(f"{name}_quantized", integers)
        for user in graph.consumers(quantize.output[0]):
            user.input[0] = f"{name}_quantized"
        graph.replace(quantize, [])


def _along(values: Values, axis: int, rank: int) -> Values:
    """Reshape per-channel `values` to broadcast along `axis`; scalars are unchanged."""
    if values.ndim == 0:
        return values
    return values.reshape([-1 if index == axis else 1 for index in range(rank)])


def quantize_biases(graph: Graph) -> None:
    """Store each float bias of a Conv or Gemm as INT32 of scale input scale × weight scale."""
    for node in [node for node in graph.nodes if node.op_type in ("Conv", "Gemm")]:
        if len(node.input) < 3 or not _is_float(graph, node.input[2]):
            continue
        inputs, weights = (graph.producer(name) for name in node.input[:2])
        if inputs is None or weights is None:
            continue  # no scales to quantize with: refused at the end
        if {inputs.op_type, weights.op_type} != {"DequantizeLinear"}:
            continue
        bias, input_scale = graph.array(node.input[2]), graph.array(inputs.input[1])
        _widen_vanishing_channels(graph, weights, bias, input_scale)
        scale = (input_scale * graph.array(weights.input[1])).astype(np.float32)
        _put_bias(graph, node, np.rint(bias.astype(np.float64) / scale).astype(np.int32), scale)


def _widen_vanishing_channels(
    graph: Graph, weights: onnx.NodeProto, bias: Values, input_scale: Values
) -> None:
    """Raise the weight scale of channels with weights so small that their bias would overflow."""
    scale = graph.array(weights.input[1])
    least = (np.abs(bias) / (input_scale * LARGEST_BIAS)).astype(np.float32)
    wider = np.maximum(scale, least if scale.ndim else least.max())
    if (wider > scale).any():
        widen(graph, weights, wider)


def _put_bias(graph: Graph, node: onnx.NodeProto, integers: Values, scale: Values) -> None:
    name = f"{node.output[0]}_bias"
    inputs = [f"{name}_quantized", f"{name}_scale"]  # the zero point defaults to zero
    graph.set_array(inputs[0], integers)
    graph.set_array(inputs[1], scale)
    node.input[2] = name
    graph.replace(node, [helper.make_node("DequantizeLinear", inputs, [name], axis=0), node])


def drop_bias_zero_points(graph: Graph) -> None:
    """Drop the zero points of INT32 biases: they are zero, which is the default."""
    for node in graph.nodes:
        if node.op_type != "DequantizeLinear" or len(node.input) < 3:
            continue
        zero_point = graph.array(node.input[2])
        if zero_point.dtype == np.int32 and not zero_point.any():
            del node.input[2]


def drop_clamps(graph: Graph) -> None:
    """Drop each Relu and Clip that the following QuantizeLinear already performs, by saturating."""
    for clamp in [node for node in graph.nodes if node.op_type in ("Relu", "Clip")]:
        users = graph.consumers(clamp.output[0])
        if users and all(_clamps_too(graph, clamp, user) for user in users):
            graph.remove(clamp)


def _clamps_too(graph: Graph, clamp: onnx.NodeProto, quantize: onnx.NodeProto) -> bool:
    """Return whether values beyond the bounds of `clamp` become the same integers as the bounds."""
    if quantize.op_type != "QuantizeLinear":
        return False
    scale, zero_point = (graph.array(name) for name in quantize.input[1:3])
    limits = np.iinfo(zero_point.dtype)
    lowest, highest = np.rint(np.array(_bounds(graph, clamp)) / scale) + zero_point
    return bool(lowest <= limits.min and highest >= limits.max)


def _bounds(graph: Graph, clamp: onnx.NodeProto) -> tuple[float, float]:
    if clamp.op_type == "Relu":
        return 0.0, np.inf
    low, high = [*clamp.input[1:], "", ""][:2]
    return (
        float(graph.array(low)) if low else -np.inf,
        float(graph.array(high)) if high else np.inf,
    )


def _is_float(graph: Graph, name: str) -> bool:
    return graph.is_constant(name) and np.issubdtype(graph.array(name).dtype, np.floating)


def refuse_floats(model: onnx.ModelProto) -> None:
    """Refuse a model with float constants other than scales; see `with_integer_constants`."""
    graph = Graph(model)
    for node in graph.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for name in node.input:
            if _is_float(graph, name):
                raise UnsupportedError(
                    f"{node.op_type} {node.name}: its constant {name} stays FP32, expected INT8; "
                    "use only layers that can be quantized in the backbone (convolution, linear, "
                    "pooling, ReLU, addition) or remove this step"
                )
