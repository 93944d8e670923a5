"""The micro front end of TFLM, as ESPHome uses it: 40 channels, noise reduction, PCAN, logarithm.

Each frame of 30 ms, one each 10 ms, gives 40 integers; they are equal to those of the package
pymicro-features. Source: TensorFlow Lite, `experimental/microfrontend/lib`, whose steps
`_channels`, `_reduced`, `_controlled` and `_logarithms` follow in integers; checked by running it.
Noise reduction keeps an estimate of the noise, so that features depend on what came before.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgekws.runtime.micro_fft import LENGTH, Integers, spectrum

SAMPLE_RATE, FRAME, HOP, CHANNELS = 16_000, 480, 160, 40
F_MIN, F_MAX = 125.0, 7_500.0
SCALE = 10 / 256
"""A feature as float is the integer times this, from 0 to 26."""

RUN_IN = 100
"""Frames after which a consumer trusts the estimate of the noise: ESPHome ignores as many."""

SMOOTHING = (int(np.float32(0.025) * 2**14), int(np.float32(0.06) * 2**14))  # even, odd channels
LEAST_SIGNAL = int(np.float32(0.05) * 2**14)
_NOISE_BITS, _SHARE_BITS = 10, 14
_STRENGTH, _OFFSET, _GAIN_BITS = np.float32(0.95), np.float32(80), 21
_CORRECTION_BITS = 3
_BLOCK = 100
"""Frames that are transformed at once: more leave the cache of a CPU."""

_LOG_SEGMENTS, _LOG_SHIFT = 128, 6
LOG_2 = 45_426
"""The natural logarithm of 2 in 16 fractional bits."""


class MicroFrontEnd:
    """The features of a stream, in pieces of any length."""

    def __init__(self) -> None:
        """Begin with no noise."""
        self._rest = np.zeros(0, np.int16)
        self._noise = np.zeros(CHANNELS, np.int64)

    def feed(self, samples: NDArray[np.int16]) -> NDArray[np.uint16]:
        """Return the features `(frames, 40)` of the frames that samples at 16 kHz complete."""
        waiting = np.concatenate([self._rest, samples])
        frames = max(0, 1 + (len(waiting) - FRAME) // HOP)
        self._rest = waiting[frames * HOP :]
        if not frames:
            return np.zeros((0, CHANNELS), np.uint16)
        windows = np.lib.stride_tricks.sliding_window_view(waiting, FRAME)[: frames * HOP : HOP]
        signal, noise = self._reduced(_channels(windows.astype(np.int32)))
        return _logarithms(_controlled(signal, noise))

    def _reduced(self, channels: Integers) -> tuple[Integers, Integers]:
        """Return channels without the noise, and the estimates of the noise."""
        share = np.array(SMOOTHING)[np.arange(CHANNELS) % 2]
        scaled = (channels << _NOISE_BITS) & 0xFFFFFFFF
        noise, keep = scaled * share, (1 << _SHARE_BITS) - share
        for estimate in noise:
            estimate += self._noise * keep
            estimate >>= _SHARE_BITS
            self._noise = estimate
        self._noise = self._noise.copy()
        left = (scaled - np.minimum(noise, scaled)) >> _NOISE_BITS
        signal = np.maximum(left, (channels * LEAST_SIGNAL) >> _SHARE_BITS)
        return signal, noise


def clip_features(samples: NDArray[np.int16], before: int = 0) -> NDArray[np.uint16]:
    """Return the features `(frames, 40)` of a clip, which starts at sample `before`.

    Its noise is estimated from `RUN_IN` frames before it. What `samples` lack of them, all for a
    lone clip, are the samples played backwards, and forwards again if they are shorter. `before` is
    at most `RUN_IN * HOP`.
    """
    return MicroFrontEnd().feed(samples[run_in(len(samples), before)])[RUN_IN:]


def run_in(samples: int, before: int = 0) -> Integers:
    """Return the places of samples and of those that are played before them.

    `before` of the samples are part of the run-in; a lone clip has none.
    """
    forwards = np.arange(samples)
    there_and_back = np.concatenate([forwards, forwards[::-1]])
    played = np.resize(there_and_back, RUN_IN * HOP - before)[::-1]
    return np.concatenate([played, forwards])


def _channels(windows: Integers) -> Integers:
    """Return the magnitudes `(frames, 40)` of the channels of frames of samples."""
    starts = range(0, len(windows), _BLOCK)
    return np.concatenate([_block_channels(windows[start : start + _BLOCK]) for start in starts])


def _block_channels(windows: Integers) -> Integers:
    window, filters = tables()
    shaped = (windows * window.astype(np.int32)) >> 12
    shift = 15 - _bits(_peaks(shaped))
    padded = np.zeros((len(windows), LENGTH), np.int32)
    padded[:, :FRAME] = ((shaped << shift) + (1 << 15) & 0xFFFF) - (1 << 15)
    real, imaginary = (part.astype(np.float64) for part in spectrum(padded))
    # sums of integers below 2^53 are exact
    energy = (real**2 + imaginary**2) @ filters.T.astype(np.float64)
    return _roots(energy.astype(np.int64)) >> shift


def _peaks(samples: Integers) -> Integers:
    """Return the largest magnitude of each frame `(frames, 1)`, as 16 bits keep it.

    -32768 has none there: its magnitude wraps, and whatever comes after it counts as larger.
    """
    magnitudes = np.abs(samples)
    wraps = magnitudes == 1 << 15
    if wraps.any():
        magnitudes[np.cumsum(wraps[:, ::-1], axis=1)[:, ::-1] > 0] = 0
    peaks: Integers = magnitudes.max(axis=1, keepdims=True)
    return peaks


def _controlled(signal: Integers, noise: Integers) -> Integers:
    """Return channels with a gain that falls with the noise in each, and loud ones compressed."""
    ratio = (signal * _gain(noise)) >> (_GAIN_BITS - _CORRECTION_BITS - 12)
    return np.where(ratio < 2 << 12, (ratio * ratio) >> 20, (ratio >> 6) - 64)


def _logarithms(values: Integers) -> NDArray[np.uint16]:
    """Return natural logarithms in 6 fractional bits, by a table of 128 segments."""
    raised = np.maximum(values << _CORRECTION_BITS, 1)
    whole = _bits(raised) - 1
    fraction = _shifted(raised - (1 << whole), 16 - whole)
    segment = fraction >> 9
    table = log_table()
    start, step = table[segment], table[segment + 1] - table[segment]
    log2 = (whole << 16) + fraction + start + ((step * (fraction - (segment << 9))) >> 16)
    natural = (LOG_2 * log2 + (1 << 15)) >> 16
    scaled = ((natural << _LOG_SHIFT) + (1 << 15)) >> 16
    bounded: NDArray[np.uint16] = np.minimum(scaled, 0xFFFF).astype(np.uint16)
    return bounded


@lru_cache(maxsize=1)
def tables() -> tuple[Integers, Integers]:
    """Return the window `(480,)` and the filters `(40, 257)`, in 12 fractional bits."""
    half, places = np.float32(0.5), np.arange(FRAME).astype(np.float32)
    turn = np.float32(2 * np.pi / FRAME)
    window = half - half * np.cos(turn * (places + half))
    return _fixed(window), _filters()


def _filters() -> Integers:
    """Return triangular filters over mels; frequencies between centres belong to both sides."""
    low, high = _mel(np.float32(F_MIN)), _mel(np.float32(F_MAX))
    step = (high - low) / np.float32(CHANNELS + 1)
    edges = low + step * np.arange(CHANNELS + 2).astype(np.float32)
    spacing = np.float32(SAMPLE_RATE / LENGTH)
    filters = np.zeros((CHANNELS + 2, LENGTH // 2 + 1), np.int64)
    for place in range(int(1.5 + F_MIN / spacing), LENGTH // 2 + 1):
        mel = _mel(np.float32(place) * spacing)
        band = int(np.searchsorted(edges[1:], mel))
        if band > CHANNELS:
            break
        share = (edges[band + 1] - mel) / (edges[band + 1] - edges[band])
        filters[band, place] = _fixed(share)
        filters[band + 1, place] = _fixed(np.float32(1) - share)
    return filters[1:-1]


def _mel(frequency: np.float32) -> np.float32:
    return np.float32(np.float32(1127) * np.log1p(np.float32(frequency / np.float32(700))))


def _fixed(values: NDArray[np.float32] | np.float32) -> Integers:
    rounded: Integers = np.floor(values * np.float32(4096) + np.float32(0.5)).astype(np.int64)
    return rounded


@lru_cache(maxsize=1)
def _gain_table() -> Integers:
    """Return value, slope and curve of the gain, a row for each number of bits of the noise."""
    rows = np.zeros((33, 3), np.int64)
    for bits in range(2, 33):
        start = 1 << (bits - 1)
        end = 2 * start - (bits == 32)
        first, middle, last = (_gain_at(x) for x in (start, start + (start >> 1), end))
        slope = 4 * (middle - first) - (last - first)
        rows[bits] = first, slope, last - first - slope
    return rows


def _gain_at(noise: int) -> int:
    input_bits = _NOISE_BITS - _CORRECTION_BITS
    level = np.float32(noise) / np.float32(1 << input_bits) + _OFFSET
    return min(int(np.float32(1 << _GAIN_BITS) * level**-_STRENGTH + np.float32(0.5)), 32_767)


def gain_steps() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the parabolas of the gain start `(n,)`, and the rows `(n + 1, 4)` of each.

    A row is value, slope, curve, and the factor that brings a noise to 1024 … 2047.
    """
    bits = np.arange(2, 33)
    few = np.array([[_gain_at(x), 0, 0, 1] for x in range(3)], np.float64)
    rows = np.column_stack([_gain_table()[bits], 2.0 ** (11 - bits)])
    return np.append([1.0, 2.0, 3.0], 2.0 ** bits[1:] / 2), np.concatenate([few, rows])


def log_lines() -> Integers:
    """Return the start and the rise of the lines of `log_table`, `(129, 2)`."""
    table = log_table()
    return np.stack([table[:-1], np.diff(table)], axis=1)


def _gain(noise: Integers) -> Integers:
    """Return the gain at each estimate of the noise, by a parabola for each number of bits."""
    few = np.array([_gain_at(x) for x in range(3)])
    bits = np.maximum(_bits(noise), 2)
    value, slope, curve = np.moveaxis(_gain_table()[bits], -1, 0)
    place = _shifted(noise, 11 - bits) & 0x3FF
    rise = (((curve * place) >> 5) + (slope << 5)) * place
    return np.where(noise <= 2, few[np.minimum(noise, 2)], value + ((rise + (1 << 14)) >> 15))


@lru_cache(maxsize=1)
def log_table() -> Integers:
    """Return what log2(1 + x) is more than x, in 16 fractional bits."""
    x = np.arange(_LOG_SEGMENTS + 1) / _LOG_SEGMENTS
    table: Integers = np.rint(2**16 * (np.log2(1 + x) - x)).astype(np.int64)
    return np.append(table, 0)


def _roots(values: Integers) -> Integers:
    """Return square roots, rounded; one that needs 16 bits is not rounded up to need 17."""
    roots = np.sqrt(values.astype(np.float64)).astype(np.int64)
    roots -= roots * roots > values
    roots += (roots + 1) ** 2 <= values
    up = (values - roots * roots > roots) & ~((values < 1 << 32) & (roots == 0xFFFF))
    rounded: Integers = roots + up
    return rounded


def _bits(values: Integers) -> Integers:
    """Return the number of bits of integers from 0 up."""
    bits: Integers = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    return bits


def _shifted(values: Integers, left: Integers) -> Integers:
    return np.where(left >= 0, values << np.maximum(left, 0), values >> np.maximum(-left, 0))
