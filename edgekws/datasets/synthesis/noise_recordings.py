"""Generate noise for a synthetic dataset: white, pink, brown, mains hum and babble."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.datasets.synthesis.rendering import write
from edgekws.datasets.synthesis.room import as_int16, coloured_noise

COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
_LEVEL_DBFS = (-45.0, -15.0)
_LEVEL_EVERY_S = 2.0
_TALKERS = 6
_HARMONICS = 12


def make_noise(
    folder: Path, speech: Sequence[Path], seconds: int, sample_rate: int, key: Sequence[int]
) -> tuple[str, ...]:
    """Write five recordings of `seconds` into `folder` and return their names.

    Babble is six simultaneous talkers from the clips `speech`, which hold no keyword. Levels vary
    between -45 and -15 dBFS, with a new one every two seconds. All draws are seeded by `key`.
    """
    rng = np.random.default_rng(list(key))
    samples = seconds * sample_rate
    waves = {
        name: coloured_noise(samples, exponent, sample_rate, rng)
        for name, exponent in COLOURS.items()
    }
    waves["hum"] = _hum(samples, sample_rate, rng)
    waves["babble"] = _babble(samples, speech, rng)
    for name, wave in waves.items():
        varying = wave * _level(samples, sample_rate, rng)
        write(folder / f"{name}.flac", as_int16(varying), sample_rate)
    return tuple(f"{name}.flac" for name in waves)


def _hum(samples: int, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    seconds = np.arange(samples) / sample_rate
    mains_hz = float(rng.choice([50.0, 60.0])) * rng.uniform(0.995, 1.005)
    hum = np.zeros(samples)
    for k in range(1, _HARMONICS + 1):
        phase = rng.uniform(0, 2 * np.pi)
        hum += rng.uniform(0.2, 1) / k * np.sin(2 * np.pi * k * mains_hz * seconds + phase)
    hum += 0.1 * coloured_noise(samples, 1.0, sample_rate, rng)
    return np.asarray(hum / np.sqrt(np.mean(np.square(hum))))


def _babble(samples: int, speech: Sequence[Path], rng: np.random.Generator) -> NDArray[np.float64]:
    babble = np.zeros(samples)
    for _ in range(_TALKERS):
        place = 0
        while place < samples:
            word, _rate = soundfile.read(os.fsencode(speech[int(rng.integers(len(speech)))]))
            word = word[: samples - place] / max(float(np.std(word)), 1e-6)
            babble[place : place + len(word)] += word
            place += max(len(word), 1)
    return np.asarray(babble / np.sqrt(np.mean(np.square(babble))))


def _level(samples: int, sample_rate: int, rng: np.random.Generator) -> NDArray[np.float64]:
    points = int(samples / sample_rate / _LEVEL_EVERY_S) + 2
    places = np.arange(points) * _LEVEL_EVERY_S * sample_rate
    dbfs = np.interp(np.arange(samples), places, rng.uniform(*_LEVEL_DBFS, points))
    return np.asarray(10 ** (dbfs / 20))
