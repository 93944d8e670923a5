"""The front end in C: its tables, and the calls of the kernels in `runtime/c/front_end.h`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.c_tables import literal, table
from edgekws.codegen.ir import Network
from edgekws.core.contract import Contract, Normalization
from edgekws.errors import UnsupportedError
from edgekws.runtime.front_end import MICROFRONTEND, FrontEnd, analysis_window, mel_filterbank

MOST_POINTS = 1 << 16
"""The places of points are 16-bit numbers."""

FULL_SCALE = 32768.0


@dataclass(frozen=True)
class InputQuantization:
    """The first QuantizeLinear of a network: scale, zero point and type, int8 or uint8."""

    scale: float
    zero_point: int
    signed: bool

    @property
    def bounds(self) -> tuple[int, int]:
        """Lowest and highest code."""
        return (-128, 127) if self.signed else (0, 255)


@dataclass(frozen=True)
class Pass:
    """A pass of the FFT: transforms of `length` points become those of `radix * length`.

    The root of unity of the longer transform is entry `stride` of the table of roots.
    """

    radix: int
    length: int
    stride: int

    @property
    def last_root(self) -> int:
        """The highest entry of the table of roots that the pass reads."""
        if self.radix in (2, 4):
            return (self.radix - 1) * (self.length - 1) * self.stride
        return self.radix * self.length * self.stride - 1


def n_points(n_fft: int) -> int:
    """Return the points of the complex FFT that transforms `n_fft` real samples."""
    return n_fft // 2 if n_fft % 2 == 0 else n_fft


def passes(n_fft: int) -> tuple[Pass, ...]:
    """Return the passes of the complex FFT, radix 4 first.

    >>> [p.radix for p in passes(512)], [p.radix for p in passes(400)]
    ([4, 4, 4, 4], [4, 2, 5, 5])
    """
    left, length, chosen = n_points(n_fft), 1, list[Pass]()
    radix = 4
    while left > 1:
        if left % radix:
            radix = {4: 2, 2: 3}.get(radix, radix + 2)
            if radix * radix > left and radix > 2:
                radix = left
            continue
        length *= radix
        chosen.append(Pass(radix, length // radix, n_fft // length))
        left //= radix
    return tuple(chosen)


def places(n_fft: int) -> NDArray[np.int64]:
    """Return where each input of the complex FFT is stored: its digits reversed, `(n_points,)`."""
    inputs, block = np.arange(n_points(n_fft)), n_points(n_fft)
    result = np.zeros_like(inputs)
    for fft_pass in reversed(passes(n_fft)):
        block //= fft_pass.radix
        result += inputs % fft_pass.radix * block
        inputs = inputs // fft_pass.radix
    return result


def size_macros(front_end: FrontEnd) -> str:
    """Return the macros that tell the sizes of a front end.

    Raises:
        ValueError: `n_fft` is longer than the kernels can transform, or an option has no kernel.
    """
    if n_points(front_end.n_fft) > MOST_POINTS:
        raise ValueError(f"an FFT of {front_end.n_fft} is too long; use up to {MOST_POINTS}")
    if front_end.mean == "clip":
        raise ValueError('mean = "clip" needs the whole window; use mean = "running"')
    runs_in = int(front_end.kind == MICROFRONTEND)
    return f"""\
#define KWS_SAMPLE_RATE {front_end.sample_rate}
#define KWS_FRAME_SAMPLES {front_end.n_fft}
#define KWS_FRAME_STEP {front_end.hop_length}
#define KWS_MEL_BANDS {front_end.n_mels}
#define KWS_WINDOW_SAMPLES {front_end.window_samples}
#define KWS_WINDOW_FRAMES {front_end.n_frames}
#define KWS_RUN_IN {runs_in} /* whether a lone clip has a run-in */"""


def scratch_comment(front_end: FrontEnd) -> str:
    """Return what the memory of a front end keeps."""
    kept = "the means of the bands are" if front_end.running_seconds else "nothing in it is"
    return f"/* Memory that the front end works in; {kept} kept between calls. */"


def reset_function(front_end: FrontEnd) -> str:
    """Return the function that begins a stream: its definition where nothing is kept."""
    if front_end.running_seconds is None:
        return _NOTHING_KEPT
    return "/* Begin a stream. */\nvoid kws_front_end_reset(kws_front_end_scratch *scratch);"


_NOTHING_KEPT = """\
/* Begin a stream: nothing is kept of the one before. */
static inline void kws_front_end_reset(kws_front_end_scratch *scratch)
{
    (void)scratch;
}"""

RESET = """
void kws_front_end_reset(kws_front_end_scratch *scratch)
{
    scratch->weight = 0;
    for (int32_t m = 0; m < KWS_MEL_BANDS; m++)
        scratch->means[m] = 0;
}
"""
"""The function for front ends with means of bands."""

FUNCTION = """\
/* Compute the features of `frames` frames, rows of KWS_MEL_BANDS: normalised log-mel as the network
 * takes it. Reads KWS_FRAME_SAMPLES + (frames - 1) * KWS_FRAME_STEP samples. */
void kws_front_end(const int16_t *pcm, int32_t frames, uint8_t *features,
                   kws_front_end_scratch *scratch);"""
"""The function that both front ends have."""


def butterfly_radix(n_fft: int) -> int:
    """Return the largest radix that is transformed in a buffer of its own; 0 if there is none."""
    return max((p.radix for p in passes(n_fft) if p.radix not in (2, 4)), default=0)


def input_of(network: Network) -> InputQuantization:
    """Return how a network takes its features."""
    return InputQuantization(float(network.input.scale), network.input.zero, signed=False)


def front_end_files(contract: Contract, network: Network) -> dict[str, str]:
    """Return the files of the float front end of a network, by name.

    Raises:
        UnsupportedError: `n_fft` is longer than the kernels can transform.
    """
    front_end = contract.front_end
    try:
        header = front_end_header(front_end)
        source = front_end_source(front_end, contract.normalization, input_of(network))
    except ValueError as error:
        raise UnsupportedError(f"the front end has no form in C: {error}") from error
    return {"kws_front_end.h": header, "kws_front_end.c": source}


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


def roots_of_unity(n_fft: int) -> NDArray[np.float64]:
    """Return (cos, -sin) of each root up to the last one that is read, `(2 * entries,)`."""
    last = max((p.last_root for p in passes(n_fft)), default=0)
    if n_fft % 2 == 0:
        last = max(last, n_fft // 4)
    angles = 2 * np.pi * np.arange(last + 1) / n_fft
    return np.stack([np.cos(angles), -np.sin(angles)], axis=1).ravel()


def filter_bins(weights: NDArray[np.number[Any]]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return (first bin, number of bins) of each filter in one row, and their weights in another.

    `weights` are those of all bins, `(n_mels, bins)`.
    """
    bins, used_weights = list[int](), list[NDArray[Any]]()
    for row in weights:
        used = np.flatnonzero(row)
        first, end = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
        bins += [first, end - first]
        used_weights.append(row[first:end])
    return np.array(bins), np.concatenate(used_weights)


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
