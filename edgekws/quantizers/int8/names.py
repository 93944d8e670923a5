"""Names in a quantized model: layers as in the network, everything else short."""

from collections import Counter
from collections.abc import Iterator
from itertools import count

import onnx

from edgekws.lowering.graph import Graph

ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def with_layer_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its layers and weights named as in the network.

    A Conv or Gemm is named after the layer of its weights (`body.0.conv`), other operators by type
    and number (`Selu`, `Selu_2`). Intermediate tensors get short names: there are three for each
    one in the float graph, and long names are a fifth of a small network's file.
    """
    graph = Graph(model)
    taken = {value.name for value in (*model.graph.input, *model.graph.output)}
    names = {name: name for name in taken}
    counts: Counter[str] = Counter()
    for node in graph.nodes:
        weight = weight_of(graph, node)
        if weight:
            names[weight] = weight.removesuffix("_quantized").removeprefix("network.")
            node.name = _numbered(names[weight].rpartition(".")[0] or names[weight], counts)
        else:
            node.name = "" if node.op_type in ROUNDING else _numbered(node.op_type, counts)
    short = _unused(set(names.values()))
    for node in graph.nodes:
        for name in (*node.input, *node.output):
            if name and name not in names:
                names[name] = next(short)
    return graph.to_model(names)


def weight_of(graph: Graph, node: onnx.NodeProto) -> str:
    """Return the name of a Conv's or Gemm's constant weights, before dequantization; "" if none."""
    if node.op_type not in ("Conv", "Gemm"):
        return ""
    weight: str = node.input[1]
    if graph.is_constant(weight):
        return weight
    dequantize = graph.producer(weight)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return ""
    return dequantize.input[0] if graph.is_constant(dequantize.input[0]) else ""


def _numbered(name: str, counts: Counter[str]) -> str:
    """Return `name`, numbered from its second use on."""
    counts[name] += 1
    return name if counts[name] == 1 else f"{name}_{counts[name]}"


def _unused(taken: set[str]) -> Iterator[str]:
    return (name for name in map("t{}".format, count()) if name not in taken)
