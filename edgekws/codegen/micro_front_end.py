"""The micro front end in C: its tables, and the calls of `runtime/c/micro_front_end.h`."""

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.c_tables import table
from edgekws.codegen.front_end_interface import (
    FUNCTION,
    InputQuantization,
    filter_bins,
    size_macros,
)
from edgekws.runtime import micro_fft
from edgekws.runtime.front_end import FrontEnd
from edgekws.runtime.micro_front_end import SCALE, SMOOTHING, gain_steps, log_table, tables

HIGHEST = 64 * 23
"""A bound on the features: natural logarithms of 32 bits, in 6 fractional bits."""


def micro_front_end_header(front_end: FrontEnd) -> str:
    """Return `kws_front_end.h`: sizes, scratch memory and the functions of the front end."""
    return f"""\
#ifndef KWS_FRONT_END_TABLES_H
#define KWS_FRONT_END_TABLES_H

#include "micro_front_end.h"

{size_macros(front_end)}

/* Memory that the front end works in, and its estimate of the noise, which calls change. */
typedef kws_micro_scratch kws_front_end_scratch;

{FUNCTION}

/* Begin a stream: without noise. */
void kws_front_end_reset(kws_front_end_scratch *scratch);

/* Begin a lone clip: its noise is estimated from the clip backwards, before it. */
void kws_front_end_run_in(const int16_t clip[KWS_WINDOW_SAMPLES], kws_front_end_scratch *scratch);

#if !defined(KWS_INTEGER)
/* The features before quantization. */
void kws_front_end_float(const int16_t *pcm, int32_t frames, float *features,
                         kws_front_end_scratch *scratch);
#endif

#endif
"""


def micro_front_end_source(quantization: InputQuantization) -> str:
    """Return `kws_front_end.c`: the tables of the front end and the calls of its kernels."""
    return f"""\
/* The micro front end of TensorFlow Lite Micro: 16000 Hz, 30 ms every 10 ms, 40 channels. */
#include "kws_front_end.h"

#include <string.h>

{_tables()}

/* The quantized features. */
{table("uint8_t", "codes", _codes(quantization))}

#define HIGHEST ((uint16_t)(sizeof codes - 1))

{_framewise("kws_front_end", "uint8_t", "codes[feature < HIGHEST ? feature : HIGHEST]")}
#if !defined(KWS_INTEGER)
{_framewise("kws_front_end_float", "float", f"(float)feature * {SCALE!r}f")}#endif

void kws_front_end_reset(kws_front_end_scratch *scratch)
{{
    memset(scratch->noise, 0, sizeof scratch->noise);
}}

void kws_front_end_run_in(const int16_t clip[KWS_WINDOW_SAMPLES], kws_front_end_scratch *scratch)
{{
    kws_micro_run_in(&tables, clip, KWS_WINDOW_SAMPLES, scratch);
}}
"""


def _codes(quantization: InputQuantization) -> NDArray[np.int64]:
    """Return what QuantizeLinear makes of each feature; a shorter table where it saturates."""
    features = (np.arange(HIGHEST + 1) * SCALE).astype(np.float32)
    scaled = np.rint(features / np.float32(quantization.scale)) + quantization.zero_point
    codes: NDArray[np.int64] = np.clip(scaled, *quantization.bounds).astype(np.int64)
    return codes[: int(np.argmax(codes == codes[-1])) + 1]


def _tables() -> str:
    window, filters = tables()
    bins, weights = filter_bins(filters)
    roots = micro_fft.turns(-2 * np.pi * np.arange(192) / 256)
    half_roots = micro_fft.turns(-np.pi * (np.arange(1, 129) / 256 + 0.5))
    _, gains = gain_steps()
    few, rows = gains[:3, 0], gains[3:, :3].ravel()
    parts = (
        table("int16_t", "window", window),
        _points("roots", roots),
        _points("half_roots", half_roots),
        table("uint8_t", "bins", bins),
        table("int16_t", "weights", weights),
        table("uint16_t", "shares", np.array(SMOOTHING)),
        table("int32_t", "gains", np.concatenate([few, rows]).astype(np.int64)),
        table("uint16_t", "logs", log_table()),
        "static const kws_micro_tables tables = {\n"
        "    window, roots, half_roots, bins, weights, shares, gains, logs,\n};",
    )
    return "\n".join(parts)


def _points(name: str, parts: tuple[micro_fft.Integers, micro_fft.Integers]) -> str:
    """Return a table of points, real and imaginary part."""
    rows = "".join(f"    {{{re}, {im}}},\n" for re, im in zip(*parts, strict=True))
    return f"static const kws_micro_point {name}[{len(parts[0])}] = {{\n{rows}}};"


def _framewise(name: str, c_type: str, value: str) -> str:
    indent = " " * (len(name) + 6)
    return f"""\
void {name}(const int16_t *pcm, int32_t frames, {c_type} *features,
{indent}kws_front_end_scratch *scratch)
{{
    for (; frames > 0; frames--, pcm += KWS_FRAME_STEP) {{
        kws_micro_channels(&tables, pcm, scratch);
        for (int32_t i = 0; i < KWS_MEL_BANDS; i++) {{
            const uint16_t feature =
                kws_micro_feature(&tables, scratch->channels[i], scratch->noise[i]);
            *features++ = {value};
        }}
    }}
}}
"""
