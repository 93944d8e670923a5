"""The voices of synthetic speech: audible and distinct variants.

A voice is an accent spoken by a variant (`en-us+f1`). The variant determines the timbre, so
families of variants are split: no timbre of train occurs in dev or test.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import Split
from edgekws.datasets.listing.speakers import ranked, share_of
from edgekws.datasets.synthesis.espeak import Espeak
from edgekws.datasets.synthesis.voice_families import Family
from edgekws.errors import DataError

_AUDIBLE_RMS = 0.01
_SAME_CORRELATION = 0.95
_LEAST_FAMILIES = 3
DEV_SHARE = TEST_SHARE = 0.15


class Voice(NamedTuple):
    """An accent (`en-us`, in espeak-ng `gmw/en-US`) and a variant (`f1`)."""

    code: str
    accent: str
    variant: str

    @property
    def name(self) -> str:
        """The speaker's name, `en-us+f1`."""
        return f"{self.code}+{self.variant}"

    @property
    def identifier(self) -> str:
        """espeak-ng's name of the voice."""
        return f"{self.accent}+{self.variant}"


class Variants(NamedTuple):
    """The variants to use, and those left out by reason."""

    kept: tuple[str, ...]
    inaudible: tuple[str, ...]
    alike: tuple[str, ...]


def distinct_variants(data: Path, accent: str, probe: str) -> Variants:
    """Let every variant under `data` say `probe` and keep the audible and distinct ones.

    Leaves out variants below -40 dBFS, and those with a waveform that correlates above 0.95 with
    one of an alphabetically earlier variant: the same voice under another name.
    """
    names = sorted(path.name for path in (data / "voices" / "!v").iterdir() if path.is_file())
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


def voices_per_split(
    accents: tuple[tuple[str, str], ...], families: Sequence[Family], seed: int
) -> dict[Split, list[Voice]]:
    """Give each split its own families (70, 15, 15 % of the variants), in every accent.

    The largest family is always in train: it may hold more than half of the variants.

    Raises:
        DataError: there are too few families for three splits.
    """
    if len(families) < _LEAST_FAMILIES:
        count = sum(map(len, families))
        raise DataError(
            f"only {count} of espeak-ng's variants, in {len(families)} families of similar voices, "
            "speak the first keyword audibly; 3 families are needed, choose another keyword or "
            "language"
        )
    count = sum(map(len, families))
    pool = sorted(families, key=len)[:-1]
    test = _drawn(pool, share_of(count, TEST_SHARE), ["test", seed], leave=1)
    pool = [family for family in pool if family not in test]
    dev = _drawn(pool, share_of(count, DEV_SHARE), ["dev", seed])
    train = [family for family in families if family not in test + dev]
    groups: dict[Split, list[Family]] = {"train": train, "dev": dev, "test": test}
    return {
        split: [Voice(code, accent, v) for v in sorted(chain(*group)) for code, accent in accents]
        for split, group in groups.items()
    }


def _drawn(families: Sequence[Family], most: int, salt: object, leave: int = 0) -> list[Family]:
    """Draw at least one family and at most `most` variants; `leave` some families undrawn."""
    by_name = {family[0]: family for family in families}
    order = ranked(by_name, salt)
    drawn = [by_name[order[0]]]
    for name in order[1 : len(order) - leave]:
        if sum(map(len, drawn)) + len(by_name[name]) <= most:
            drawn.append(by_name[name])
    return drawn
