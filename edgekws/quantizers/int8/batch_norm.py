"""Turn BatchNorms that cannot be folded into the previous layer into depthwise 1 × 1 convolutions.

A BatchNorm after a ReLU cannot be folded into the next convolution either if that one pads with
zeros: the padding would then have to be nonzero. A depthwise convolution of kernel 1 computes the
same, and runs in INT8 with one exact weight per channel.
"""

import numpy as np
import onnx
import torch
from onnx import helper
from torch.fx import GraphModule, Node

from edgekws.lowering.graph import Graph, attribute

aten = torch.ops.aten
FOLDABLE_INTO = {aten.conv2d.default, aten.linear.default}


def replace_batch_norms(exported: GraphModule) -> None:
    """Replace the BatchNorms of an exported module that neural-compressor would leave in FP32."""
    for node in list(exported.graph.nodes):
        if node.op == "call_function" and node.target == aten.batch_norm.default:
            before = node.args[0]
            assert isinstance(before, Node)
            foldable = before.target in FOLDABLE_INTO and len(before.users) == 1
            if not foldable and node.meta["val"].dim() == 4:
                _replace_node(exported, node)
    exported.graph.lint()
    exported.recompile()


def _replace_node(exported: GraphModule, node: Node) -> None:
    x, weight, bias, mean, variance = node.args[:5]
    eps = node.args[7]
    assert isinstance(mean, Node)
    assert isinstance(variance, Node)
    assert isinstance(eps, float)
    means, variances = _tensor(exported, mean), _tensor(exported, variance)
    gamma = _tensor(exported, weight) if isinstance(weight, Node) else torch.ones_like(means)
    beta = _tensor(exported, bias) if isinstance(bias, Node) else torch.zeros_like(means)
    scale = gamma / (variances + eps).sqrt()
    layer = str(mean.target).rpartition(".")[0]
    owner = exported.get_submodule(layer)
    owner.register_parameter("scale", _frozen(scale.reshape(-1, 1, 1, 1)))
    owner.register_parameter("shift", _frozen(beta - means * scale))
    with exported.graph.inserting_before(node):
        parameters = [exported.graph.get_attr(f"{layer}.{name}") for name in ("scale", "shift")]
        args = (x, *parameters, [1, 1], [0, 0], [1, 1], scale.numel())
        depthwise = exported.graph.call_function(aten.conv2d.default, args)
    # The quantizer finds convolutions by the function they were traced from.
    traced = [(depthwise.name, torch.nn.functional.conv2d)]
    depthwise.meta = {**node.meta, "source_fn_stack": traced}
    node.replace_all_uses_with(depthwise)
    exported.graph.erase_node(node)


def _frozen(values: torch.Tensor) -> torch.nn.Parameter:
    return torch.nn.Parameter(values, requires_grad=False)


def _tensor(exported: GraphModule, node: Node) -> torch.Tensor:
    layer, _, name = str(node.target).rpartition(".")
    value = getattr(exported.get_submodule(layer), name)
    assert isinstance(value, torch.Tensor)
    return value.detach()


def without_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the ONNX model with every BatchNormalization replaced."""
    graph = Graph(model)
    for node in [node for node in graph.nodes if node.op_type == "BatchNormalization"]:
        gamma, beta, mean, variance = (graph.array(name) for name in node.input[1:5])
        scale = (gamma / np.sqrt(variance + attribute(node, "epsilon", 1e-5))).astype(np.float32)
        parameters = [f"{node.name}.scale", f"{node.name}.shift"]
        graph.set_array(parameters[0], scale.reshape(-1, 1, 1, 1))
        graph.set_array(parameters[1], (beta - mean * scale).astype(np.float32))
        inputs, channels = [node.input[0], *parameters], len(scale)
        depthwise = helper.make_node(
            "Conv", inputs, node.output[:1], node.name, kernel_shape=[1, 1], group=channels
        )
        graph.replace(node, [depthwise])
    return graph.to_model()
