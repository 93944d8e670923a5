"""Properties of one recording: level, clipping, offset, length, and an acoustic fingerprint."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.opening import Block, open_audio, recorded_blocks

FLOOR_DBFS = -120.0
"""The level of digital silence, which has no logarithm."""

CLIPPED_RUN = 3
"""This many consecutive samples at the ceiling are clipping, not a peak."""

_FULL_SCALE = 0.999
_LEAST_CEILING = 0.5
_EQUAL = 2e-5

PRINT_SIZE = 256

BLOCK_S = 30.0
"""Length of the blocks in which a recording is read."""

_FRAME_S, _HOP_S = 0.025, 0.0125
_BANDS, _SEGMENTS = 16, 16
_BAND_HZ = (100.0, 3500.0)
_ACTIVE_DB = 30.0
_RANGE_DB = 40.0


@dataclass(frozen=True)
class Sound:
    """Measurements of one clip at its original rate.

    Levels are in dB of full scale: of the largest sample, of the whole clip (RMS), and of its loud
    and quiet frames (95th and 5th percentile of 25 ms, without the offset). `clipped` counts the
    samples in runs at the ceiling; `offset` is the mean sample, of 1. `digest` is the sha256 of the
    samples; `likeness` `(256,)` is an acoustic fingerprint that does not depend on level, rate and
    surrounding silence, with norm 1, or 0 for silence.
    """

    sample_rate: int
    channels: int
    length_s: float
    peak_dbfs: float
    rms_dbfs: float
    loud_dbfs: float
    quiet_dbfs: float
    clipped: int
    offset: float
    digest: str
    likeness: NDArray[np.float32]


def inspect(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Sound:
    """Measure a file, or the part from `start_s` to `end_s`; a part without samples is silent.

    It is read twice, block by block, so that a recording of any length fits in memory.

    Raises:
        DataError: as `reading.read_blocks`.
    """

    def reread() -> Iterator[Block]:
        with open_audio(path) as file:
            yield from recorded_blocks(path, file, start_s, end_s, BLOCK_S)

    with open_audio(path) as file:
        rate, channels = file.samplerate, file.channels
        first = list(islice(recorded_blocks(path, file, start_s, end_s, BLOCK_S), 2))
    short = len(first) < 2
    return _measured((lambda: iter(first)) if short else reread, rate, channels)


def measured(samples: NDArray[np.float32], sample_rate: int) -> Sound:
    """Measure `samples` `(frames, channels)` in [-1, 1]."""
    block = Block(samples, samples.mean(axis=1, dtype=np.float32))
    return _measured(lambda: iter([block]), sample_rate, samples.shape[1])


def _measured(blocks: Callable[[], Iterator[Block]], rate: int, channels: int) -> Sound:
    whole = _whole(blocks())
    spectrum = _Spectrum(rate, np.float32(whole.offset))
    clipping = _Clipping(whole.peak, channels)
    for block in blocks():
        spectrum.add(block.mono)
        clipping.add(block.channels)
    spectrum.end()
    levels = spectrum.levels()
    loud, quiet = np.percentile(levels, [95, 5]) if len(levels) else (0.0, 0.0)
    return Sound(
        rate,
        channels,
        whole.length / rate,
        decibels(whole.peak),
        decibels(whole.rms),
        decibels(float(np.sqrt(loud))),
        decibels(float(np.sqrt(quiet))),
        clipping.count,
        whole.offset,
        whole.digest,
        _likeness(*spectrum.audible()),
    )


class _Whole(NamedTuple):
    length: int
    peak: float
    rms: float
    offset: float
    digest: str


def _whole(blocks: Iterable[Block]) -> _Whole:
    """Return the properties of a recording after one pass."""
    length, peak, total, energy, digest = 0, 0.0, 0.0, 0.0, hashlib.sha256()
    for samples, mono in blocks:
        wave = np.ascontiguousarray(mono)
        length += len(wave)
        peak = max(peak, float(np.abs(samples).max(initial=0)))
        total += float(wave.sum(dtype=np.float64))
        energy += float(np.square(wave, dtype=np.float64).sum())
        digest.update(wave.data)
    n = max(length, 1)
    return _Whole(length, peak, float(np.sqrt(energy / n)), total / n, digest.hexdigest())


def decibels(amplitude: float) -> float:
    """Return an amplitude in dB of full scale, at least `FLOOR_DBFS`.

    >>> decibels(1.0), decibels(0.1), decibels(0.0)
    (0.0, -20.0, -120.0)
    """
    return float(20 * np.log10(amplitude)) if amplitude > 1e-6 else FLOOR_DBFS


class _Clipping:
    """Counts the samples, over all channels, in runs of `CLIPPED_RUN` or more at the ceiling.

    The ceiling is full scale, or the peak if that is lower: that of a telephone's µ-law is 0.98,
    and a clipped recording may have been attenuated.
    """

    def __init__(self, peak: float, channels: int) -> None:
        self._ceiling = min(_FULL_SCALE, peak - _EQUAL) if peak >= _LEAST_CEILING else np.inf
        self._last = np.zeros((0, channels), bool)  # whether samples are at the ceiling
        self._counted = np.zeros((0, channels), bool)  # whether they are in a run
        self.count = 0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Process the next samples `(frames, channels)`."""
        full = np.concatenate([self._last, np.abs(samples) >= self._ceiling])
        inside = np.concatenate([self._counted, np.zeros_like(samples, bool)])
        before = np.count_nonzero(inside)
        if len(full) >= CLIPPED_RUN and full.any():
            begins = np.lib.stride_tricks.sliding_window_view(full, CLIPPED_RUN, 0).all(axis=-1)
            for shift in range(CLIPPED_RUN):
                inside[shift : len(full) - CLIPPED_RUN + 1 + shift] |= begins
        self.count += int(np.count_nonzero(inside) - before)
        keep = CLIPPED_RUN - 1
        self._last, self._counted = full[-keep:], inside[-keep:]


class _Spectrum:
    """Energies of 25 ms frames, in total and in 16 bands, scaled to the mean square."""

    def __init__(self, rate: int, offset: np.float32) -> None:
        self._size, self._hop = round(_FRAME_S * rate), round(_HOP_S * rate)
        self._offset = offset
        self._window = np.hanning(self._size + 1)[:-1].astype(np.float32)
        hertz = np.geomspace(*_BAND_HZ, _BANDS + 1)
        self._bins = np.round(hertz / (rate / 2) * (self._size // 2)).astype(int)
        self._rest = np.zeros(0, np.float32)
        self._levels = [np.zeros((0, 2), np.float32)]
        self._bands = [np.zeros((0, _BANDS))]

    def add(self, mono: NDArray[np.float32]) -> None:
        """Process the next samples."""
        wave = np.concatenate([self._rest, mono - self._offset])
        count = max(0, 1 + (len(wave) - self._size) // self._hop)
        self._rest = wave[count * self._hop :]
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(wave, self._size)[:: self._hop]
            self._process(frames)

    def end(self) -> None:
        """Pad a recording that is shorter than a frame."""
        if len(self._levels) == 1 and len(self._rest):
            self._process(np.pad(self._rest, (0, self._size - len(self._rest)))[None])

    def levels(self) -> NDArray[np.float32]:
        """Return the mean square of every frame."""
        return np.concatenate(self._levels)[:, 0]

    def audible(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the mean square of every frame above 40 Hz, and of its bands."""
        return np.concatenate(self._levels)[:, 1], np.concatenate(self._bands)

    def _process(self, frames: NDArray[np.float32]) -> None:
        spectrum = np.fft.rfft(frames * self._window, axis=1)
        squares = spectrum.real**2 + spectrum.imag**2
        squares[:, 1 : (self._size + 1) // 2] *= 2
        power = np.asarray(squares / (self._size * np.square(self._window).sum()), np.float32)
        self._levels.append(np.stack([power.sum(axis=1), power[:, 1:].sum(axis=1)], axis=1))
        sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
        last = np.minimum(np.maximum(self._bins[1:], self._bins[:-1] + 1), power.shape[1])
        first = np.minimum(self._bins[:-1], power.shape[1] - 1)
        self._bands.append((sums[:, last] - sums[:, first]) / (last - first))  # (frames, bands)


def _likeness(levels: NDArray[np.float32], bands: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return log energies of 16 bands in 16 equal parts of the audible span, centred, of norm 1."""
    nothing = np.zeros(PRINT_SIZE, np.float32)
    if not len(levels) or levels.max() <= 1e-10:
        return nothing
    active = np.flatnonzero(levels > levels.max() * 10 ** (-_ACTIVE_DB / 10))
    bands = bands[active[0] : active[-1] + 1]
    total = np.concatenate([np.zeros((1, _BANDS)), np.cumsum(bands, axis=0)])
    places = np.linspace(0, len(bands), _SEGMENTS + 1)
    rows = np.stack([np.interp(places, np.arange(len(total)), column) for column in total.T], 1)
    parts = np.maximum(np.diff(rows, axis=0), 0)
    logs = np.log10(np.maximum(parts, parts.max() * 10 ** (-_RANGE_DB / 10)))
    logs -= logs.mean()
    norm = np.linalg.norm(logs)
    return np.asarray(logs.ravel() / norm, np.float32) if norm > 0 else nothing
