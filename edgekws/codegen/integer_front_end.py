"""The front end in C without floating point: see `runtime/c/integer_front_end.h`.

A frame is shifted to full scale, so that a quiet one keeps as many bits as a loud one.

Powers are integers in units of `n_points² / 2^(58 - shift)`. The weights of the mel filters bring
them to units of `2^-U`, with the largest `U` for which the mels of no signal leave 63 bits.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.c_tables import table
from edgekws.codegen.fft import Pass, butterfly_radix, n_points, passes, places, roots_of_unity
from edgekws.codegen.front_end_interface import (
    FUNCTION,
    RESET,
    InputQuantization,
    filter_bins,
    reset_function,
    scratch_comment,
    size_macros,
)
from edgekws.core.contract import Normalization
from edgekws.runtime.front_end import (
    LOG_FLOOR,
    SILENT_MEL,
    FrontEnd,
    analysis_window,
    mel_filterbank,
)

WEIGHT_BITS = 12
"""Bits of a mel filter's weight: none is above `2^WEIGHT_BITS`."""

LARGEST = 2**31 - 1

MOST_FRAMES = 60_000
"""The weights of a running mean have a sum below 2^16."""


@dataclass(frozen=True)
class MelUnits:
    """Units of integer mels: `exponent` is `U`; powers lose `shift` bits, weights are `scale`."""

    exponent: int
    shift: int
    scale: float


def mel_units(n_fft: int) -> MelUnits:
    """Return the units of the mels of an FFT.

    A frame's bins hold at most `n_fft² / 2` of power in all (Parseval), and no bin weighs more than
    1 in a filter.
    """
    exponent = 63 - math.ceil(2 * math.log2(n_fft))
    full = exponent - 58 + 2 * math.log2(n_points(n_fft))
    shift = max(0, WEIGHT_BITS - math.ceil(full))
    return MelUnits(exponent, shift, 2.0 ** (full + shift))


def integer_front_end_header(front_end: FrontEnd) -> str:
    """Return `kws_front_end.h`: sizes, scratch memory and the function of the front end.

    Raises:
        ValueError: `n_fft` is longer than the kernels can transform, or an option has no kernel.
    """
    if front_end.compression == "pcen":
        raise ValueError('compression = "pcen" needs floating point; use mean = "running" instead')
    radix, points = butterfly_radix(front_end.n_fft), n_points(front_end.n_fft)
    butterfly = f"    kws_integer_point butterfly[{radix}];\n" if radix else ""
    means = f"    uint32_t weight;\n    int32_t means[{front_end.n_mels}];\n"
    means = means if front_end.running_seconds else ""
    return f"""\
#ifndef KWS_FRONT_END_TABLES_H
#define KWS_FRONT_END_TABLES_H

#include "integer_front_end.h"

{size_macros(front_end)}

{scratch_comment(front_end)}
typedef struct {{
    kws_integer_point points[KWS_INTEGER_POINTS_SIZE({points})];
{butterfly}{means}\
    int32_t logs[{front_end.n_mels}];
}} kws_front_end_scratch;

{reset_function(front_end)}

{FUNCTION}

#endif
"""


def integer_front_end_source(
    front_end: FrontEnd, normalization: Normalization, quantization: InputQuantization
) -> str:
    """Return `kws_front_end.c`: the tables of a front end and the calls of its kernels.

    Raises:
        ValueError: a band's normalisation or the quantization is beyond 32-bit numbers.
    """
    n_fft, n_mels = front_end.n_fft, front_end.n_mels
    points, parity, units = n_points(n_fft), "odd" if n_fft % 2 else "even", mel_units(n_fft)
    roots = "roots, " if parity == "even" else ""
    low, high = quantization.bounds
    floor = round(LOG_FLOOR * 2**units.exponent)
    most = min(14, (62 - floor.bit_length()) // 2)  # the floor grows with the power
    filters = f"mel_bins, mel_weights, {n_mels}"
    calls = [
        f"const int32_t gain = kws_integer_gain(pcm, {n_fft}, {most});",
        f"kws_integer_window_{parity}(pcm, gain, window, places, {n_fft}, points);",
        *(_pass_call(fft_pass, points) for fft_pass in passes(n_fft)),
        f"kws_integer_power_{parity}(points, {points}, {roots}{units.shift});",
        f"kws_integer_log_mel(points, {filters}, {floor}u, gain, scratch->logs);",
        *_running_mean(front_end, floor),
        f"kws_integer_features(scratch->logs, scale, shift, {n_mels}, {low}, {high}, features);",
    ]
    body = "".join(f"        {call}\n" for call in calls)
    tables = "\n".join(_tables(front_end, normalization, quantization, units))
    reset = RESET if front_end.running_seconds else ""
    return f"""\
/* Log-mel of {front_end.sample_rate} Hz: FFT of {n_fft} every {front_end.hop_length} samples, \
{n_mels} bands. */
#include "kws_front_end.h"

{tables}

void kws_front_end(const int16_t *pcm, int32_t frames, uint8_t *features,
                   kws_front_end_scratch *scratch)
{{
    kws_integer_point *points = scratch->points;
    for (; frames > 0; frames--, pcm += KWS_FRAME_STEP, features += KWS_MEL_BANDS) {{
{body}    }}
}}
{reset}"""


def _running_mean(front_end: FrontEnd, floor: int) -> list[str]:
    """Return the call that subtracts the running mean, if there is one."""
    if front_end.running_seconds is None:
        return []
    if 1 / (1 - front_end.decay) > MOST_FRAMES:
        raise ValueError(
            f"mean_seconds = {front_end.running_seconds:g} are more than {MOST_FRAMES} frames; "
            "shorten it"
        )
    silent = math.floor(math.log2(floor * (1 + SILENT_MEL / LOG_FLOOR)) * 65536)
    settings = f"{front_end.n_mels}, {silent}, {round(front_end.decay * 2**32)}u"
    state = "&scratch->weight, scratch->means"
    return [f"kws_integer_subtract_running_mean(scratch->logs, {settings}, {state});"]


def _tables(
    front_end: FrontEnd,
    normalization: Normalization,
    quantization: InputQuantization,
    units: MelUnits,
) -> tuple[str, ...]:
    bins, weights = filter_bins(np.rint(mel_filterbank(front_end) * units.scale))
    # Without a mean, logarithms count the units of mels.
    exponent = 0 if front_end.running_seconds else units.exponent
    scale, shift = _normalisation(normalization, quantization, exponent)
    return (
        table("uint16_t", "window", np.minimum(_fixed(analysis_window(front_end), 16), 65535)),
        table("uint16_t", "places", places(front_end.n_fft)),
        "/* (cos, -sin) of 2 pi k / n_fft. */",
        table("int32_t", "roots", _fixed(roots_of_unity(front_end.n_fft), 16)),
        "/* The first bin and the number of bins of each filter; their weights. */",
        table("uint16_t", "mel_bins", bins),
        table("uint16_t", "mel_weights", weights.astype(np.int64)),
        "/* From logarithms to base 2 to codes, 32 and 16 bits behind the point. */",
        table("int32_t", "scale", scale),
        table("int32_t", "shift", shift),
    )


def _fixed(values: NDArray[np.float64], bits: int) -> NDArray[np.int64]:
    """Return values with `bits` behind the point."""
    return np.rint(values * (1 << bits)).astype(np.int64)


def _normalisation(
    normalization: Normalization, quantization: InputQuantization, exponent: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what takes logarithms to codes, with 32 and 16 bits behind the point.

    The logarithms have 16 bits behind the point, and are to base 2.
    """
    mean, std = np.array(normalization.mean), np.array(normalization.std)
    per_code = std * quantization.scale
    scale = np.rint(math.log(2) / per_code * 2**16)
    offset = (-exponent * math.log(2) - mean) / per_code + quantization.zero_point
    shift = np.rint(offset * 2**16)
    if max(np.abs(scale).max(), np.abs(shift).max()) > LARGEST:
        raise ValueError(
            "a band varies so little that its features leave 32 bits; export the float build"
        )
    return scale.astype(np.int64), shift.astype(np.int64)


def _pass_call(fft_pass: Pass, points: int) -> str:
    radix, length, stride = fft_pass.radix, fft_pass.length, fft_pass.stride
    if radix in (2, 4):
        return f"kws_integer_radix{radix}(points, {points}, {length}, roots, {stride});"
    sizes = f"{points}, {length}, {radix}"
    return f"kws_integer_radix(points, {sizes}, roots, {stride}, scratch->butterfly);"
