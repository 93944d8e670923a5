"""Festival: diphone and HTS voices of Debian, in English and other languages.

Source: https://www.cstr.ed.ac.uk/projects/festival; Taylor, Black, Caley, "The architecture of the
Festival speech synthesis system", 1998.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import soxr

from edgekws.core.canonical import sha256_of
from edgekws.core.fields import Fields
from edgekws.core.scratch import scratch_folder
from edgekws.core.source_code import fingerprint
from edgekws.core.speech import Accents, Cast, Manner, Speaker, Voice
from edgekws.errors import DataError, MissingPartError
from edgekws.synthesizers._fields import ALL, Share, Splits
from edgekws.synthesizers.speaking.arpabet import phones
from edgekws.synthesizers.speaking.espeak_ng import Espeak, Wave
from edgekws.synthesizers.speaking.programs import identity, located, output_of, speech_of

INSTALL = (
    "apt-get install --no-install-recommends festival festvox-kallpc16k festvox-kdlpc16k "
    "festvox-us-slt-hts"
)

_LANGUAGES = {
    "american": "en-us", "british": "en-gb", "spanish": "es", "catalan": "ca", "czech": "cs",
    "russian": "ru", "finnish": "fi", "hindi": "hi", "telugu": "te", "marathi": "mr",
    "italian": "it",
}  # fmt: skip
"""Accents by the dialect or language that a voice's description names."""

_ENCODINGS = {"es": "iso-8859-1", "ca": "iso-8859-15", "cs": "iso-8859-2", "fi": "iso-8859-1"}
"""Encodings of the text that voices read; the others read UTF-8."""

_LIST = """
(mapcar (lambda (v) (format t "voice %s %l\n" v (cadr (voice.description v)))) (voice.list))
"""
_SPEAK = """
(voice_{voice})
(Parameter.set 'Duration_Stretch {slowness:.4f})
(if (symbol-bound? 'hts_engine_params)
    (set! hts_engine_params (append hts_engine_params '(("-r" {speed:.4f})))))
{words}
(utt.save.wave (utt.synth (Utterance Text "{text}")) "{output}" 'riff)
"""
_VOICE = re.compile(r"^voice (\S+) (.*)$", re.MULTILINE)
_FIELD = re.compile(r"\((dialect|language) (\w+)\)")
_MADE_UP = re.compile(r"\[\[(.*?)\]\]")
_SAMPLE_RATE = 16_000


class Synthesizer(Fields):
    """Festival, with every voice that is installed for it."""

    kind: Literal["festival"] = "festival"
    share: Share = 1.0
    splits: Splits = ALL

    follows: ClassVar[tuple[str, ...] | None] = ("rate_wpm",)

    def describe(self) -> str:
        """Return the names of the voices, with their languages."""
        voices = _voices(self._program())
        return ", ".join(f"{name} ({code})" for name, code in voices.items())

    def fingerprint(self) -> str:
        """Return a hash of the program, its version, the voices and the code."""
        program = self._program()
        code = fingerprint(__name__, ("espeakng-loader", "numpy", "soundfile", "soxr"))
        about = output_of([str(program), "--version"])
        return sha256_of([code, identity(program), about, _voices(program)])

    def cast(self, accents: Accents, probe: str | None, seed: int) -> Cast:
        """Return the voices of these accents."""
        identifiers, installed = dict(accents), _voices(self._program())
        voices = {
            f"festival-{name}": (
                Voice(code, identifiers[code], f"festival-{name}", phonemes=code == "en-us"),
            )
            for name, code in installed.items()
            if code in identifiers
        }
        if not voices:
            speaks = ", ".join(sorted(set(installed.values())))
            raise DataError(f"festival has no voice for {', '.join(identifiers)}; it has {speaks}")
        return Cast(tuple((n,) for n in voices), voices, f"festival: {len(voices)} voices")

    @contextmanager
    def speaker(self, voice: Voice) -> Iterator[Speaker]:
        """Prepare a folder for the program's output."""
        with Espeak() as espeak, scratch_folder("festival") as folder:
            espeak.use(voice.accent)
            yield _Speaker(self._program(), voice, espeak, folder)

    def _program(self) -> Path:
        return located("festival", INSTALL)


@cache
def _voices(program: Path) -> dict[str, str]:
    """Return the accent of each installed voice by its name, sorted.

    Raises:
        MissingPartError: none is installed.
    """
    voices = {}
    for name, description in _VOICE.findall(output_of([str(program), "--pipe"], _LIST)):
        fields = dict(_FIELD.findall(description))
        words = (fields.get("dialect", ""), fields.get("language", ""))
        code = next((_LANGUAGES[w] for w in words if w in _LANGUAGES), None)
        if code is not None:
            voices[name] = code
    if not voices:
        raise MissingPartError(f"festival: no voice is installed; {INSTALL}")
    return dict(sorted(voices.items()))


class _Speaker:
    sample_rate = _SAMPLE_RATE

    def __init__(self, program: Path, voice: Voice, espeak: Espeak, folder: Path) -> None:
        self._command = [str(program), "-b", str(folder / "say.scm")]
        self._voice = voice.variant.removeprefix("festival-")
        self._encoding = _ENCODINGS.get(voice.code, "utf-8")
        self._espeak, self._folder = espeak, folder

    def say(self, text: str, manner: Manner) -> Wave:
        output, words = self._folder / "speech.wav", dict[str, str]()
        plain = _MADE_UP.sub(lambda match: self._word(match[0], words), text)
        script = _SPEAK.format(
            voice=self._voice,
            slowness=1 / manner.speed,
            speed=manner.speed,
            words="\n".join(words.values()),
            text=_quoted(plain),
            output=_quoted(str(output)),
        )
        (self._folder / "say.scm").write_bytes(script.encode(self._encoding, "replace"))
        samples, rate = speech_of(self._command, output)
        return np.asarray(soxr.resample(samples, rate, _SAMPLE_RATE), np.float32)

    def _word(self, text: str, words: dict[str, str]) -> str:
        """Add the phonemes of a made-up word to the lexicon, and return its spelling there."""
        name = f"edgekws{'abcdefghijklmnopqrstuvwxyz'[len(words) % 26] * (len(words) // 26 + 1)}"
        sounds = list(phones(self._espeak.ipa(text)))
        syllable = " ".join(phone for phone, _ in sounds)
        words[name] = f'(lex.add.entry \'("{name}" nil ((({syllable}) 1))))'
        return name


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
