"""The log-mel front end in C: its tables, and the calls of `runtime/c/front_end.h`."""

import numpy as np

from edgekws.codegen.c_tables import literal, table
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
from edgekws.runtime.front_end import FrontEnd, analysis_window, mel_filterbank

FULL_SCALE = 32768.0


def front_end_header(front_end: FrontEnd) -> str:
    """Return `kws_front_end.h`: sizes, scratch memory and the functions of the front end.

    Raises:
        ValueError: `n_fft` is longer than the kernels can transform.
    """
    radix = butterfly_radix(front_end.n_fft)
    butterfly = f"    float butterfly[KWS_BUTTERFLY_SIZE({radix})];\n" if radix else ""
    means = f"    int32_t sounding[KWS_LANES];\n    float weight, means[{front_end.n_mels}];\n"
    means = means if front_end.running_seconds else ""
    return f"""\
#ifndef KWS_FRONT_END_TABLES_H
#define KWS_FRONT_END_TABLES_H

#include "front_end.h"

{size_macros(front_end)}

{scratch_comment(front_end)}
typedef struct {{
    float points[KWS_POINTS_SIZE({n_points(front_end.n_fft)})];
    float mels[KWS_MELS_SIZE({front_end.n_mels})];
{butterfly}{means}\
    int16_t columns[KWS_COLUMNS_SIZE({front_end.n_fft}, {front_end.hop_length})];
}} kws_front_end_scratch;

{reset_function(front_end)}

{FUNCTION}

/* The same before quantization. */
void kws_front_end_float(const int16_t *pcm, int32_t frames, float *features,
                         kws_front_end_scratch *scratch);

#endif
"""


def front_end_source(
    front_end: FrontEnd, normalization: Normalization, quantization: InputQuantization
) -> str:
    """Return `kws_front_end.c`: the tables of a front end and the calls of its kernels."""
    low, high = quantization.bounds
    codes = f"{literal(np.float32(quantization.scale))}, {quantization.zero_point}, {low}, {high}"
    n_mels = front_end.n_mels
    outputs = {
        ("kws_front_end", "uint8_t"): f"kws_quantize_features(scratch->mels, group, {n_mels}, "
        f"{codes}, features);",
        ("kws_front_end_float", "float"): f"kws_features(scratch->mels, group, {n_mels}, "
        "features);",
    }
    functions = (_framewise(name, c_type, call) for (name, c_type), call in outputs.items())
    title = (
        f"/* Log-mel of {front_end.sample_rate} Hz: FFT of {front_end.n_fft} every "
        f"{front_end.hop_length} samples, {n_mels} bands. */\n"
        '#include "kws_front_end.h"\n'
    )
    tables = _tables(front_end, normalization)
    reset = (RESET.lstrip(),) if front_end.running_seconds else ()
    parts = (title, *tables, _log_mel(front_end), *functions, *reset)
    return "\n".join(parts)


def _tables(front_end: FrontEnd, normalization: Normalization) -> tuple[str, ...]:
    # The kernels give four times the power.
    bins, weights = filter_bins(mel_filterbank(front_end).astype(np.float32) / np.float32(4))
    mean, std = np.array(normalization.mean), np.array(normalization.std)
    window = (analysis_window(front_end) / FULL_SCALE).astype(np.float32)
    return (
        table("float", "window", window),
        table("uint16_t", "places", places(front_end.n_fft)),
        "/* (cos, -sin) of 2 pi k / n_fft. */",
        table("float", "roots", roots_of_unity(front_end.n_fft).astype(np.float32)),
        "/* The first bin and the number of bins of each filter; a quarter of their weights. */",
        table("uint16_t", "mel_bins", bins),
        table("float", "mel_weights", weights),
        table("float", "scale", (1 / std).astype(np.float32)),
        table("float", "shift", (-mean / std).astype(np.float32)),
        *([_pcen_table(front_end)] if front_end.compression == "pcen" else []),
        "",
    )


def _log_mel(front_end: FrontEnd) -> str:
    n_fft, hop, n_mels = front_end.n_fft, front_end.hop_length, front_end.n_mels
    points, parity = n_points(n_fft), "odd" if n_fft % 2 else "even"
    calls = [
        f"const int16_t *columns = kws_columns(pcm, frames, {n_fft}, {hop}, scratch->columns);",
        f"kws_window_{parity}(columns, window, places, {n_fft}, {hop}, points);",
        *(_pass_call(fft_pass, points) for fft_pass in passes(n_fft)),
        f"kws_power_{parity}(points, {points}{', roots' if parity == 'even' else ''});",
        f"kws_mel(points, mel_bins, mel_weights, {n_mels}, scratch->mels);",
        *_compression(front_end),
    ]
    body = "".join(f"    {call}\n" for call in calls)
    return f"""\
/* Normalised log-mel of up to KWS_LANES frames, into scratch->mels. */
static void log_mel(const int16_t *pcm, int32_t frames, kws_front_end_scratch *scratch)
{{
    float *points = scratch->points;
{body}}}
"""


def _compression(front_end: FrontEnd) -> list[str]:
    """Return the calls that turn mels into features."""
    n_mels = front_end.n_mels
    log = f"kws_log_normalise(scratch->mels, scale, shift, {n_mels});"
    if front_end.running_seconds is None:
        return [log]
    sounding = f"kws_sounding(scratch->mels, {n_mels}, scratch->sounding);"
    given, state = f"scratch->mels, frames, {n_mels}, scratch->sounding", "&scratch->weight"
    if front_end.compression == "pcen":
        pcen = f"kws_pcen({given}, &pcen, scale, shift, {state}, scratch->means);"
        return [sounding, pcen]
    settings = f"{literal(np.float32(front_end.decay))}, shift"
    mean = f"kws_subtract_running_mean({given}, {settings}, {state}, scratch->means);"
    return [sounding, log, mean]


def _pcen_table(front_end: FrontEnd) -> str:
    """Return the parameters of PCEN, in the order of their declaration."""
    pcen = front_end.pcen
    values = (front_end.decay, pcen.gain, pcen.bias, pcen.root, pcen.epsilon, pcen.bias**pcen.root)
    listed = ", ".join(literal(np.float32(value)) for value in values)
    return f"static const kws_pcen_settings pcen = {{{listed}}};"


def _pass_call(fft_pass: Pass, points: int) -> str:
    radix, length, stride = fft_pass.radix, fft_pass.length, fft_pass.stride
    if radix in (2, 4):
        return f"kws_fft_radix{radix}(points, {points}, {length}, roots, {stride});"
    sizes = f"{points}, {length}, {radix}"
    return f"kws_fft_radix(points, {sizes}, roots, {stride}, scratch->butterfly);"


def _framewise(name: str, c_type: str, call: str) -> str:
    indent = " " * (len(name) + 6)
    return f"""\
void {name}(const int16_t *pcm, int32_t frames, {c_type} *features,
{indent}kws_front_end_scratch *scratch)
{{
    while (frames > 0) {{
        const int32_t group = frames < KWS_LANES ? frames : KWS_LANES;
        log_mel(pcm, group, scratch);
        {call}
        pcm += group * KWS_FRAME_STEP;
        features += group * KWS_MEL_BANDS;
        frames -= group;
    }}
}}
"""
