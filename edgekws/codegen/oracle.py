"""A network in numpy, in the memory that the plan gives it: what the C has to equal."""

from functools import singledispatchmethod

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen import arithmetic, memory_plan
from edgekws.codegen.ir import (
    Add,
    AveragePool,
    Conv,
    Copy,
    Dense,
    Depthwise,
    Dequantize,
    Fill,
    FloatAveragePool,
    Lookup,
    MaxPool,
    Multiply,
    Network,
    Operator,
    Shift,
    Span,
    Window,
)

Floats = NDArray[np.float32]


class Oracle:
    """Runs the operators of a network one by one."""

    def __init__(self, network: Network) -> None:
        """Reserve the memory and reset it."""
        self._network = network
        self.plan = memory_plan.plan(network)
        self.memory = np.zeros(self.plan.size, np.uint8)
        self._logits = np.zeros(network.n_labels, np.float32)
        self.reset()

    def reset(self) -> None:
        """Fill what is kept between runs as a stream begins."""
        for buffer in self._network.buffers:
            if buffer.kind != "scratch":
                self._bytes(Span(buffer.name, 0, buffer.size))[:] = buffer.fill

    def run(self, features: Floats) -> Floats:
        """Return the logits `(n_labels,)` of features `(n_mels, frames)`."""
        quantization = self._network.input
        rows = arithmetic.quantize(features.T, quantization.scale, quantization.zero)
        self._bytes(self._network.features)[:] = rows.ravel()
        for operator in self._network.operators:
            self._apply(operator)
        return self._logits.copy()

    def _bytes(self, span: Span) -> NDArray[np.uint8]:
        start = self.plan.offsets[span.buffer] + span.offset
        return self.memory[start : start + span.size]

    def _taps(self, x: Span, window: Window, size: int) -> NDArray[np.uint8]:
        """Return `(places, taps, size)`: the bytes under each tap."""
        rows = np.arange(window.rows)[:, None] * window.row_step
        places = rows + np.arange(window.columns) * window.column_step
        starts = places.reshape(-1, 1, 1) + np.array(window.taps).reshape(1, -1, 1)
        taps: NDArray[np.uint8] = self._bytes(x)[starts + np.arange(size)]
        return taps

    @singledispatchmethod
    def _apply(self, operator: Operator) -> None:
        raise TypeError(operator)

    @_apply.register
    def _(self, conv: Conv) -> None:
        taps = self._taps(conv.x, conv.window, conv.weights.shape[2]).astype(np.int32)
        total = np.tensordot(taps, conv.weights.astype(np.int32), ((1, 2), (1, 2))) + conv.bias
        result = arithmetic.requantize(total, conv.rounding.scale, conv.rounding.zero)
        self._bytes(conv.y)[:] = result.ravel()

    @_apply.register
    def _(self, conv: Depthwise) -> None:
        taps = self._taps(conv.x, conv.window, conv.weights.shape[1]).astype(np.int32)
        total = (taps * conv.weights).sum(axis=1, dtype=np.int32) + conv.bias
        result = arithmetic.requantize(total, conv.rounding.scale, conv.rounding.zero)
        self._bytes(conv.y)[:] = result.ravel()

    @_apply.register
    def _(self, dense: Dense) -> None:
        total = dense.weights.astype(np.int32) @ self._bytes(dense.x).astype(np.int32) + dense.bias
        self._logits[:] = total.astype(np.float32) * dense.scale

    @_apply.register
    def _(self, last: Dequantize) -> None:
        scale, zero = last.quantization.scale, last.quantization.zero
        self._logits[:] = arithmetic.dequantize(self._bytes(last.x), scale, zero)

    @_apply.register
    def _(self, add: Add) -> None:
        scales = (add.a_scale, add.b_scale)
        a, b = self._bytes(add.a), self._bytes(add.b)
        self._bytes(add.y)[:] = arithmetic.add(a, b, scales, add.offset)

    @_apply.register
    def _(self, product: Multiply) -> None:
        zeros = (product.a_zero, product.b_zero)
        a, b = self._bytes(product.a), self._bytes(product.b)
        result = arithmetic.multiply(a, b, zeros, product.scale, product.zero)
        self._bytes(product.y)[:] = result

    @_apply.register
    def _(self, pool: AveragePool) -> None:
        images = self._bytes(pool.x).reshape(pool.images, pool.places, pool.channels)
        total = (images.astype(np.int32) - pool.x_zero).sum(axis=1, dtype=np.int32)
        scale = np.full(pool.channels, pool.scale)
        self._bytes(pool.y)[:] = arithmetic.requantize(total, scale, pool.zero).ravel()

    @_apply.register
    def _(self, pool: FloatAveragePool) -> None:
        taps = self._taps(pool.x, pool.window, pool.channels)
        x, y = ((q.scale, q.zero) for q in (pool.input, pool.output))
        self._bytes(pool.y)[:] = arithmetic.average(taps, x, y).ravel()

    @_apply.register
    def _(self, pool: MaxPool) -> None:
        taps = self._taps(pool.x, pool.window, pool.channels)
        self._bytes(pool.y)[:] = taps.max(axis=1).ravel()

    @_apply.register
    def _(self, lookup: Lookup) -> None:
        self._bytes(lookup.y)[:] = lookup.table[self._bytes(lookup.x)]

    @_apply.register
    def _(self, copy: Copy) -> None:
        x, y = (_places(copy.sizes, steps) for steps in (copy.x_steps, copy.y_steps))
        self._bytes(copy.y)[y] = self._bytes(copy.x)[x]

    @_apply.register
    def _(self, fill: Fill) -> None:
        self._bytes(fill.y)[:] = fill.value

    @_apply.register
    def _(self, shift: Shift) -> None:
        images = self._bytes(shift.y).reshape(shift.images, -1)
        images[:, : shift.keep] = images[:, -shift.keep :].copy()


def _places(sizes: tuple[int, ...], steps: tuple[int, ...]) -> NDArray[np.int64]:
    indices = np.indices(sizes).reshape(len(sizes), -1)
    return np.asarray(np.array(steps) @ indices, np.int64)
