"""CMU Flite: small American voices, of diphones and of statistics.

Source: http://cmuflite.org; Black and Lenzo, "Flite: a small fast run-time synthesis engine", 2001.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

from edgekws.core.canonical import sha256_of
from edgekws.core.fields import Fields
from edgekws.core.scratch import scratch_folder
from edgekws.core.source_code import fingerprint
from edgekws.core.speech import Accents, Cast, Manner, Speaker, Voice
from edgekws.errors import DataError
from edgekws.synthesizers._fields import ALL, Share, Splits
from edgekws.synthesizers.speaking.arpabet import phones
from edgekws.synthesizers.speaking.espeak_ng import Espeak, Wave
from edgekws.synthesizers.speaking.programs import identity, located, output_of, speech_of

INSTALL = "apt-get install flite"

_ACCENT = "en-us"
_LIMITED = frozenset({"awb_time", "kal"})
"""A voice for the time of day, and kal16 at half the rate."""

_SAMPLE_RATE = 16_000


class Synthesizer(Fields):
    """Flite, a program of Debian and others. Its voices are awb, kal16, rms and slt."""

    kind: Literal["flite"] = "flite"
    share: Share = 1.0
    splits: Splits = ALL

    follows: ClassVar[tuple[str, ...] | None] = ("rate_wpm",)

    def describe(self) -> str:
        """Return the names of the voices."""
        return f"{', '.join(_names(self._program()))} ({_ACCENT})"

    def fingerprint(self) -> str:
        """Return a hash of the program, its voices and the code."""
        program = self._program()
        code = fingerprint(__name__, ("espeakng-loader", "numpy", "soundfile"))
        return sha256_of([code, identity(program), _names(program)])

    def cast(self, accents: Accents, probe: str | None, seed: int) -> Cast:
        """Return every voice, if American English is asked for."""
        identifiers = dict(accents)
        if _ACCENT not in identifiers:
            raise DataError(f"flite has no voice for {', '.join(identifiers)}; it has {_ACCENT}")
        voices = {
            f"flite-{name}": (Voice(_ACCENT, identifiers[_ACCENT], f"flite-{name}"),)
            for name in _names(self._program())
        }
        return Cast(tuple((n,) for n in voices), voices, f"flite: {len(voices)} voices")

    @contextmanager
    def speaker(self, voice: Voice) -> Iterator[Speaker]:
        """Prepare a folder for the program's output."""
        with Espeak() as espeak, scratch_folder("flite") as folder:
            espeak.use(voice.accent)
            name = voice.variant.removeprefix("flite-")
            yield _Speaker(self._program(), name, espeak, folder)

    def _program(self) -> Path:
        return located("flite", INSTALL)


def _names(program: Path) -> list[str]:
    listed = output_of([str(program), "-lv"]).partition(":")[2].split()
    return sorted(set(listed) - _LIMITED)


class _Speaker:
    sample_rate = _SAMPLE_RATE

    def __init__(self, program: Path, voice: str, espeak: Espeak, folder: Path) -> None:
        self._command = [str(program), "-voice", voice]
        self._espeak, self._output = espeak, folder / "speech.wav"

    def say(self, text: str, manner: Manner) -> Wave:
        slowness = ["--setf", f"duration_stretch={1 / manner.speed:.4f}"]
        said = ["-p", self._phones(text)] if "[[" in text else ["-t", _plain(text)]
        output = ["-o", str(self._output)]
        return speech_of([*self._command, *slowness, *said, *output], self._output).samples

    def _phones(self, text: str) -> str:
        words = re.split(r"[\s,.;:!?]+", self._espeak.ipa(text))
        sounds = [f"{p}1" if stress else p for word in words for p, stress in phones(word)]
        return " ".join(["pau", *sounds, "pau"])


def _plain(text: str) -> str:
    """Return `text` so that it does not start an option."""
    return text.lstrip("-")
