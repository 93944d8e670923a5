"""Names in a quantized file: layers as in the network, everything else short."""

from collections import Counter
from collections.abc import Iterator
from itertools import count

import onnx

from edgekws.lowering.graph import Graph

ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def with_layer_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its layers and weights named as in the network.

    A Conv or Gemm is called as the layer whose weights it has (`body.0.conv`), another operator
    as its type and its turn (`Selu`, `Selu_2`). Tensors in between get short names: there are
    three for each that a float graph has, and long ones are a fifth of a small network's file.
    """
    graph = Graph(model)
    taken = {value.name for value in (*model.graph.input, *model.graph.output)}
    names = {name: name for name in taken}
    turns: Counter[str] = Counter()
    for node in graph.nodes:
        weight = weight_of(graph, node)
        if weight:
            names[weight] = weight.removesuffix("_quantized").removeprefix("network.")
            node.name = _turn(names[weight].rpartition(".")[0] or names[weight], turns)
        else:
            node.name = "" if node.op_type in ROUNDING else _turn(node.op_type, turns)
    short = _unused(set(names.values()))
    for node in graph.nodes:
        for name in (*node.input, *node.output):
            if name and name not in names:
                names[name] = next(short)
    return graph.to_model(names)


def weight_of(graph: Graph, node: onnx.NodeProto) -> str:
    """Return the constant that a Conv or Gemm has for weights, also dequantized; "" where none."""
    if node.op_type not in ("Conv", "Gemm"):
        return ""
    weight: str = node.input[1]
    if graph.is_constant(weight):
        return weight
    dequantize = graph.producer(weight)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return ""
    return dequantize.input[0] if graph.is_constant(dequantize.input[0]) else ""


def _turn(name: str, turns: Counter[str]) -> str:
    """Return `name`, numbered from its second turn on."""
    turns[name] += 1
    return name if turns[name] == 1 else f"{name}_{turns[name]}"


def _unused(taken: set[str]) -> Iterator[str]:
    return (name for name in map("t{}".format, count()) if name not in taken)
