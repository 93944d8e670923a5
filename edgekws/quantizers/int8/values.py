"""The values of a graph's tensors on given clips."""

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
    """Yield the values of tensors in batches of clips, computed without graph optimizations."""
    names = list(dict.fromkeys(tensors))
    if not names:  # onnxruntime would return all outputs
        return
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    inner = [name for name in names if name not in ends]
    extended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        extended.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    features = session.get_inputs()[0].name
    outputs = [name for name in names if name != features]
    for start in range(0, len(clips), _BATCH):
        batch = clips[start : start + _BATCH]
        values = session.run(outputs, {features: batch}) if outputs else []
        yield {features: batch, **dict(zip(outputs, values, strict=True))}
