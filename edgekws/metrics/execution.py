"""Graphs as onnxruntime executes them: tensor shapes, node order, and the optimized graph."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgekws.core.scratch import scratch_folder
from edgekws.errors import UnsupportedError

_INPUT_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
_KERNEL = "_kernel_time"
"""Suffix of the profile events that record a node's execution."""


def shapes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the graph's inputs and of the tensors `names` at batch 1.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension other than the batch.
    """
    return {name: value.shape for name, value in _values(model, names).items()}


def sizes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, int]:
    """Return the bytes of the graph's inputs and of the tensors `names` at batch 1.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension other than the batch.
    """
    return {name: value.nbytes for name, value in _values(model, names).items()}


def fixed_batch(model: onnx.ModelProto) -> int:
    """Return the number of samples in one run, 1 if the batch is free.

    It is fixed if the first input `(N, ...)` and every output `(N, n_labels)` have the same N: a
    single-sample graph without a batch axis does not.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension other than the batch.
    """
    if not model.graph.input:
        return 1
    entry = model.graph.input[0].type.tensor_type.shape.dim
    if len(entry) < 2 or entry[0].dim_value < 2:
        return 1
    session = _session(model.SerializeToString(), _options("ORT_DISABLE_ALL"))
    outputs = _run(session, None, {tensor.name: _zeros(tensor) for tensor in session.get_inputs()})
    batch = entry[0].dim_value
    return batch if all(out.ndim == 2 and len(out) == batch for out in outputs) else 1


def in_order_of_execution(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes of an optimized graph in the order of onnxruntime's profile.

    It differs from the order in the file. Nodes that are not executed (Constant) come first.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension other than the batch.
    """
    numbered = onnx.ModelProto()
    numbered.CopyFrom(model)
    for i, node in enumerate(numbered.graph.node):
        node.name = str(i)
    with scratch_folder("profile") as folder:
        options = _options("ORT_DISABLE_ALL")
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        session = _session(numbered.SerializeToString(), options)
        _run(session, None, {tensor.name: _zeros(tensor) for tensor in session.get_inputs()})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    kernels = (e["name"] for e in events if e["name"].endswith(_KERNEL))
    position = {name.removesuffix(_KERNEL): i for i, name in enumerate(kernels)}
    ranks = [position.get(node.name, -1) for node in numbered.graph.node]
    return [model.graph.node[i] for i in sorted(range(len(ranks)), key=ranks.__getitem__)]


def _values(
    model: onnx.ModelProto, names: Iterable[str]
) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Return the values of the graph's inputs and of the tensors `names` (outputs of nodes).

    They come from a run on zeros without optimization, so that every executable operator has a
    shape.
    """
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    wanted = list(dict.fromkeys(names))
    present = {output.name for output in model.graph.output}
    extended.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in present)
    session = _session(extended.SerializeToString(), _options("ORT_DISABLE_ALL"))
    feed = {tensor.name: _zeros(tensor) for tensor in session.get_inputs()}
    if not wanted:
        return feed
    return feed | dict(zip(wanted, _run(session, wanted, feed), strict=True))


def optimized(model: onnx.ModelProto, level: str = "ORT_ENABLE_EXTENDED") -> onnx.ModelProto:
    """Return the graph that onnxruntime's CPU provider executes after its fusions.

    The level `EXTENDED` includes all fusions that decide whether a layer runs in INT8, and only
    leaves out the memory layouts of `ALL`, which pad or move channels.

    Raises:
        UnsupportedError: the graph cannot be loaded.
    """
    with scratch_folder("graph") as folder:
        path = folder / "optimized.onnx"
        options = _options(level)
        options.optimized_model_filepath = str(path)
        _session(model.SerializeToString(), options)
        return onnx.load(path)


def outputs(model: onnx.ModelProto, feed: dict[str, Any]) -> list[Any]:
    """Return the outputs of a graph, run without optimization.

    Raises:
        UnsupportedError: the graph cannot be run.
    """
    return _run(_session(model.SerializeToString(), _options("ORT_DISABLE_ALL")), None, feed)


def _options(level: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _session(model: bytes, options: Any) -> Any:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _errors() as error:
        raise UnsupportedError(f"onnxruntime cannot load the graph: {error}") from error


def _run(session: Any, wanted: list[str] | None, feed: dict[str, Any]) -> list[Any]:
    try:
        values: list[Any] = session.run(wanted, feed)
    except _errors() as error:
        raise UnsupportedError(f"onnxruntime cannot run the graph: {error}") from error
    return values


def _errors() -> tuple[type[Exception], ...]:
    """Return onnxruntime's exceptions, which have no common base class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
        state.NotImplemented, state.RuntimeException,
    )  # fmt: skip


def _zeros(tensor: Any) -> np.ndarray[Any, np.dtype[Any]]:
    batch, *rest = tensor.shape or [1]
    fixed = [n for n in rest if isinstance(n, int)]
    if tensor.type not in _INPUT_TYPES or len(fixed) < len(rest):
        raise UnsupportedError(
            f"input {tensor.name} is {tensor.type} {tensor.shape}: expected floats or 8 bits with"
            " every dimension fixed but the first (the batch)"
        )
    shape = [batch if isinstance(batch, int) else 1, *fixed] if tensor.shape else []
    return np.zeros(shape, _INPUT_TYPES[tensor.type])
