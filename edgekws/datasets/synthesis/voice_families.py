"""Families of espeak-ng's variants: voices that are one voice at another pitch, level or echo.

What a listener knows a voice by is its vocal tract, whose resonances the file of a variant scales
(`formant N FREQUENCY% HEIGHT WIDTH SHIFT_HZ`), and the synthesizer behind it. Formant frequencies
less than 3 % apart are not told apart: Flanagan, "A difference limen for vowel formant frequency",
J. Acoust. Soc. Am. 27, 1955. The Klatt synthesizer (`klatt N`) sounds like itself at any setting.
"""

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

_LIMEN = 0.03
_NEUTRAL_HZ = (500.0, 1500.0, 2500.0)
"""The formants of a neutral vowel in a tract of 17 cm, which the scales are compared on."""

_FORMANT = re.compile(
    r"^\s*formant\s+([123])\s+(-?\d+)(?:\s+-?\d+\s+-?\d+\s+(-?\d+))?", re.MULTILINE
)
_KLATT = re.compile(r"^\s*klatt\s+[1-9]", re.MULTILINE)

Family = tuple[str, ...]


class Timbre(NamedTuple):
    """The first three formants of a neutral vowel in Hz, and whether Klatt's synthesizer speaks."""

    formants_hz: tuple[float, ...]
    klatt: bool

    def like(self, other: "Timbre") -> bool:
        """Return whether two voices pass for one."""
        pairs = zip(self.formants_hz, other.formants_hz, strict=True)
        same_tract = all(abs(a - b) <= _LIMEN * max(a, b) for a, b in pairs)
        return same_tract or (self.klatt and other.klatt)


def timbre(text: str) -> Timbre:
    """Read the file of a variant; a formant that it does not name is that of the accent.

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
    """Return `variants` in families, each sorted: voices that are alike, directly or by others.

    `data` is the folder of espeak-ng's data.
    """
    folder = data / "voices" / "!v"
    timbres = {
        name: timbre((folder / name).read_text(encoding="utf-8", errors="replace"))
        for name in sorted(set(variants))
    }
    found = {name: {name} for name in timbres}
    for a, b in combinations(timbres, 2):
        if found[a] is not found[b] and timbres[a].like(timbres[b]):
            found[a] |= found[b]
            found |= dict.fromkeys(found[b], found[a])
    return tuple(sorted({tuple(sorted(family)) for family in found.values()}))
