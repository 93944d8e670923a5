"""Add observers where neural-compressor's quantizer places none.

The quantizer fuses patterns as TorchInductor executes them (Conv + Add + ReLU, Conv + SELU), and
leaves the tensors inside in FP32. onnxruntime executes a layer in INT8 only if its output is
quantized too, so the missing observers are added before calibration; neural-compressor then
calibrates and converts them like its own.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import GraphModule, Node

from edgekws.errors import UnsupportedError

aten = torch.ops.aten
Observer = Any  # torchao's observers: modules with dtype, quant_min and quant_max

SHAPE_ONLY = {
    aten.dropout.default,
    aten.feature_dropout.default,
    aten.flatten.using_ints,
    aten.reshape.default,
    aten.view.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.permute.default,
    aten.transpose.int,
}
CLAMPING = {aten.relu.default, aten.relu_.default, aten.hardtanh.default, aten.hardtanh_.default}
CONVOLUTIONS = {aten.conv2d.default}
# Averages have a narrower range than their input; sharing its scale would waste bits.
AVERAGES = {aten.avg_pool2d.default, aten.adaptive_avg_pool2d.default, aten.mean.dim}


def complete_observers(prepared: GraphModule) -> None:
    """Give every activation of `prepared` an observer, of the kind already in use.

    Exceptions: the direct input of a clamping activation (the two run as one layer) and the
    logits, unless a convolution computes them. An operation that only changes the shape uses the
    observer of its input.

    Raises:
        UnsupportedError: the quantizer has not placed a single observer.
    """
    pristine = _activation_observer(prepared)
    for node in list(prepared.graph.nodes):
        if node.op != "call_function" or not _is_float(node):
            continue
        source = _observer_of(prepared, node.args[0]) if node.target in SHAPE_ONLY else None
        if source is not None:
            _observe(prepared, node, source)
        elif node.target in AVERAGES and not _reaches_output(node):
            _observe(prepared, node, copy.deepcopy(pristine))
        elif _needs_observer(node):
            _observe(prepared, node, _observer_of(prepared, node) or copy.deepcopy(pristine))
    prepared.graph.lint()
    prepared.recompile()


def make_weights_symmetric(prepared: GraphModule, largest: int) -> None:
    """Set the integer range of the weights of `prepared` to -`largest` … `largest`.

    neural-compressor uses -128 … 127, which is not centred on zero: the largest weight of a channel
    would be clipped by half a step, for the short kernels here a noticeable loss of gain.
    """
    for observer in _observers(prepared):
        if observer.dtype == torch.int8:
            observer.quant_min, observer.quant_max = -largest, largest


def choose_ranges(
    prepared: GraphModule, choose: Callable[[NDArray[np.float32]], tuple[float, float]]
) -> None:
    """Set the range of each activation of `prepared` by calling `choose` on all of its values.

    The observers must be those of `minmax`, and the calibration clips must be one batch.
    """

    def narrow(observer: Observer, inputs: tuple[torch.Tensor], output: object) -> None:
        low, high = choose(inputs[0].numpy())
        observer.min_val.fill_(low)
        observer.max_val.fill_(high)

    for observer in _observers(prepared):
        if observer.dtype == torch.uint8:
            observer.register_forward_hook(narrow)


def _needs_observer(node: Node) -> bool:
    if node.target not in CONVOLUTIONS and _reaches_output(node):
        return False
    users = list(node.users)
    return not (len(users) == 1 and users[0].target in CLAMPING)


def _observe(prepared: GraphModule, node: Node, observer: Observer) -> None:
    """Route every use of `node` through `observer`."""
    placed = [user for user in node.users if _is_observer(user)]
    if placed:
        first = placed[0]
        prepared.add_submodule(str(first.target), observer)
    else:
        name = f"activation_post_process_of_{node.name}"
        prepared.add_submodule(name, observer)
        with prepared.graph.inserting_after(node):
            first = prepared.graph.call_module(name, (node,))
        first.meta = dict(node.meta)
    for other in placed[1:]:
        other.replace_all_uses_with(first)
        prepared.graph.erase_node(other)
    node.replace_all_uses_with(first, delete_user_cb=lambda user: user is not first)


def _observer_of(prepared: GraphModule, node: object) -> Observer:
    """Return the observer that `node` is, or that observes it; None if there is none."""
    assert isinstance(node, Node)
    nodes = [node] if _is_observer(node) else [user for user in node.users if _is_observer(user)]
    return prepared.get_submodule(str(nodes[0].target)) if nodes else None


def _activation_observer(prepared: GraphModule) -> Observer:
    for observer in _observers(prepared):
        if observer.dtype == torch.uint8:
            return observer
    raise UnsupportedError(
        "neural-compressor found no layer to quantize; the backbone needs a convolution or a "
        "linear layer"
    )


def _observers(prepared: GraphModule) -> list[Observer]:
    nodes = [node for node in prepared.graph.nodes if _is_observer(node)]
    return [prepared.get_submodule(str(node.target)) for node in nodes]


def _is_observer(node: Node) -> bool:
    return node.op == "call_module" and str(node.target).startswith("activation_post_process")


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _reaches_output(node: Node) -> bool:
    """Return whether `node` is the logits, up to its shape."""
    return any(
        user.op == "output" or (user.target in SHAPE_ONLY and _reaches_output(user))
        for user in node.users
    )
