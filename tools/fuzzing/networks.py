"""ONNX files whose graphs say what no exporter writes."""

from random import Random
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from tools.fuzzing.damage import TEXTS, damaged

_SIZES = (0, 1, -1, 2, 3, 97, 10**6, 2**31 - 1, 2**31, 2**62, -(2**63), 2**63 - 1)
_OPERATORS = (
    "Conv", "Gemm", "MatMul", "Relu", "Reshape", "Transpose", "Slice", "Concat", "Identity",
    "Softmax", "Loop", "If", "Scan", "Expand", "Tile", "ConstantOfShape", "Range", "NonZero",
    "RandomNormal", "QLinearConv", "StringNormalizer", "ImageDecoder", "Nothing", "",
    "DequantizeLinear", "AveragePool", "GlobalAveragePool", "MaxPool", "Pad", "Where",
)  # fmt: skip


def changed(rng: Random, data: bytes) -> bytes:
    """Return an ONNX file after one to three changes of its graph, or of its bytes."""
    if rng.random() < 0.15:
        return damaged(rng, data)
    try:
        model = onnx.load_from_string(data)
        for _ in range(rng.choice((1, 1, 2, 3))):
            rng.choice(_CHANGES)(rng, model)
    except (DecodeError, IndexError, ValueError, TypeError):
        return damaged(rng, data)
    return bytes(model.SerializeToString())


def _operator(rng: Random, model: Any) -> None:
    rng.choice(model.graph.node).op_type = rng.choice(_OPERATORS)


def _domain(rng: Random, model: Any) -> None:
    rng.choice(model.graph.node).domain = rng.choice(
        ("com.microsoft", "ai.onnx.ml", "x", "ai.onnx")
    )


def _wires(rng: Random, model: Any) -> None:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = rng.choice(model.graph.node)
    side = rng.choice((node.input, node.output))
    if side:
        side[rng.randrange(len(side))] = rng.choice((*names, "", "nowhere"))


def _node_gone(rng: Random, model: Any) -> None:
    del model.graph.node[rng.randrange(len(model.graph.node))]


def _node_twice(rng: Random, model: Any) -> None:
    model.graph.node.add().CopyFrom(rng.choice(model.graph.node))


def _attribute(rng: Random, model: Any) -> None:
    node = rng.choice(model.graph.node)
    if not node.attribute or rng.random() < 0.2:
        name = rng.choice(
            ("axis", "kernel_shape", "pads", "strides", "group", "dilations", "to", "perm", "x")
        )
        node.attribute.append(helper.make_attribute(name, [rng.choice(_SIZES) for _ in range(2)]))
        return
    attribute = rng.choice(node.attribute)
    attribute.i = rng.choice(_SIZES)
    for at in range(len(attribute.ints)):
        attribute.ints[at] = rng.choice((attribute.ints[at], rng.choice(_SIZES)))
    attribute.type = rng.choice((attribute.type, attribute.type, rng.randrange(15)))


def _dimensions(rng: Random, model: Any) -> None:
    tensor = rng.choice(model.graph.initializer)
    if tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(_SIZES)
    else:
        tensor.dims.append(rng.choice(_SIZES))


def _values(rng: Random, model: Any) -> None:
    tensor = rng.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    if array.dtype.kind == "f":
        array.flat[rng.randrange(array.size)] = rng.choice(
            (np.nan, np.inf, -np.inf, 3e38, 1e-45, 0)
        )
    else:
        information = np.iinfo(array.dtype)
        array.flat[rng.randrange(array.size)] = max(
            min(rng.choice(_SIZES), information.max), information.min
        )
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _type(rng: Random, model: Any) -> None:
    rng.choice(model.graph.initializer).data_type = rng.randrange(25)


def _external(rng: Random, model: Any) -> None:
    tensor = rng.choice(model.graph.initializer)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    places = (
        "/etc/passwd",
        "../../escaped",
        "/dev/zero",
        "labels.txt",
        "weights.bin",
        "",
        "model.onnx",
    )
    for key, value in (
        ("location", rng.choice(places)),
        ("offset", "0"),
        ("length", rng.choice(("0", "-1", "99"))),
    ):
        tensor.external_data.add(key=key, value=value)


def _shape(rng: Random, model: Any) -> None:
    value = rng.choice((*model.graph.input, *model.graph.output))
    dims = value.type.tensor_type.shape.dim
    change = rng.randrange(4)
    if change == 0:
        value.type.tensor_type.elem_type = rng.randrange(20)
    elif change == 1:
        value.ClearField("type")
    elif dims and change == 2:
        dims[rng.randrange(len(dims))].dim_param = rng.choice(("batch", "N", "", "x y"))
    elif dims:
        dims[rng.randrange(len(dims))].dim_value = rng.choice(_SIZES)


def _name(rng: Random, model: Any) -> None:
    value = rng.choice(
        (*model.graph.input, *model.graph.output, *model.graph.node, *model.graph.initializer)
    )
    value.name = rng.choice([text.encode("utf-8", "replace").decode() for text in TEXTS])


def _metadata(rng: Random, model: Any) -> None:
    if model.metadata_props and rng.random() < 0.7:
        entry = rng.choice(model.metadata_props)
    else:
        entry = model.metadata_props.add(key=rng.choice(("contract", "stream", "labels", "x", "")))
    text = rng.choice(
        (*TEXTS, "{}", "[]", "null", "1", '{"states": []}', "[" * 100_000, entry.value[:-2])
    )
    entry.value = text.encode("utf-8", "replace").decode()


def _version(rng: Random, model: Any) -> None:
    version = rng.choice((0, 1, 6, 7, 13, 17, 25, 26, 99, 2**31, -1))
    if rng.random() < 0.5:
        model.ir_version = version
    elif model.opset_import:
        model.opset_import[0].version = version
    if rng.random() < 0.1:
        del model.opset_import[:]


def _large(rng: Random, model: Any) -> None:
    """Have the logits come of a tensor that takes all the memory there is."""
    size = rng.choice((10**5, 10**8, 10**10, 2**40))
    shape = numpy_helper.from_array(np.array([size], np.int64), "large_shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["large_shape"], ["large"]))
    if rng.random() < 0.7:
        model.graph.node[-1].input[0] = "large"


def _nested(rng: Random, model: Any) -> None:
    """Lay graphs into graphs."""
    graph = helper.make_graph([helper.make_node("Identity", ["features"], ["x"])], "inner", [], [])
    for _ in range(rng.choice((1, 3, 50, 90))):
        node = helper.make_node("If", ["features"], ["y"], then_branch=graph, else_branch=graph)
        if node.ByteSize() > 1 << 20:
            break
        graph = helper.make_graph([node], "outer", [], [])
    model.graph.node.extend(graph.node)


_CHANGES = (
    _operator, _operator, _domain, _wires, _wires, _node_gone, _node_twice, _attribute,
    _attribute, _dimensions, _values, _values, _type, _external, _shape, _shape, _name, _metadata,
    _version, _large, _nested,
)  # fmt: skip
