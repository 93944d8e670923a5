"""Voices that are ONNX graphs: sessions, and noise that is an input instead of drawn inside."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekws.errors import DataError

if TYPE_CHECKING:
    import onnx
    import onnxruntime

NOISE_LENGTH = 262_147
"""Values of each noise input, repeated where a graph needs more: 16 s of a medium Piper voice."""

_NOISE = "edgekws_noise_"
_RANDOM = ("RandomNormal", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")


def open_session(model: bytes, name: Path | str) -> "onnxruntime.InferenceSession":
    """Open a model for one thread, on which equal inputs give equal bytes.

    Raises:
        DataError: onnxruntime does not read it.
    """
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidGraph, InvalidProtobuf) as error:
        raise DataError(f"{name}: is not a model that onnxruntime reads: {error}") from error


def with_noise_inputs(model: "onnx.ModelProto", name: Path | str) -> "onnx.ModelProto":
    """Return `model` with each RandomNormalLike replaced by values of an input.

    onnxruntime seeds that operator once for a session, so speech would depend on what was said
    before. The inputs are float32 `(NOISE_LENGTH,)`; a shape takes its values from the start, in
    order, repeated if there are too few.

    Raises:
        DataError: the graph draws random numbers in another way.
    """
    import onnx

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    nodes: list[onnx.NodeProto] = []
    length = onnx.numpy_helper.from_array(np.array(NOISE_LENGTH, np.int64), f"{_NOISE}length")
    bounds = [
        onnx.numpy_helper.from_array(np.array(value, np.int64), f"{_NOISE}{value}")
        for value in (0, 1)
    ]
    count = 0
    for node in graph.node:
        if node.op_type in _RANDOM:
            raise DataError(f"{name}: draws random numbers by {node.op_type}, which has no seed")
        if node.op_type == "RandomNormalLike":
            graph.input.append(
                onnx.helper.make_tensor_value_info(
                    f"{_NOISE}input_{count}", onnx.TensorProto.FLOAT, [NOISE_LENGTH]
                )
            )
            nodes += _looked_up(node, count)
            count += 1
        else:
            nodes.append(node)
    if count:
        graph.initializer.extend([length, *bounds])
    del graph.node[:]
    graph.node.extend(nodes)
    return changed


def _looked_up(node: "onnx.NodeProto", number: int) -> list["onnx.NodeProto"]:
    """Return nodes that give `mean + scale · noise[i mod NOISE_LENGTH]` in the node's shape."""
    from onnx import helper

    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    own = f"{_NOISE}{number}_"
    steps = [
        ("Shape", [node.input[0]], "shape"),
        ("Size", [node.input[0]], "size"),
        ("Range", [f"{_NOISE}0", own + "size", f"{_NOISE}1"], "places"),
        ("Mod", [own + "places", f"{_NOISE}length"], "repeated"),
        ("Reshape", [own + "repeated", own + "shape"], "index"),
        ("Gather", [f"{_NOISE}input_{number}", own + "index"], "normal"),
    ]
    nodes = [helper.make_node(kind, inputs, [own + output]) for kind, inputs, output in steps]
    mean, scale = settings.get("mean", 0.0), settings.get("scale", 1.0)
    for name, value in (("scale", scale), ("mean", mean)):
        constant = helper.make_node("Constant", [], [own + name], value_float=float(value))
        nodes.append(constant)
    nodes.append(helper.make_node("Mul", [own + "normal", own + "scale"], [own + "scaled"]))
    nodes.append(helper.make_node("Add", [own + "scaled", own + "mean"], [node.output[0]]))
    return nodes


def noise_inputs(
    session: "onnxruntime.InferenceSession", seed: tuple[int, ...]
) -> dict[str, NDArray[np.float32]]:
    """Return normal noise for the inputs that `with_noise_inputs` added, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    names = [i.name for i in session.get_inputs() if i.name.startswith(_NOISE)]
    return {name: rng.standard_normal(NOISE_LENGTH, np.float32) for name in names}


def run(
    session: "onnxruntime.InferenceSession", inputs: Mapping[str, Any], name: Path | str
) -> NDArray[np.float32]:
    """Return the first output as float32 `(samples,)`.

    Raises:
        DataError: the graph does not take these inputs.
    """
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

    try:
        return np.asarray(session.run(None, dict(inputs))[0], np.float32).ravel()
    except (ValueError, Fail, InvalidArgument, RuntimeException) as error:
        raise DataError(f"{name}: does not speak: {error}") from error
