"""Exact rewrites of an ONNX graph: BatchNorm folding, pooling for means, readable names."""

import re
from collections import Counter

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgekws.lowering.graph import Graph, attribute

_KEEP_CHANNELS = ("GlobalAveragePool", "AveragePool", "MaxPool", "Flatten", "Reshape")
"""Operators across which a per-channel scale and shift may be moved (conditions: `_reach`)."""


def fold_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with BatchNormalization folded into Conv and Gemm where that is exact.

    Backwards: into the Conv or Gemm before it, if it is the only consumer. Forwards (ReLU before
    BatchNorm): into its only consumer, a Conv without padding or a Gemm, across pooling and
    flattening in between. A shift does not commute with zero padding, so a BatchNormalization
    before a convolution that pads stays.
    """
    graph = Graph(model)
    for node in [n for n in graph.nodes if n.op_type == "BatchNormalization"]:
        scale, shift = _scale_and_shift(graph, node)
        _fold_back(graph, node, scale, shift) or _fold_forward(graph, node, scale, shift)
    return graph.to_model()


def _scale_and_shift(
    graph: Graph, node: onnx.NodeProto
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    gamma, beta, mean, var = (graph.array(name).astype(np.float64) for name in node.input[1:5])
    scale = gamma / np.sqrt(var + attribute(node, "epsilon", 1e-5))
    return scale, beta - mean * scale


def _fold_back(
    graph: Graph, node: onnx.NodeProto, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> bool:
    layer = graph.producer(node.input[0])
    if layer is None or not _is_layer(graph, layer) or len(graph.consumers(layer.output[0])) != 1:
        return False
    weight, bias = _weights(graph, layer)
    weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    _set_weights(graph, layer, weight, bias * scale + shift)
    graph.remove(node)
    return True


def _fold_forward(
    graph: Graph, node: onnx.NodeProto, scale: NDArray[np.float64], shift: NDArray[np.float64]
) -> bool:
    layer = _reach(graph, node, bool((scale > 0).all()))
    if layer is None or _pads(layer):
        return False
    weight, bias = _weights(graph, layer)
    groups, width = attribute(layer, "group", 1), weight.shape[1]
    each = groups * width // len(scale)  # inputs of a Gemm that one flattened channel spans
    group = np.repeat(np.arange(groups), len(weight) // groups)
    inputs = group[:, None] * width + np.arange(width)  # (out, in / groups)
    shape = (*weight.shape[:2], *[1] * (weight.ndim - 2))
    moved = weight * np.repeat(shift, each)[inputs].reshape(shape)
    weight = weight * np.repeat(scale, each)[inputs].reshape(shape)
    _set_weights(graph, layer, weight, bias + moved.reshape(len(weight), -1).sum(axis=1))
    graph.remove(node)
    return True


def _reach(graph: Graph, node: onnx.NodeProto, positive: bool) -> onnx.NodeProto | None:
    """Return the layer that is the only consumer of `node`, with only poolings in between."""
    users = graph.consumers(node.output[0])
    while len(users) == 1 and users[0].op_type in _KEEP_CHANNELS:
        user = users[0]
        if user.op_type == "MaxPool" and not positive:  # a negative scale swaps max and min
            return None
        if user.op_type == "AveragePool" and _pads(user):
            return None
        users = graph.consumers(user.output[0])
    alone = len(users) == 1 and _is_layer(graph, users[0])
    return users[0] if alone else None


def _is_layer(graph: Graph, node: onnx.NodeProto) -> bool:
    if node.op_type == "Gemm":
        plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
        plain = plain and attribute(node, "transB", 0) == 1 and not attribute(node, "transA", 0)
        return plain and graph.is_constant(node.input[1])
    return node.op_type == "Conv" and graph.is_constant(node.input[1])


def _pads(node: onnx.NodeProto) -> bool:
    auto = attribute(node, "auto_pad", b"NOTSET")
    return any(attribute(node, "pads", [])) or auto not in (b"NOTSET", b"VALID")


def _weights(
    graph: Graph, layer: onnx.NodeProto
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weight = graph.array(layer.input[1]).astype(np.float64)
    if len(layer.input) > 2 and layer.input[2]:
        return weight, graph.array(layer.input[2]).astype(np.float64)
    return weight, np.zeros(len(weight))


def _set_weights(
    graph: Graph, layer: onnx.NodeProto, weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> None:
    """Give `layer` separate weights: an initializer may be shared with another layer."""
    name = layer.input[1]
    if len(graph.consumers(name)) > 1:
        name = f"{name}.{layer.output[0]}"
    del layer.input[1:]
    layer.input.extend([name, f"{name.removesuffix('.weight')}.bias"])
    graph.set_array(layer.input[1], weight.astype(np.float32))
    graph.set_array(layer.input[2], bias.astype(np.float32))


def pool_instead_of_mean(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with GlobalAveragePool instead of ReduceMean over height and width.

    Quantizers support the pool and leave the mean in FP32. Other means are unchanged.
    """
    graph = Graph(onnx.shape_inference.infer_shapes(model))
    for node in [n for n in graph.nodes if n.op_type == "ReduceMean"]:
        axes = sorted(axis % 4 for axis in graph.array(node.input[1]).tolist())
        if graph.rank(node.input[0]) != 4 or axes != [2, 3]:
            continue
        pooled = node.output[0] if attribute(node, "keepdims", 1) else f"{node.output[0]}.pooled"
        pool = helper.make_node("GlobalAveragePool", node.input[:1], [pooled], name=node.name)
        flat = helper.make_node("Flatten", [pooled], node.output, f"{node.name}.flat", axis=1)
        graph.replace(node, [pool] if attribute(node, "keepdims", 1) else [pool, flat])
    return graph.to_model()


def with_readable_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with nodes and tensors named after the layers of the network.

    A node with weights is named after its layer (`body.0.conv`), others after their operator with a
    number (`relu_2`), a tensor after the node that produces it, a weight as in the network.
    """
    graph = Graph(model)
    inputs_and_outputs = {v.name for v in (*model.graph.input, *model.graph.output)}
    renamed: dict[str, str] = {name: name for name in inputs_and_outputs}
    counts: Counter[str] = Counter()
    for node in graph.nodes:
        node.name = _node_name(graph, node, counts)
        for i, output in enumerate(node.output):
            renamed.setdefault(output, f"{node.name}.{i}" if i else node.name)
        for i, name in enumerate(node.input):
            if graph.is_constant(name):
                generated = re.fullmatch(r"(val|scalar_tensor\w*)_\d+", name)
                plain = name.removeprefix("network.")
                renamed.setdefault(name, f"{node.name}.constant{i}" if generated else plain)
    return graph.to_model(renamed)


def _node_name(graph: Graph, node: onnx.NodeProto, counts: Counter[str]) -> str:
    weights = [name for name in node.input if graph.is_constant(name)]
    layer = weights[0].removeprefix("network.") if weights else ""
    if layer.endswith(".weight"):
        name = layer.removesuffix(".weight")
        counts[f"layer {name}"] += 1
        return name if counts[f"layer {name}"] == 1 else f"{name}_{counts[f'layer {name}']}"
    operator = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.op_type).lower()
    counts[operator] += 1
    return f"{operator}_{counts[operator]}"
