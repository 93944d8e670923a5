"""What onnxruntime makes of a graph: the shapes that flow through it, and its optimized form."""

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
"""What the names of a profile's events end with where a node ran."""


def shapes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the graph's inputs and of the tensors `names` at batch 1.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension besides the batch.
    """
    return {name: value.shape for name, value in _values(model, names).items()}


def sizes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, int]:
    """Return the bytes of the graph's inputs and of the tensors `names` at batch 1.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension besides the batch.
    """
    return {name: value.nbytes for name, value in _values(model, names).items()}


def fixed_batch(model: onnx.ModelProto) -> int:
    """Return the number of samples that one run takes, 1 where the batch is free.

    It is fixed where the first input `(N, ...)` and every output `(N, n_labels)` have one and the
    same N: a graph of one sample without an axis for the batch has not.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension besides the batch.
    """
    if not model.graph.input:
        return 1
    entry = model.graph.input[0].type.tensor_type.shape.dim
    if len(entry) < 2 or entry[0].dim_value < 2:
        return 1
    session = _session(model.SerializeToString(), _options("ORT_DISABLE_ALL"))
    outputs = _run(session, None, {one.name: _zeros(one) for one in session.get_inputs()})
    batch = entry[0].dim_value
    return batch if all(out.ndim == 2 and len(out) == batch for out in outputs) else 1


def in_order_of_execution(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes of an optimized graph as onnxruntime runs them, by its own profile.

    Its order is not that of the file. Nodes that it does not run (Constant) come first.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension besides the batch.
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
        _run(session, None, {one.name: _zeros(one) for one in session.get_inputs()})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    kernels = (e["name"] for e in events if e["name"].endswith(_KERNEL))
    position = {name.removesuffix(_KERNEL): i for i, name in enumerate(kernels)}
    ranks = [position.get(node.name, -1) for node in numbered.graph.node]
    return [model.graph.node[i] for i in sorted(range(len(ranks)), key=ranks.__getitem__)]


def _values(
    model: onnx.ModelProto, names: Iterable[str]
) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Return the graph's inputs and the tensors `names` (outputs of nodes).

    They are those of a run on zeros without any optimization, so that no operator that can be
    run is without a shape.
    """
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    wanted = list(dict.fromkeys(names))
    present = {output.name for output in model.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in present)
    session = _session(asked.SerializeToString(), _options("ORT_DISABLE_ALL"))
    feed = {one.name: _zeros(one) for one in session.get_inputs()}
    if not wanted:
        return feed
    return feed | dict(zip(wanted, _run(session, wanted, feed), strict=True))


def optimized(model: onnx.ModelProto, level: str = "ORT_ENABLE_EXTENDED") -> onnx.ModelProto:
    """Return the graph that onnxruntime's CPU provider executes, up to its fusions.

    At the level `EXTENDED` all fusions that decide whether a layer runs in INT8 are made, and
    only the memory layouts of `ALL`, which pad or move channels, are not.

    Raises:
        UnsupportedError: the graph cannot be loaded.
    """
    with scratch_folder("graph") as folder:
        path = folder / "optimized.onnx"
        options = _options(level)
        options.optimized_model_filepath = str(path)
        _session(model.SerializeToString(), options)
        return onnx.load(path)


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
    """Return onnxruntime's exceptions, which share no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
        state.NotImplemented, state.RuntimeException,
    )  # fmt: skip


def _zeros(one: Any) -> np.ndarray[Any, np.dtype[Any]]:
    batch, *rest = one.shape or [1]
    fixed = [n for n in rest if isinstance(n, int)]
    if one.type not in _INPUT_TYPES or len(fixed) < len(rest):
        raise UnsupportedError(
            f"input {one.name} is {one.type} {one.shape}: expected floats or 8 bits with every"
            " dimension fixed but the first (the batch)"
        )
    shape = [batch if isinstance(batch, int) else 1, *fixed] if one.shape else []
    return np.zeros(shape, _INPUT_TYPES[one.type])
