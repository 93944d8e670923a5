"""Families of espeak-ng's variants: the same voice at another pitch, level or echo.

A listener recognises a voice by its vocal tract, with resonances that the file of a variant scales
(`formant N FREQUENCY% HEIGHT WIDTH SHIFT_HZ`), and by its synthesizer. Formant frequencies less
than 3 % apart are indistinguishable: Flanagan, "A difference limen for vowel formant frequency",
J. Acoust. Soc. Am. 27, 1955. The Klatt synthesizer (`klatt N`) sounds similar at any setting.
"""

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

_LIMEN = 0.03
_NEUTRAL_HZ = (500.0, 1500.0, 2500.0)
"""The formants of a neutral vowel in a vocal tract of 17 cm, on which scales are compared."""

_FORMANT = re.compile(
    r"^\s*formant\s+([123])\s+(-?\d+)(?:\s+-?\d+\s+-?\d+\s+(-?\d+))?", re.MULTILINE
)
_KLATT = re.compile(r"^\s*klatt\s+[1-9]", re.MULTILINE)

Family = tuple[str, ...]


class Timbre(NamedTuple):
    """The first three formants of a neutral vowel in Hz, and whether the synthesizer is Klatt's."""

    formants_hz: tuple[float, ...]
    klatt: bool

    def like(self, other: "Timbre") -> bool:
        """Return whether two voices are indistinguishable."""
        pairs = zip(self.formants_hz, other.formants_hz, strict=True)
        same_tract = all(abs(a - b) <= _LIMEN * max(a, b) for a, b in pairs)
        return same_tract or (self.klatt and other.klatt)


def timbre(text: str) -> Timbre:
    """Parse the file of a variant; formants that it omits are those of the accent.

    >>> timbre("formant 2  90 100 100 150").formants_hz
    (500.0, 1500.0, 2500.0)
    >>> timbre("klatt 4").klatt
    True
    """
    formants_hz = list(_NEUTRAL_HZ)
    for number, percent, shift_hz in _FORMANT.findall(text):
        place = int(number) - 1
        formants_hz[place] = _NEUTRAL_HZ[place] * int(percent) / 100 + int(shift_hz or 0)
    return Timbre(tuple(formants_hz), bool(_KLATT.search(text)))


def families(data: Path, variants: Iterable[str]) -> tuple[Family, ...]:
    """Return `variants` in sorted families: voices that are alike, directly or through others.

    `data` is the folder of espeak-ng's data.
    """
    folder = data / "voices" / "!v"
    timbres = {
        name: timbre((folder / name).read_text(encoding="utf-8", errors="replace"))
        for name in sorted(set(variants))
    }
    family_of = {name: {name} for name in timbres}
    for a, b in combinations(timbres, 2):
        if family_of[a] is not family_of[b] and timbres[a].like(timbres[b]):
            family_of[a] |= family_of[b]
            family_of |= dict.fromkeys(family_of[b], family_of[a])
    return tuple(sorted({tuple(sorted(family)) for family in family_of.values()}))
