"""Make clean synthetic speech more like a recording: room, filter, level, noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

Wave = NDArray[np.float32]

_RT60_S = (0.05, 0.4)
_DIRECT_TO_REVERBERANT_DB = (3.0, 20.0)
_FILTER_DB = 6.0
_FILTER_HZ = (60.0, 200.0, 600.0, 1500.0, 3500.0, 8000.0)
_SPEECH_DBFS = (-32.0, -16.0)
_SNR_DB = (15.0, 45.0)
_PEAK = 0.95
_AUDIBLE = 0.02


def trimmed(wave: Wave) -> Wave:
    """Return `wave` without the parts below 2 % of its peak (-34 dB) at both ends."""
    if not len(wave) or not np.abs(wave).max():
        return wave[:0]
    loud = np.flatnonzero(np.abs(wave) > _AUDIBLE * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def recorded(
    speech: Wave, window_samples: int, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return `speech` as if recorded in a room, int16 `(window_samples,)`.

    Random are the position in the window, a room (exponentially decaying noise, RT60 50 … 400 ms,
    direct sound 3 … 20 dB above it), a filter (±6 dB at six frequencies), the level of the
    speech (-32 … -16 dBFS) and noise between white and brown, 15 … 45 dB below it.
    """
    speech = speech[:window_samples]
    wave = np.zeros(window_samples, np.float64)
    start = int(rng.integers(window_samples - len(speech) + 1))
    wave[start : start + len(speech)] = speech
    wave = _in_room(wave, sample_rate, rng)
    spoken = wave[start : start + len(speech)]
    wave *= 10 ** (rng.uniform(*_SPEECH_DBFS) / 20) / max(_rms(spoken), 1e-9)
    noise_rms = _rms(wave[start : start + len(speech)]) * 10 ** (-rng.uniform(*_SNR_DB) / 20)
    wave += noise_rms * coloured_noise(window_samples, rng.uniform(0, 2), sample_rate, rng)
    return as_int16(wave)


def coloured_noise(
    samples: int, exponent: float, sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return noise of RMS 1 whose power falls with f^-exponent above 50 Hz (1 pink, 2 brown)."""
    size = next_fast_len(samples)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 50.0)
    noise = np.fft.irfft(spectrum * hertz ** (-exponent / 2), size)[:samples]
    return np.asarray(noise / _rms(noise))


def as_int16(wave: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return `wave` as 16-bit samples, attenuated if its peak would clip."""
    peak = float(np.abs(wave).max())
    scale = _PEAK / peak if peak > _PEAK else 1.0
    return np.round(wave * scale * 32767).astype(np.int16)


def _in_room(
    wave: NDArray[np.float64], sample_rate: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    tail = np.arange(int(_RT60_S[1] * sample_rate)) / sample_rate
    response = rng.standard_normal(len(tail)) * 10 ** (-3 * tail / rng.uniform(*_RT60_S))
    response *= 10 ** (-rng.uniform(*_DIRECT_TO_REVERBERANT_DB) / 20) / np.linalg.norm(response)
    response[0] = 1.0
    size = next_fast_len(len(wave) + len(response))
    gain_db = rng.uniform(-_FILTER_DB, _FILTER_DB, len(_FILTER_HZ))
    hertz = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 1.0)
    gain = 10 ** (np.interp(np.log(hertz), np.log(_FILTER_HZ), gain_db) / 20)
    spectrum = np.fft.rfft(wave, size) * np.fft.rfft(response, size) * gain
    return np.asarray(np.fft.irfft(spectrum, size)[: len(wave)])


def _rms(wave: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
