"""What one recording is like: level, clipping, offset, length, and a print to find it again."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.audio.reading import _unreadable as unreadable
from edgekws.errors import DataError

FLOOR_DBFS = -120.0
"""The level of digital silence, where a logarithm has no value."""

CLIPPED_RUN = 3
"""So many samples in a row at the top are a wave that was cut off, not a peak that fits."""

_FULL_SCALE = 0.999
_LEAST_CEILING = 0.5
_EQUAL = 2e-5

PRINT_SIZE = 256

_FRAME_S, _HOP_S = 0.025, 0.0125
_BANDS, _SEGMENTS = 16, 16
_BAND_HZ = (100.0, 3500.0)
_ACTIVE_DB = 30.0
_RANGE_DB = 40.0


@dataclass(frozen=True)
class Sound:
    """What was measured on one clip, at the rate it was recorded with.

    Levels are in dB of full scale: of the largest sample, of the whole clip (RMS), and of its loud
    and quiet frames (95th and 5th percentile of 25 ms, without the offset). `clipped` counts the
    samples that stand in a row at the top, `offset` is the mean sample, of 1. `digest` is the
    sha256 of the samples; `likeness` `(256,)` is that of the sound whatever its level, rate and
    silence around it, with norm 1, or 0 where there is nothing to hear.
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

    Raises:
        DataError: the file is missing, not audio, or holds samples that are not numbers.
    """
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            rate = file.samplerate
            start = min(round(start_s * rate), file.frames)
            end = file.frames if end_s is None else min(round(end_s * rate), file.frames)
            file.seek(start)
            samples = file.read(max(0, end - start), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(unreadable(path, error)) from error
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: holds samples that are not finite numbers; write it anew")
    return measured(samples, rate)


def measured(samples: NDArray[np.float32], sample_rate: int) -> Sound:
    """Measure `samples` `(frames, channels)` in [-1, 1]."""
    wave = np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
    offset = float(wave.mean()) if len(wave) else 0.0
    power = _spectrogram(wave - np.float32(offset), sample_rate)
    levels = power.sum(axis=1)
    loud, quiet = np.percentile(levels, [95, 5]) if len(levels) else (0.0, 0.0)
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    rms = float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
    return Sound(
        sample_rate,
        samples.shape[1],
        len(wave) / sample_rate,
        decibels(peak),
        decibels(rms),
        decibels(float(np.sqrt(loud))),
        decibels(float(np.sqrt(quiet))),
        _clipped(samples),
        offset,
        hashlib.sha256(wave.data).hexdigest(),
        _likeness(power, sample_rate),
    )


def decibels(amplitude: float) -> float:
    """Return an amplitude of full scale in dB, `FLOOR_DBFS` at least.

    >>> decibels(1.0), decibels(0.1), decibels(0.0)
    (0.0, -20.0, -120.0)
    """
    return float(20 * np.log10(amplitude)) if amplitude > 1e-6 else FLOOR_DBFS


def _clipped(samples: NDArray[np.float32]) -> int:
    """Count the samples, over all channels, in runs of `CLIPPED_RUN` or more at the top.

    The top is full scale, or the peak where that is lower: the ceiling of a telephone's µ-law is
    0.98, and what was clipped may have been turned down.
    """
    size = np.abs(samples)
    peak = float(size.max()) if samples.size else 0.0
    full = size >= min(_FULL_SCALE, peak - _EQUAL)
    if peak < _LEAST_CEILING or np.count_nonzero(full) < CLIPPED_RUN or len(full) < CLIPPED_RUN:
        return 0
    begins = full[:-2] & full[1:-1] & full[2:]
    inside = np.zeros_like(full)
    for shift in range(CLIPPED_RUN):
        inside[shift : len(full) - CLIPPED_RUN + 1 + shift] |= begins
    return int(np.count_nonzero(inside))


def _spectrogram(wave: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Return the power of frames of 25 ms, `(frames, bins)`; a row sums to its mean square."""
    size, hop = round(_FRAME_S * sample_rate), round(_HOP_S * sample_rate)
    if len(wave) < size:
        wave = np.pad(wave, (0, size - len(wave))) if len(wave) else wave
    if not len(wave):
        return np.zeros((0, size // 2 + 1), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    spectrum = np.fft.rfft(frames * window, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    power[:, 1 : (size + 1) // 2] *= 2
    return np.asarray(power / (size * np.square(window).sum()), np.float32)


def _likeness(power: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Return log energies of 16 bands in 16 equal parts of what is heard, centred, of norm 1."""
    nothing = np.zeros(PRINT_SIZE, np.float32)
    levels = power[:, 1:].sum(axis=1)
    if not len(levels) or levels.max() <= 1e-10:
        return nothing
    heard = np.flatnonzero(levels > levels.max() * 10 ** (-_ACTIVE_DB / 10))
    power = power[heard[0] : heard[-1] + 1]
    hertz = np.geomspace(*_BAND_HZ, _BANDS + 1)
    bins = np.round(hertz / (sample_rate / 2) * (power.shape[1] - 1)).astype(int)
    sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    last = np.minimum(np.maximum(bins[1:], bins[:-1] + 1), power.shape[1])
    first = np.minimum(bins[:-1], power.shape[1] - 1)
    bands = (sums[:, last] - sums[:, first]) / (last - first)  # (frames, bands)
    total = np.concatenate([np.zeros((1, _BANDS)), np.cumsum(bands, axis=0)])
    places = np.linspace(0, len(bands), _SEGMENTS + 1)
    rows = np.stack([np.interp(places, np.arange(len(total)), column) for column in total.T], 1)
    parts = np.maximum(np.diff(rows, axis=0), 0)
    logs = np.log10(np.maximum(parts, parts.max() * 10 ** (-_RANGE_DB / 10)))
    logs -= logs.mean()
    norm = np.linalg.norm(logs)
    return np.asarray(logs.ravel() / norm, np.float32) if norm > 0 else nothing
