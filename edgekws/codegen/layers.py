"""From the INT8 nodes of a graph to operators, one function a kind of node."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen import arithmetic
from edgekws.codegen.builder import Builder
from edgekws.codegen.graph_nodes import Array, Node, scalar
from edgekws.codegen.ir import (
    Add,
    AveragePool,
    Conv,
    Dense,
    Depthwise,
    Dequantize,
    FloatAveragePool,
    Lookup,
    MaxPool,
    Multiply,
    Operator,
    Quantization,
    Rounding,
    Window,
)
from edgekws.codegen.unary import table_of
from edgekws.codegen.views import Index, View, axis_order

Pads = tuple[tuple[int, int], ...]


def convolution(builder: Builder, node: Node) -> None:
    """Read QLinearConv: with one group, or with one channel a group."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *bias = node.inputs
    weights = _weights(builder, node, w, w_zero)
    weights = weights if weights.ndim == 4 else weights[:, :, None]  # (O, I, kh, kw)
    group, channels = node.attributes.get("group", 1), len(weights)
    view = _channels_last(node, builder.view(node, x))
    depthwise = group > 1
    if depthwise and not group == channels == view.index.shape[-1]:
        raise node.refuse(f"{group} groups for {view.index.shape[-1]} channels in, {channels} out")
    window, padded, places = _slide(builder, node, view, weights.shape[2:], _zero(builder, x_zero))
    scale, zero = _rounding_scale(builder.constants, x_scale, w_scale, y_scale), y_zero
    rounding = Rounding(_per_channel(scale, channels), _zero(builder, zero))
    start = builder.constants[bias[0]] if bias and bias[0] else np.zeros(channels, np.int32)
    folded = _fold(start, weights, _zero(builder, x_zero))
    y = _add_output(builder, node, (*places, channels))
    ends = (node.name, builder.span(padded), builder.span(y))
    if depthwise:
        taps = weights.reshape(channels, -1).T
        window = _separate_taps(window, group, taps.shape[0])
        operator: Operator = Depthwise(*ends, window, taps, folded, rounding)
    else:
        packed = weights.transpose(0, 2, 3, 1).reshape(channels, len(window.taps), -1)
        operator = Conv(*ends, window, packed, folded, rounding)
    builder.add(operator)


def matrix_product(builder: Builder, node: Node) -> None:
    """Read QGemm, to bytes or to float32 logits."""
    x, x_scale, x_zero, w, w_scale, w_zero, *rest = node.inputs
    if node.attributes.get("transA", 0) or node.attributes.get("alpha", 1.0) != 1.0:
        raise node.refuse("it is transposed or scaled")
    weights = _weights(builder, node, w, w_zero)
    weights = weights if node.attributes.get("transB", 0) else weights.T
    channels = len(weights)
    view = builder.contiguous(node, builder.view(node, x))
    if view.index.size != weights.shape[1]:
        raise node.refuse(f"it takes {view.index.size} bytes for {weights.shape[1]} inputs")
    start = builder.constants[rest[0]] if rest and rest[0] else np.zeros(channels, np.int32)
    bias = _fold(start, weights, _zero(builder, x_zero))
    if len(rest) > 1 and rest[1]:
        scale = _rounding_scale(builder.constants, x_scale, w_scale, rest[1])
        rounding = Rounding(_per_channel(scale, channels), _zero(builder, rest[2]))
        y = builder.output(node, (1, channels))
        window = Window(1, 0, 1, 0, (0,))
        spans = (builder.span(view), builder.span(y))
        builder.add(Conv(node.name, *spans, window, weights[:, None], bias, rounding))
    else:
        scale = scalar(builder.constants, x_scale) * builder.constants[w_scale]
        dense = Dense(node.name, builder.span(view), weights, bias, _per_channel(scale, channels))
        builder.add(dense)
        builder.n_labels = channels


def dequantization(builder: Builder, node: Node) -> None:
    """Read the last node of a network that gives its logits as bytes."""
    view = builder.contiguous(node, builder.view(node, node.inputs[0]))
    quantization = Quantization(*(scalar(builder.constants, name) for name in node.inputs[1:3]))
    builder.add(Dequantize(node.name, builder.span(view), quantization))
    builder.n_labels = view.index.size


def addition(builder: Builder, node: Node) -> None:
    """Read QLinearAdd; what is broadcast is copied."""
    a, b, y = _operands(builder, node)
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = _scales(builder, node)
    constants = arithmetic.add_constants((a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero))
    spans = (builder.span(a), builder.span(b), builder.span(y))
    builder.add(Add(node.name, *spans, *constants))


def multiplication(builder: Builder, node: Node) -> None:
    """Read QLinearMul; what is broadcast is copied."""
    a, b, y = _operands(builder, node)
    (a_scale, a_zero), (b_scale, b_zero), (y_scale, y_zero) = _scales(builder, node)
    scale = np.float32(np.float32(a_scale * b_scale) / y_scale)
    spans = (builder.span(a), builder.span(b), builder.span(y))
    builder.add(Multiply(node.name, *spans, a_zero, b_zero, scale, y_zero))


def global_average_pool(builder: Builder, node: Node) -> None:
    """Read QLinearGlobalAveragePool."""
    view = _channels_last(node, builder.view(node, node.inputs[0]))
    _average(builder, node, view, view.index.shape[1:3])


def average_pool(builder: Builder, node: Node) -> None:
    """Read QLinearAveragePool without padding."""
    if any(node.attributes.get("pads", ())):
        raise node.refuse("it averages over padding")
    view = _channels_last(node, builder.view(node, node.inputs[0]))
    _average(builder, node, view, _two(node.attributes["kernel_shape"]))


def max_pool(builder: Builder, node: Node) -> None:
    """Read a maximum over bytes; padding is 0, the least of them."""
    view = _channels_last(node, builder.view(node, node.inputs[0]))
    channels = view.index.shape[-1]
    kernel = _two(node.attributes["kernel_shape"])
    window, padded, places = _slide(builder, node, view, kernel, 0)
    y = _add_output(builder, node, (*places, channels))
    window = _separate_taps(window, channels, int(np.prod(kernel)))
    spans = (builder.span(padded), builder.span(y))
    builder.add(MaxPool(node.name, *spans, window, channels))


def lookup(builder: Builder, node: Node) -> None:
    """Read a function of one byte."""
    view = builder.view(node, node.inputs[0])
    x, y = _in_order(builder, node, (view, view))
    spans = (builder.span(x), builder.span(y))
    builder.add(Lookup(node.name, *spans, table_of([node], builder.constants)))


def requantization(builder: Builder, node: Node) -> None:
    """Read QuantizeLinear of bytes that were dequantized, and perhaps moved: another scale."""
    if node.inputs[0] not in builder.dequantized:
        raise node.refuse("its input is not made of bytes alone; quantize all layers")
    view, dequantized = builder.dequantized[node.inputs[0]]
    x, y = _in_order(builder, node, (view, view))
    spans = (builder.span(x), builder.span(y))
    table = table_of([dequantized, node], builder.constants)
    builder.add(Lookup(node.name, *spans, table))


def concatenation(builder: Builder, node: Node) -> None:
    """Read Concat: a layer's frames behind those that it keeps."""
    parts = [builder.view(node, name) for name in node.inputs]
    axis = node.attributes["axis"] % parts[0].index.ndim
    builder.views[node.outputs[0]] = builder.concatenate(node, parts, axis)


def _weights(builder: Builder, node: Node, name: str, zero: str) -> NDArray[np.int8]:
    if name not in builder.constants:
        raise node.refuse("its weights are computed")
    weights: NDArray[np.int8] = builder.constants[name]
    if weights.dtype != np.int8 or builder.constants[zero].any():
        raise node.refuse("its weights are not symmetric int8; quantize them so")
    return weights


def _zero(builder: Builder, name: str) -> int:
    return int(scalar(builder.constants, name))


def _rounding_scale(constants: dict[str, Array], x: str, w: str, y: str) -> Any:
    """Return fl(fl(s_x s_w) / s_y), float32 throughout."""
    return (scalar(constants, x) * constants[w]) / scalar(constants, y)


def _per_channel(scale: Any, channels: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.broadcast_to(np.ravel(scale), channels), np.float32)


def _fold(bias: NDArray[np.int32], weights: NDArray[np.int8], zero: int) -> NDArray[np.int32]:
    """Return the bias with `-zero` times the sum of the weights in it."""
    sums = weights.reshape(len(weights), -1).sum(axis=1, dtype=np.int32)
    folded: NDArray[np.int32] = (bias - zero * sums).astype(np.int32)
    return folded


def _two(sizes: Any) -> tuple[int, int]:
    """Return a shape or step of a 1-D kernel as that of a 2-D one of height 1."""
    given = tuple(int(size) for size in sizes)
    return (given[0], given[1]) if len(given) == 2 else (1, given[0])


def _channels_last(node: Node, view: View) -> View:
    """Return `(N, H, W, C)` of a node's input in either layout, with one or two dimensions."""
    index = view.index
    if not node.attributes.get("channels_last", node.op == "NhwcMaxPool"):
        index = np.moveaxis(index, 1, -1)
    return View(view.storage, index if index.ndim == 4 else index[:, None])


def _add_output(builder: Builder, node: Node, shape: tuple[int, ...]) -> View:
    """Add an output, stored `(N, H, W, C)`; later nodes see it in the node's own layout."""
    y = builder.output(node, shape)
    index: Index = y.index
    one_dimension = builder.view(node, node.inputs[0]).index.ndim == 3
    index = index[:, 0] if one_dimension else index
    if not node.attributes.get("channels_last", node.op == "NhwcMaxPool"):
        index = np.moveaxis(index, -1, 1)
    builder.views[node.outputs[0]] = View(y.storage, index)
    return y


def _slide(
    builder: Builder, node: Node, view: View, kernel: tuple[int, ...], fill: int
) -> tuple[Window, View, tuple[int, int, int]]:
    """Return the window of a kernel, the padded input and the shape `(N, H, W)` of its places."""
    attributes = node.attributes
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise node.refuse("its padding is not written out")
    if attributes.get("ceil_mode", 0):
        raise node.refuse("it slides beyond its input (ceil_mode)")
    pads = tuple(int(pad) for pad in attributes.get("pads", (0, 0, 0, 0)))
    pads = pads if len(pads) == 4 else (0, pads[0], 0, pads[1])
    around: Pads = ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0))
    padded = builder.padded(node, view, around, fill)
    images, height, width, channels = padded.index.shape
    (sh, sw), (dh, dw) = (_two(attributes.get(key, (1, 1))) for key in ("strides", "dilations"))
    rows = (height - (kernel[0] - 1) * dh - 1) // sh + 1
    columns = (width - (kernel[1] - 1) * dw - 1) // sw + 1
    line = width * channels
    if images > 1 and rows > 1:
        raise node.refuse("it slides over several images in two dimensions")
    at_once = 1 if dw > 1 else kernel[1]
    taps = tuple(
        row * dh * line + column * dw * channels
        for row in range(kernel[0])
        for column in range(0, kernel[1], at_once)
    )
    step = height * line if images > 1 else sh * line
    window = Window(images * rows, step, columns, sw * channels, taps)
    return window, padded, (images, rows, columns)


def _separate_taps(window: Window, channels: int, n: int) -> Window:
    """Return a window with a tap for every place of the kernel, not one for a whole row of it."""
    per_row = n // len(window.taps)
    taps = tuple(tap + column * channels for tap in window.taps for column in range(per_row))
    return Window(window.rows, window.row_step, window.columns, window.column_step, taps)


def _average(builder: Builder, node: Node, view: View, kernel: tuple[int, ...]) -> None:
    x_scale, x_zero, y_scale, y_zero = (
        scalar(builder.constants, name) for name in node.inputs[1:5]
    )
    images, *image, channels = view.index.shape
    n = int(np.prod(kernel))
    if tuple(image) == tuple(kernel):
        x = builder.contiguous(node, view)
        y = _add_output(builder, node, (images, 1, 1, channels))
        scale = np.float32(x_scale / np.float32(y_scale * np.float32(n)))
        ends = (node.name, builder.span(x), builder.span(y))
        builder.add(AveragePool(*ends, images, n, channels, x_zero, scale, y_zero))
    else:
        window, x, places = _slide(builder, node, view, kernel, 0)
        window = _separate_taps(window, channels, n)
        y = _add_output(builder, node, (*places, channels))
        source, result = Quantization(x_scale, x_zero), Quantization(y_scale, y_zero)
        ends = (node.name, builder.span(x), builder.span(y))
        builder.add(FloatAveragePool(*ends, window, channels, source, result))


def _scales(builder: Builder, node: Node) -> list[tuple[np.float32, int]]:
    """Return scale and zero point of both operands and of the result."""
    names = node.inputs
    pairs = ((names[1], names[2]), (names[4], names[5]), (names[6], names[7]))
    return [(scalar(builder.constants, s), _zero(builder, z)) for s, z in pairs]


def _operands(builder: Builder, node: Node) -> tuple[View, View, View]:
    """Return both operands and the result, all in one order."""
    a, b = (builder.view(node, node.inputs[number]) for number in (0, 3))
    shape = np.broadcast_shapes(a.index.shape, b.index.shape)
    wide = [View(view.storage, np.broadcast_to(view.index, shape)) for view in (a, b)]
    whole_one = wide[1] if a.index.size < b.index.size else wide[0]
    first, second, y = _in_order(builder, node, (*wide, whole_one))
    return first, second, y


def _in_order(builder: Builder, node: Node, views: tuple[View, ...]) -> tuple[View, ...]:
    """Return views in the order in which the last of them is stored, and the output so stored."""
    *given, model = views
    order = axis_order(model.index)
    ordered = [View(view.storage, view.index.transpose(order)) for view in given]
    stored = [builder.contiguous(node, view) for view in ordered]
    y = builder.output(node, ordered[0].index.shape)
    builder.views[node.outputs[0]] = View(y.storage, y.index.transpose(np.argsort(order)))
    return (*stored, y)
