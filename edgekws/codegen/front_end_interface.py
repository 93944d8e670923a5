"""What every front end in C has: its macros, functions and quantized output."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekws.codegen.fft import MOST_POINTS, n_points
from edgekws.codegen.ir import Network
from edgekws.runtime.front_end import MICROFRONTEND, FrontEnd


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


def input_of(network: Network) -> InputQuantization:
    """Return the quantization of a network's features."""
    return InputQuantization(float(network.input.scale), network.input.zero, signed=False)


def size_macros(front_end: FrontEnd) -> str:
    """Return the macros with the sizes of a front end.

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
