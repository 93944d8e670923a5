"""The variants of espeak-ng that are audible and distinct."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.synthesizers.speaking.espeak_ng import Espeak

_AUDIBLE_RMS = 0.01
_SAME_CORRELATION = 0.95


class Variants(NamedTuple):
    """The variants to use, and those left out by reason."""

    kept: tuple[str, ...]
    inaudible: tuple[str, ...]
    alike: tuple[str, ...]


def every_variant(data: Path) -> Variants:
    """Return all variants under `data`, sorted."""
    folder = data / "voices" / "!v"
    return Variants(tuple(sorted(p.name for p in folder.iterdir() if p.is_file())), (), ())


def distinct_variants(data: Path, accent: str, probe: str) -> Variants:
    """Let every variant under `data` say `probe` and keep the audible and distinct ones.

    Leaves out variants below -40 dBFS, and those with a waveform that correlates above 0.95 with
    one of an alphabetically earlier variant: the same voice under another name.
    """
    names = every_variant(data).kept
    kept: dict[str, NDArray[np.float32]] = {}
    inaudible, alike = [], []
    for name in names:
        with Espeak() as espeak:
            espeak.use(f"{accent}+{name}")
            wave = espeak.say(probe)
        if not len(wave) or float(np.sqrt(np.mean(np.square(wave)))) < _AUDIBLE_RMS:
            inaudible.append(name)
        elif any(correlation(wave, other) > _SAME_CORRELATION for other in kept.values()):
            alike.append(name)
        else:
            kept[name] = wave
    return Variants(tuple(kept), tuple(inaudible), tuple(alike))


def correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the normalised correlation of two waveforms with the same start, in -1 … 1."""
    length = min(len(a), len(b))
    energy = float(np.dot(a, a)) * float(np.dot(b, b))
    return float(np.dot(a[:length], b[:length])) / energy**0.5 if energy else 0.0
