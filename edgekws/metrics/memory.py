"""Peak activation memory: the most bytes alive at once while onnxruntime runs a graph.

A plan of buffers, not a measurement of the process: the sum over the live tensors, as the memory
planners of microcontroller runtimes count it (TensorFlow Lite Micro's arena; MCUNet, Lin et al.
2020). It excludes weights, scratch space of kernels and the runtime itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import AttributeProto, NodeProto, inliner

from edgekws.errors import UnsupportedError
from edgekws.metrics import execution

VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that only reshape their first input: their output needs no memory."""

_INNER = {AttributeProto.GRAPH, AttributeProto.GRAPHS}


@dataclass(frozen=True)
class Schedule:
    """Nodes in the order of execution, and the graph's inputs, outputs and constants."""

    nodes: Sequence[NodeProto]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: frozenset[str]


def peak_ram_kib(model: Path | onnx.ModelProto) -> float:
    """Return the peak activation memory of one inference at batch 1, in KiB.

    The graph is the one that onnxruntime executes after its fusions, in its order. A tensor lives
    from the node that writes it to the last that reads it; graph inputs live from the start,
    outputs to the end. In-place operation is not assumed: while a node runs, its inputs and
    outputs are alive together. Views share the memory of their source. An element takes the bytes
    of its type, one in INT8. If the batch is fixed to more than one, the peak is per sample.

    Raises:
        UnsupportedError: a node contains a subgraph (If, Loop), or the graph cannot be run.
    """
    loaded = onnx.load(model) if isinstance(model, Path) else model
    flat = inliner.inline_local_functions(loaded) if loaded.functions else loaded
    executed = execution.optimized(flat)
    schedule = _schedule(executed)
    peak = peak_bytes(schedule, execution.sizes(executed, _computed(schedule)))
    return peak / execution.fixed_batch(flat) / 1024


def peak_bytes(schedule: Schedule, sizes: Mapping[str, int]) -> int:
    """Return the most bytes alive while any node runs.

    `sizes` are the bytes of every tensor that is not a constant.
    """
    nodes = schedule.nodes
    owner = _owners(nodes)
    last = len(nodes)
    first = dict.fromkeys(schedule.inputs, 0)
    until = {owner.get(name, name): last for name in schedule.outputs}
    for i, node in enumerate(nodes):
        for name in node.output:
            first.setdefault(owner.get(name, name), i)
        for name in (*node.input, *node.output):
            held = owner.get(name, name)
            until[held] = max(until.get(held, 0), i)
    change = [0] * (last + 2)
    for name, start in first.items():
        if name and name not in schedule.constants:
            change[start] += sizes[name]
            change[until.get(name, start) + 1] -= sizes[name]
    peak = alive = 0
    for step in change:
        alive += step
        peak = max(peak, alive)
    return peak


def _owners(nodes: Iterable[NodeProto]) -> dict[str, str]:
    """Return, for every view, the tensor that owns its memory."""
    owner: dict[str, str] = {}
    for node in nodes:
        if node.op_type in VIEWS:
            owner[node.output[0]] = owner.get(node.input[0], node.input[0])
    return owner


def _schedule(model: onnx.ModelProto) -> Schedule:
    for node in model.graph.node:
        if any(attribute.type in _INNER for attribute in node.attribute):
            raise UnsupportedError(
                f"operator {node.op_type} (node {node.name or node.output[0]}) contains a "
                "subgraph: its memory cannot be planned; export the model without control flow"
            )
    constants = {tensor.name for tensor in model.graph.initializer}
    return Schedule(
        execution.in_order_of_execution(model),
        tuple(i.name for i in model.graph.input if i.name not in constants),
        tuple(o.name for o in model.graph.output),
        frozenset(constants),
    )


def _computed(schedule: Schedule) -> list[str]:
    names = (name for node in schedule.nodes for name in node.output)
    return [name for name in names if name and name not in schedule.constants]
