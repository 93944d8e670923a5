"""The values of a graph's tensors on some clips."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

_BATCH = 16

Values = NDArray[Any]


def values_of(
    model: onnx.ModelProto, tensors: Iterable[str], clips: NDArray[np.float32]
) -> Iterator[dict[str, Values]]:
    """Yield the values of tensors, some of the clips at a time, as the graph defines them."""
    wanted = list(dict.fromkeys(tensors))
    if not wanted:  # which onnxruntime would take for all outputs
        return
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    inner = [name for name in wanted if name not in ends]
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        asked.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    asked_for = [tensor for tensor in wanted if tensor != name]
    for start in range(0, len(clips), _BATCH):
        batch = clips[start : start + _BATCH]
        found = session.run(asked_for, {name: batch}) if asked_for else []
        yield {name: batch, **dict(zip(asked_for, found, strict=True))}
