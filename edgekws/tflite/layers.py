"""From the INT8 nodes of a graph to operators of TFLite, one function a kind of node."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.graph_nodes import Node, scalar
from edgekws.codegen.views import Index, View, axis_order, whole
from edgekws.tflite.builder import SIGNED, Builder
from edgekws.tflite.graph import Scales

Pads = tuple[tuple[int, int], tuple[int, int]]
LOGISTIC = Scales((1 / 256,), -SIGNED)
"""The only quantization that TFLite allows for the output of LOGISTIC."""


def convolution(builder: Builder, node: Node) -> None:
    """Read QLinearConv: with one group, or with one channel a group."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *bias = node.inputs
    weights = _weights(builder, node, w, w_zero)
    weights = weights if weights.ndim == 4 else weights[:, :, None]  # (O, I, kh, kw)
    view = _channels_last(node, builder.view(node, x))
    builder.check_scales(node, view, builder.scales(x_scale, x_zero))
    group, channels = node.attributes.get("group", 1), len(weights)
    depthwise = group > 1
    if depthwise and not group == channels == view.index.shape[-1]:
        raise node.refuse(f"{group} groups for {view.index.shape[-1]} channels in, {channels} out")
    start = builder.constants[bias[0]] if bias and bias[0] else np.zeros(channels, np.int32)
    kernel = weights.transpose(1, 2, 3, 0) if depthwise else weights.transpose(0, 2, 3, 1)
    strides, dilations = (_two(node.attributes.get(k, (1, 1))) for k in ("strides", "dilations"))
    rows = None if depthwise else _overlapping(builder, view, kernel.shape[1], _pads(node))
    if rows is not None:
        # Images that are overlapping parts of one are one image with a wider kernel.
        kernel = kernel.transpose(0, 2, 3, 1)
        strides, dilations = (strides[1], rows[1]), (dilations[1], 1)
        tensor, padding = builder.reshaped(view.storage, rows[0]), "VALID"
    else:
        size = kernel.shape[1:3]
        tensor, padding = _padded(builder, node, view, size, strides, dilations, "PAD")
    code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    options: dict[str, Any] = {"padding": padding}
    options |= {"strideH": strides[0], "strideW": strides[1]}
    options |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    options |= {"depthMultiplier": 1} if depthwise else {}
    inputs = [tensor, *_constants(builder, node, kernel, w_scale, start, x_scale, depthwise)]
    places = _places(builder, tensor, kernel.shape[1:3], strides, dilations, padding)
    y = builder.scales(y_scale, y_zero)
    output = builder.apply(code, node, inputs, (*places, channels), y, **options)
    index = whole(output, (*places, channels)).index
    _set_output(builder, node, output, index if rows is None else index.transpose(2, 0, 1, 3))


def matrix_product(builder: Builder, node: Node) -> None:
    """Read QGemm, to bytes or to logits: a convolution of one place.

    Logits are float32 in ONNX. Here they become int16, computed from int16 inputs of the same
    scale: the sums are the same, and the scale of the logits is such that none saturates.
    """
    x, x_scale, x_zero, w, w_scale, w_zero, *rest = node.inputs
    if node.attributes.get("transA", 0) or node.attributes.get("alpha", 1.0) != 1.0:
        raise node.refuse("it is transposed or scaled")
    weights = _weights(builder, node, w, w_zero)
    weights = weights if node.attributes.get("transB", 0) else weights.T
    channels, size = weights.shape
    view = builder.view(node, x)
    scales = builder.scales(x_scale, x_zero)
    builder.check_scales(node, view, scales)
    if view.index.size != size:
        raise node.refuse(f"it takes {view.index.size} bytes for {size} inputs")
    tensor = builder.tensor(node, View(view.storage, view.index.reshape(1, 1, 1, size)))
    start = builder.constants[rest[0]] if rest and rest[0] else np.zeros(channels, np.int32)
    kernel = weights[:, None, None, :]
    shape = (1, 1, 1, channels)
    options: dict[str, Any] = {"padding": "VALID", "strideH": 1, "strideW": 1}
    if len(rest) > 1 and rest[1]:
        inputs = [tensor, *_constants(builder, node, kernel, w_scale, start, x_scale, False)]
        output = builder.apply(
            "CONV_2D", node, inputs, shape, builder.scales(rest[1], rest[2]), **options
        )
    else:
        wide = builder.add_tensor(
            f"{node.name}/wide", (1, 1, 1, size), "int16", Scales(scales.values)
        )
        builder.add("QUANTIZE", [tensor], wide)
        bias = start.astype(np.int64)
        inputs = [wide, *_constants(builder, node, kernel, w_scale, bias, x_scale, False)]
        unit = scalar(builder.constants, x_scale) * builder.constants[w_scale]
        step = (
            _largest(weights, start, scales.zero, np.broadcast_to(np.ravel(unit), channels)) / 32767
        )
        output = builder.add_tensor(node.name, shape, "int16", Scales((step,)))
        builder.add("CONV_2D", inputs, output, **options)
    builder.set_output(node, output, np.arange(channels).reshape(1, channels))


def addition(builder: Builder, node: Node) -> None:
    """Read QLinearAdd."""
    _elementwise(builder, node, "ADD")


def multiplication(builder: Builder, node: Node) -> None:
    """Read QLinearMul."""
    _elementwise(builder, node, "MUL")


def global_average_pool(builder: Builder, node: Node) -> None:
    """Read QLinearGlobalAveragePool."""
    view = _channels_last(node, builder.view(node, node.inputs[0]))
    _mean(builder, node, view)


def average_pool(builder: Builder, node: Node) -> None:
    """Read QLinearAveragePool without padding; TFLite keeps its scale, so that a layer follows."""
    if any(node.attributes.get("pads", ())):
        raise node.refuse("it averages over padding")
    view = _channels_last(node, builder.view(node, node.inputs[0]))
    kernel = _two(node.attributes["kernel_shape"])
    if view.index.shape[1:3] == kernel:
        _mean(builder, node, view)
        return
    given, wanted = builder.scales(*node.inputs[1:3]), builder.scales(*node.inputs[3:5])
    output = _pool(builder, node, view, kernel, "AVERAGE_POOL_2D", given)
    shape = builder.tensors[output].shape
    if given != wanted:
        output = builder.apply("QUANTIZE", node, [output], shape, wanted)
    _set_output(builder, node, output, whole(output, shape).index)


def max_pool(builder: Builder, node: Node) -> None:
    """Read a maximum over bytes."""
    view = _channels_last(node, builder.view(node, node.inputs[0]))
    scales = builder.tensors[view.storage].scales
    assert scales is not None
    kernel = _two(node.attributes["kernel_shape"])
    output = _pool(builder, node, view, kernel, "MAX_POOL_2D", scales)
    _set_output(builder, node, output, whole(output, builder.tensors[output].shape).index)


def sigmoid(builder: Builder, node: Node) -> None:
    """Read QLinearSigmoid."""
    _unary(builder, node, "LOGISTIC", LOGISTIC)


def leaky_relu(builder: Builder, node: Node) -> None:
    """Read QLinearLeakyRelu."""
    wanted = builder.scales(*node.inputs[3:5])
    _unary(builder, node, "LEAKY_RELU", wanted, alpha=node.attributes.get("alpha", 0.01))


def requantization(builder: Builder, node: Node) -> None:
    """Read QuantizeLinear of bytes that were dequantized, and perhaps moved: another scale."""
    if node.inputs[0] not in builder.dequantized:
        raise node.refuse("its input is not made of bytes alone; quantize all layers")
    view, scales = builder.dequantized[node.inputs[0]]
    builder.check_scales(node, view, scales)
    (tensor,), index = _in_order(builder, node, [view])
    shape = builder.tensors[tensor].shape
    output = builder.apply("QUANTIZE", node, [tensor], shape, builder.scales(*node.inputs[1:3]))
    builder.set_output(node, output, index)


def concatenation(builder: Builder, node: Node) -> None:
    """Read Concat; of a layer's frames behind those that it keeps, or of any others."""
    parts = [builder.view(node, name) for name in node.inputs]
    axis = node.attributes["axis"] % parts[0].index.ndim
    if builder.is_state(parts[0]) and len(parts) == 2:
        output, index = builder.remember(node, parts[0], parts[1], axis)
    else:
        output, index = builder.concatenate(node, parts, axis)
    builder.set_output(node, output, index)


def _weights(builder: Builder, node: Node, name: str, zero: str) -> NDArray[np.int8]:
    if name not in builder.constants:
        raise node.refuse("its weights are computed")
    weights: NDArray[np.int8] = builder.constants[name]
    if weights.dtype != np.int8 or builder.constants[zero].any():
        raise node.refuse("its weights are not symmetric int8; quantize them so")
    return weights


def _constants(
    builder: Builder,
    node: Node,
    kernel: NDArray[np.int8],
    w_scale: str,
    bias: NDArray[Any],
    x_scale: str,
    depthwise: bool,
) -> list[str]:
    """Add weights `(O, kh, kw, I)`, for depthwise ones `(1, kh, kw, O)`, and their bias."""
    scales = np.ravel(builder.constants[w_scale]).astype(np.float32)
    scales = np.broadcast_to(scales, len(bias))
    axis = 3 if depthwise else 0
    of_weights = Scales(tuple(float(s) for s in scales), 0, axis)
    units = scalar(builder.constants, x_scale) * scales
    of_bias = Scales(tuple(float(s) for s in units))
    return [
        builder.add_constant(f"{node.name}/weights", kernel, of_weights),
        builder.add_constant(f"{node.name}/bias", bias, of_bias),
    ]


def _largest(
    weights: NDArray[np.int8], bias: NDArray[np.int32], zero: int, units: NDArray[np.float32]
) -> float:
    """Return the largest magnitude that a logit can reach."""
    low, high = -SIGNED - zero, SIGNED - 1 - zero
    ends = np.stack([weights.astype(np.int64) * end for end in (low, high)])
    sums = np.abs(np.stack([bias + ends.min(0).sum(1), bias + ends.max(0).sum(1)])).max(0)
    return float((sums * units.astype(np.float64)).max())


def _overlapping(
    builder: Builder, view: View, height: int, pads: Pads
) -> tuple[tuple[int, ...], int] | None:
    """Return the image of which all images are overlapping parts, and the step between them."""
    (images, rows, columns, channels), index = view.index.shape, view.index
    if images == 1 or rows != 1 or height != 1 or pads != ((0, 0), (0, 0)) or columns == 1:
        return None
    line, step = int(index[0, 0, 1, 0]), int(index[1, 0, 0, 0])
    of_axes = [np.arange(n) * s for n, s in ((images, step), (columns, line), (channels, 1))]
    regular = of_axes[0][:, None, None, None] + of_axes[1][:, None] + of_axes[2]
    size = builder.tensors[view.storage].size
    covers = columns * line == size and step > 0 and (line - channels) // step + 1 == images
    if not covers or not np.array_equal(index, regular):
        return None
    return (1, columns, line, 1), step


def _two(sizes: Any) -> tuple[int, int]:
    """Return a shape or step of a 1-D kernel as that of a 2-D one of height 1."""
    given = tuple(int(size) for size in sizes)
    return (given[0], given[1]) if len(given) == 2 else (1, given[0])


def _is_channels_last(node: Node) -> bool:
    return bool(node.attributes.get("channels_last", node.op == "NhwcMaxPool"))


def _channels_last(node: Node, view: View) -> View:
    """Return `(N, H, W, C)` of a node's input in either layout, with one or two dimensions."""
    index = view.index if _is_channels_last(node) else np.moveaxis(view.index, 1, -1)
    return View(view.storage, index if index.ndim == 4 else index[:, None])


def _set_output(builder: Builder, node: Node, tensor: str, index: Index) -> None:
    """Set an output `(N, H, W, C)`; later nodes see it in the node's own layout."""
    one_dimension = len(node.attributes.get("kernel_shape", (0, 0))) == 1
    index = index[:, 0] if one_dimension else index
    builder.set_output(
        node, tensor, index if _is_channels_last(node) else np.moveaxis(index, -1, 1)
    )


def _pads(node: Node) -> Pads:
    """Return the padding before and after rows and columns."""
    attributes = node.attributes
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise node.refuse("its padding is not written out")
    if attributes.get("ceil_mode", 0):
        raise node.refuse("it slides beyond its input (ceil_mode)")
    pads = tuple(int(pad) for pad in attributes.get("pads", (0, 0, 0, 0)))
    pads = pads if len(pads) == 4 else (0, pads[0], 0, pads[1])
    return (pads[0], pads[2]), (pads[1], pads[3])


def _padded(
    builder: Builder,
    node: Node,
    view: View,
    kernel: tuple[int, ...],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    code: str,
) -> tuple[str, str]:
    """Return the input of a kernel, and how TFLite pads it: not, or as much as this layer does."""
    tensor, pads = builder.tensor(node, view), _pads(node)
    if pads == ((0, 0), (0, 0)):
        return tensor, "VALID"
    sizes = view.index.shape[1:3]
    given = zip(sizes, kernel, strides, dilations, strict=True)
    if pads == tuple(_same(*numbers) for numbers in given):
        return tensor, "SAME"
    around = ((0, 0), *pads, (0, 0))
    shape = [size + sum(pad) for size, pad in zip(view.index.shape, around, strict=True)]
    inputs = [tensor, builder.add_constant(f"{node.name}/pads", np.array(around, np.int32))]
    scales = builder.tensors[tensor].scales
    assert scales is not None
    if code == "PADV2":
        least = np.array([-SIGNED], np.int8)
        inputs.append(builder.add_constant(f"{node.name}/padding", least, scales))
    return builder.apply(code, node, inputs, shape, scales), "VALID"


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the padding that TFLite calls SAME."""
    places = -(-size // stride)
    total = max((places - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _places(
    builder: Builder,
    tensor: str,
    kernel: tuple[int, ...],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    padding: str,
) -> tuple[int, int, int]:
    """Return images, rows and columns of an output."""
    images, *sizes = builder.tensors[tensor].shape[:3]
    rows, columns = (
        -(-size // s) if padding == "SAME" else (size - (k - 1) * d - 1) // s + 1
        for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
    )
    return images, rows, columns


def _pool(
    builder: Builder, node: Node, view: View, kernel: tuple[int, int], code: str, scales: Scales
) -> str:
    builder.check_scales(node, view, scales)
    strides = _two(node.attributes.get("strides", (1, 1)))
    dilations = _two(node.attributes.get("dilations", (1, 1)))
    if dilations != (1, 1):
        raise node.refuse("it is dilated")
    tensor, padding = _padded(builder, node, view, kernel, strides, dilations, "PADV2")
    shape = (*_places(builder, tensor, kernel, strides, dilations, padding), view.index.shape[-1])
    options = {"padding": padding, "strideH": strides[0], "strideW": strides[1]}
    options |= {"filterHeight": kernel[0], "filterWidth": kernel[1]}
    return builder.apply(code, node, [tensor], shape, scales, **options)


def _mean(builder: Builder, node: Node, view: View) -> None:
    builder.check_scales(node, view, builder.scales(*node.inputs[1:3]))
    axes = builder.add_constant(f"{node.name}/axes", np.array([1, 2], np.int32))
    images, *_, channels = view.index.shape
    inputs, shape = [builder.tensor(node, view), axes], (images, 1, 1, channels)
    y = builder.scales(*node.inputs[3:5])
    output = builder.apply("MEAN", node, inputs, shape, y, keepDims=True)
    _set_output(builder, node, output, whole(output, shape).index)


def _unary(builder: Builder, node: Node, code: str, natural: Scales, **options: Any) -> None:
    view, wanted = builder.view(node, node.inputs[0]), builder.scales(*node.inputs[3:5])
    builder.check_scales(node, view, builder.scales(*node.inputs[1:3]))
    (tensor,), index = _in_order(builder, node, [view])
    shape = builder.tensors[tensor].shape
    output = builder.apply(code, node, [tensor], shape, natural, **options)
    if natural != wanted:
        output = builder.apply("QUANTIZE", node, [output], shape, wanted)
    builder.set_output(node, output, index)


def _elementwise(builder: Builder, node: Node, code: str) -> None:
    """Add an operator of two tensors, in the order in which the larger one is stored."""
    names = node.inputs
    views = [builder.view(node, names[number]) for number in (0, 3)]
    for view, ends in zip(views, (names[1:3], names[4:6]), strict=True):
        builder.check_scales(node, view, builder.scales(*ends))
    tensors, index = _in_order(builder, node, views)
    shape = np.broadcast_shapes(*(builder.tensors[tensor].shape for tensor in tensors))
    output = builder.apply(code, node, tensors, shape, builder.scales(*names[6:8]))
    builder.set_output(node, output, index)


def _in_order(builder: Builder, node: Node, views: list[View]) -> tuple[list[str], Index]:
    """Return tensors in the order in which the largest is stored, and the view of an output."""
    shape = np.broadcast_shapes(*(view.index.shape for view in views))
    indices = [v.index.reshape((1,) * (len(shape) - v.index.ndim) + v.index.shape) for v in views]
    order = axis_order(max(indices, key=lambda index: index.size))
    ordered = [
        builder.tensor(node, View(view.storage, index.transpose(order)))
        for view, index in zip(views, indices, strict=True)
    ]
    stored = np.arange(int(np.prod(shape))).reshape([shape[axis] for axis in order])
    return ordered, stored.transpose(np.argsort(order))
