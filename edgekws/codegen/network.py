"""A network as C: tables, shapes, and a short list of calls."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen import c_names, packing
from edgekws.codegen.c_tables import real, table
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
    Rounding,
    Shift,
    Span,
    Window,
)
from edgekws.codegen.memory_plan import MemoryPlan
from edgekws.runtime.c import NARROW, NETWORK, NETWORK_HEADERS

ALIGNED_WEIGHTS = "int8_t KWS_ALIGNED"


@dataclass(frozen=True)
class NetworkSource:
    """`kws_network.h`, `kws_network.c`, and the files of `runtime/c` that they need."""

    header: str
    source: str
    files: tuple[str, ...]


def write_network(network: Network, memory: MemoryPlan, origin: str) -> NetworkSource:
    """Return a network as C; `origin` is the comment that says what it was made of and by."""
    writer = _Writer(memory)
    for operator in network.operators:
        writer.write(operator)
    names = {type(operator).__name__ for operator in network.operators}
    used = sorted(kernels[name] for kernels in (NETWORK, NARROW) for name in names & kernels.keys())
    texts = _header(network, memory, origin), _source(network, writer, origin)
    return NetworkSource(*texts, (*used, *NETWORK_HEADERS))


def _header(network: Network, memory: MemoryPlan, origin: str) -> str:
    frames = "a hop" if network.streaming else "the window"
    slide = "" if network.streaming else _SLIDE_DECLARATION
    return f"""{origin}
#ifndef KWS_NETWORK_H
#define KWS_NETWORK_H

#include "kws_real.h"

#define KWS_N_LABELS {network.n_labels}
#define KWS_N_MELS {network.n_mels}
#define KWS_FRAMES {network.frames} /* frames of {frames}: what a run takes */
#define KWS_NETWORK_MEMORY {memory.size} /* bytes; the first {memory.kept} are kept between runs */

/* Begin a stream, or prepare for a first clip. */
void kws_network_reset(uint8_t memory[KWS_NETWORK_MEMORY]);

/* Where the KWS_FRAMES rows of KWS_N_MELS quantized features lie that the next run takes. */
uint8_t *kws_network_features(uint8_t memory[KWS_NETWORK_MEMORY]);
{slide}
/* Compute the logits of the frames that were set. */
void kws_network_run(uint8_t memory[KWS_NETWORK_MEMORY], kws_real logits[KWS_N_LABELS]);

#endif
"""


_SLIDE_DECLARATION = """
/* Drop the oldest frames; set as many of the last rows before the next run. */
void kws_network_slide(uint8_t memory[KWS_NETWORK_MEMORY], int32_t frames);
"""


def _source(network: Network, writer: "_Writer", origin: str) -> str:
    features = writer.place(network.features)
    fills = "".join(
        f"    memset(memory + {writer.offset(buffer.name)}, {buffer.fill}, {buffer.size});\n"
        for buffer in network.buffers
        if buffer.kind != "scratch"
    )
    slide = "" if network.streaming else _slide(network, features)
    kept = _KEPT if network.streaming else ""
    return f"""{origin}
#include "kws_network.h"

#include <string.h>

#include "network_kernels.h"

{"".join(writer.tables)}
void kws_network_reset(uint8_t memory[KWS_NETWORK_MEMORY])
{{
{fills}}}

uint8_t *kws_network_features(uint8_t memory[KWS_NETWORK_MEMORY])
{{
    return {features};
}}
{slide}
/* A place in the memory serves again once nothing reads it any more.{kept} */
void kws_network_run(uint8_t memory[KWS_NETWORK_MEMORY], kws_real logits[KWS_N_LABELS])
{{
{"".join(writer.calls)}}}
"""


_KEPT = """ A layer that keeps frames of
 * earlier runs finds the new ones behind them; kws_shift moves the newest to the front."""


def _slide(network: Network, features: str) -> str:
    return f"""
void kws_network_slide(uint8_t memory[KWS_NETWORK_MEMORY], int32_t frames)
{{
    uint8_t *features = {features};
    memmove(features, features + frames * KWS_N_MELS, (size_t)(KWS_FRAMES - frames) * KWS_N_MELS);
}}
"""


class _Writer:
    """Collects the tables and the calls of the operators, in their order."""

    def __init__(self, memory: MemoryPlan) -> None:
        self._memory = memory
        self._names = c_names.Names()
        self.tables: list[str] = []
        self.calls: list[str] = []

    def offset(self, buffer: str) -> int:
        return self._memory.offsets[buffer]

    def place(self, span: Span) -> str:
        return f"memory + {self.offset(span.buffer) + span.offset}"

    @singledispatchmethod
    def write(self, operator: Operator) -> None:
        raise TypeError(operator)

    @write.register
    def _(self, conv: Conv) -> None:
        name = self._names.unique(conv.name)
        self._array(ALIGNED_WEIGHTS, f"{name}_weights", packing.pack(conv.weights))
        fields = {
            "window": self._window(name, conv.window),
            "tap_size": str(conv.weights.shape[2]),
            **self._sums(name, conv.bias, conv.rounding),
        }
        self._layer("kws_conv", name, fields, conv.x, conv.y)

    @write.register
    def _(self, conv: Depthwise) -> None:
        name = self._names.unique(conv.name)
        self._array(ALIGNED_WEIGHTS, f"{name}_weights", packing.pack_depthwise(conv.weights))
        fields = {
            "window": self._window(name, conv.window, packing.four_taps(conv.window.taps)),
            **self._sums(name, conv.bias, conv.rounding),
        }
        self._layer("kws_depthwise", name, fields, conv.x, conv.y)

    @write.register
    def _(self, dense: Dense) -> None:
        name = self._names.unique(dense.name)
        self._array(ALIGNED_WEIGHTS, f"{name}_weights", packing.pack(dense.weights[:, None]))
        self._array("int32_t KWS_ALIGNED", f"{name}_bias", packing.whole_groups(dense.bias))
        self._reals("kws_real", f"{name}_scale", dense.scale)
        channels, size = dense.weights.shape
        fields = {
            "size": str(size),
            "channels": str(channels),
            "weights": f"{name}_weights",
            "bias": f"{name}_bias",
            "scale": f"{name}_scale",
        }
        self.tables.append(c_names.record("kws_dense_layer", f"{name}_layer", fields) + "\n")
        self._call("kws_dense", f"&{name}_layer, {self.place(dense.x)}, logits")

    @write.register
    def _(self, last: Dequantize) -> None:
        scale, zero = real(last.quantization.scale), last.quantization.zero
        ends = f"{self.place(last.x)}, {scale}, {zero}, logits, {last.x.size}"
        self._call("kws_dequantize", ends)

    @write.register
    def _(self, add: Add) -> None:
        fields = {field: getattr(add, field) for field in ("a_scale", "b_scale", "offset")}
        self._elementwise("kws_add", add, fields)

    @write.register
    def _(self, product: Multiply) -> None:
        fields = ("a_zero", "b_zero", "scale", "zero")
        self._elementwise("kws_multiply", product, {f: getattr(product, f) for f in fields})

    @write.register
    def _(self, pool: AveragePool) -> None:
        name = self._names.unique(pool.name)
        members = ("images", "places", "channels", "x_zero", "scale", "zero")
        fields = {member: real(getattr(pool, member)) for member in members}
        self._layer("kws_average_pool", name, fields, pool.x, pool.y)

    @write.register
    def _(self, pool: FloatAveragePool) -> None:
        name = self._names.unique(pool.name)
        fields = {
            "window": self._window(name, pool.window),
            "channels": str(pool.channels),
            "x_scale": real(pool.input.scale),
            "x_zero": str(pool.input.zero),
            "y_scale": real(pool.output.scale),
            "y_zero": str(pool.output.zero),
        }
        self._layer("kws_float_average_pool", name, fields, pool.x, pool.y)

    @write.register
    def _(self, pool: MaxPool) -> None:
        name = self._names.unique(pool.name)
        fields = {"window": self._window(name, pool.window), "channels": str(pool.channels)}
        self._layer("kws_max_pool", name, fields, pool.x, pool.y)

    @write.register
    def _(self, lookup: Lookup) -> None:
        name = self._names.unique(lookup.name)
        self._array("uint8_t", f"{name}_table", lookup.table)
        ends = f"{self.place(lookup.x)}, {self.place(lookup.y)}, {lookup.x.size}"
        self._call("kws_lookup", f"{name}_table, {ends}")

    @write.register
    def _(self, copy: Copy) -> None:
        name = self._names.unique(f"{copy.name}_order")
        missing = 4 - len(copy.sizes)
        fields = {
            "sizes": _braces((1,) * missing + copy.sizes),
            "x_steps": _braces((0,) * missing + copy.x_steps),
            "y_steps": _braces((0,) * missing + copy.y_steps),
        }
        self._layer("kws_copy", name, fields, copy.x, copy.y)

    @write.register
    def _(self, fill: Fill) -> None:
        self._call("memset", f"{self.place(fill.y)}, {fill.value}, {fill.y.size}")

    @write.register
    def _(self, shift: Shift) -> None:
        image = shift.y.size // shift.images
        self._call("kws_shift", f"{self.place(shift.y)}, {shift.images}, {image}, {shift.keep}")

    def _reals(self, c_type: str, name: str, values: NDArray[np.float32]) -> None:
        self.tables.append(table(c_type, name, values, real) + "\n")

    def _array(self, c_type: str, name: str, values: NDArray[Any] | Iterable[int]) -> None:
        self.tables.append(table(c_type, name, values) + "\n")

    def _sums(self, name: str, bias: NDArray[np.int32], rounding: Rounding) -> dict[str, str]:
        """Write bias and scales; return the members of a layer that they are."""
        self._array("int32_t KWS_ALIGNED", f"{name}_bias", packing.whole_groups(bias))
        scales = packing.whole_groups(rounding.scale)
        self._reals("kws_real KWS_ALIGNED", f"{name}_scale", scales)
        return {
            "channels": str(len(rounding.scale)),
            "weights": f"{name}_weights",
            "bias": f"{name}_bias",
            "rounding": f"{{.scale = {name}_scale, .zero = {rounding.zero}}}",
        }

    def _window(self, name: str, window: Window, taps: tuple[int, ...] | None = None) -> str:
        taps = taps or window.taps
        self._array("int32_t", f"{name}_taps", taps)
        rows = f".rows = {window.rows}, .row_step = {window.row_step}"
        columns = f".columns = {window.columns}, .column_step = {window.column_step}"
        return f"{{{rows}, {columns},\n        .n_taps = {len(taps)}, .taps = {name}_taps}}"

    def _elementwise(self, kernel: str, operator: Add | Multiply, fields: dict[str, float]) -> None:
        name = self._names.unique(operator.name)
        texts = {field: real(value) for field, value in fields.items()}
        self.tables.append(c_names.record(f"{kernel}_layer", f"{name}_layer", texts) + "\n")
        a, b, y = (self.place(span) for span in (operator.a, operator.b, operator.y))
        self._call(kernel, f"&{name}_layer, {a}, {b}, {y}, {operator.y.size}")

    def _layer(self, kernel: str, name: str, fields: dict[str, str], x: Span, y: Span) -> None:
        self.tables.append(c_names.record(f"{kernel}_layer", f"{name}_layer", fields) + "\n")
        self._call(kernel, f"&{name}_layer, {self.place(x)}, {self.place(y)}")

    def _call(self, function: str, arguments: str) -> None:
        self.calls.append(f"    {function}({arguments});\n")


def _braces(values: tuple[int, ...]) -> str:
    return f"{{{', '.join(map(str, values))}}}"
