"""What onnxruntime makes of a graph: the shapes that flow through it, and its optimized form."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgekws.errors import UnsupportedError

_INPUT_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64}


def shapes(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors `names` (outputs of nodes) at batch 1.

    They are read off a run on zeros without any optimization, so that no operator that can be
    run is without a shape.

    Raises:
        UnsupportedError: the graph cannot be run, or has a free dimension besides the batch.
    """
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    wanted = list(dict.fromkeys(names))
    present = {output.name for output in model.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in present)
    session = _session(asked.SerializeToString(), _options("ORT_DISABLE_ALL"))
    feed = {one.name: _zeros(one) for one in session.get_inputs()}
    found = {name: value.shape for name, value in feed.items()}
    if wanted:
        try:
            values = session.run(wanted, feed)
        except _errors() as error:
            raise UnsupportedError(f"onnxruntime cannot run the graph: {error}") from error
        found |= {name: value.shape for name, value in zip(wanted, values, strict=True)}
    return found


def optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph that onnxruntime's CPU provider executes, up to its fusions.

    The level is `EXTENDED`: all fusions that decide whether a layer runs in INT8 are made, and
    only the blocked memory layouts of `ALL`, which pad channels, are not.

    Raises:
        UnsupportedError: the graph cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="edgekws-graph-") as folder:
        path = Path(folder) / "optimized.onnx"
        options = _options("ORT_ENABLE_EXTENDED")
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
            f"input {one.name} is {one.type} {one.shape}: expected floats with every dimension"
            " fixed but the first (the batch)"
        )
    shape = [batch if isinstance(batch, int) else 1, *fixed] if one.shape else []
    return np.zeros(shape, _INPUT_TYPES[one.type])
