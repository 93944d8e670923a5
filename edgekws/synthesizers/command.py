"""Any program that writes a WAV file, run only if the command line allows it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import soxr
from pydantic import Field, field_validator

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.fields import Fields
from edgekws.core.permission import ALLOW_COMMANDS, may_run_commands
from edgekws.core.scratch import scratch_folder
from edgekws.core.source_code import fingerprint
from edgekws.core.speech import Accents, Cast, Manner, Speaker, Voice
from edgekws.errors import DataError, MissingPartError, UsageError
from edgekws.synthesizers._fields import ALL, Share, Splits
from edgekws.synthesizers.speaking.espeak_ng import Espeak, Wave
from edgekws.synthesizers.speaking.programs import LIMIT_S, identity, located, speech_of

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_MANNER = {"speed": "rate_wpm", "rate_wpm": "rate_wpm", "pitch": "pitch", "seed": "seed"}
_KNOWN = frozenset({"text", "ipa", "output", "voice", *_MANNER})
_SAMPLE_RATE = 24_000


class Synthesizer(Fields):
    """A program of the user, as a list of arguments; no shell reads them.

    Placeholders in the arguments: {text}, {ipa} (phonemes in the IPA), {output} (the WAV file to
    write), {voice}, {speed} (1 is normal), {rate_wpm}, {pitch} (0 … 99), {seed}. Without {text}
    and {ipa} the text is the program's input.
    """

    kind: Literal["command"] = "command"
    share: Share = 1.0
    splits: Splits = ALL
    command: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments, with {text} or {ipa}, {output}, {voice} …"
    )
    language: str = Field(min_length=2, description="espeak-ng's code of the accent: en-us, de, …")
    names: tuple[str, ...] = Field(
        ("voice",), min_length=1, description="Values of {voice}, each a speaker"
    )
    files: tuple[Path, ...] = Field(
        (), description="Files that determine the speech, such as models: speak again if changed"
    )
    limit_s: float = Field(LIMIT_S, gt=0, le=3600, description="Most seconds for one text")

    @field_validator("command")
    @classmethod
    def _placeholders_are_known(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        used = {name for part in command for name in _PLACEHOLDER.findall(part)}
        if unknown := sorted(used - _KNOWN):
            known = ", ".join(f"{{{name}}}" for name in sorted(_KNOWN))
            raise ValueError(f"{{{unknown[0]}}} is no placeholder; known: {known}")
        if "output" not in used:
            raise ValueError("has no {output}, the WAV file that the program is to write")
        if _PLACEHOLDER.search(command[0]):
            raise ValueError("the program itself cannot be a placeholder")
        return command

    @field_validator("names")
    @classmethod
    def _names_are_plain(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not re.fullmatch(r"\w[\w .-]*", name) or names.count(name) > 1:
                raise ValueError(f"{name!r}: a voice has a name of its own, of letters and digits")
        return names

    @property
    def follows(self) -> tuple[str, ...] | None:
        """The fields of `Manner` with a placeholder in the command."""
        used = {_MANNER[name] for name in self._used() if name in _MANNER}
        return tuple(sorted(used))

    def describe(self) -> str:
        """Return the program's file."""
        return str(self._program())

    def fingerprint(self) -> str:
        """Return a hash of the program's file, the fields, the named files and the code."""
        code = fingerprint(__name__, ("espeakng-loader", "numpy", "soundfile", "soxr"))
        fields = self.model_dump(mode="json", exclude={"share", "splits", "files"})
        try:
            files = [sha256_file(path.expanduser()) for path in self.files]
        except OSError as error:
            raise MissingPartError(f"{error.filename}: {error.strerror}; correct files") from error
        return sha256_of([code, identity(self._program()), fields, files])

    def cast(self, accents: Accents, probe: str | None, seed: int) -> Cast:
        """Return a voice for each of the names."""
        if not may_run_commands():
            raise UsageError(
                f"the recipe runs {self.command[0]} to speak; read it, and if you trust it, allow "
                f"it with {ALLOW_COMMANDS} (compress and data synth have it; the clips are cached)"
            )
        identifiers = dict(accents)
        if self.language not in identifiers:
            wanted = ", ".join(identifiers)
            raise DataError(f"command speaks {self.language}, and not {wanted}")
        program = Path(self.command[0]).stem
        used = self._used()
        phonemes = "ipa" in used and "text" not in used
        voices = {}
        for name in self.names:
            variant = f"{program}-{name}"
            voice = Voice(self.language, identifiers[self.language], variant, phonemes)
            voices[variant] = (voice,)
        return Cast(tuple((n,) for n in voices), voices, f"{program}: {len(voices)} voices")

    @contextmanager
    def speaker(self, voice: Voice) -> Iterator[Speaker]:
        """Prepare a folder for the program's output."""
        program = self._program()
        name = voice.variant.removeprefix(f"{Path(self.command[0]).stem}-")
        with Espeak() as espeak, scratch_folder("command") as folder:
            espeak.use(voice.accent)
            yield _Speaker((str(program), *self.command[1:]), name, espeak, folder, self.limit_s)

    def _used(self) -> set[str]:
        return {name for part in self.command for name in _PLACEHOLDER.findall(part)}

    def _program(self) -> Path:
        return located(self.command[0], "install it, or correct the first word of command")


class _Speaker:
    sample_rate = _SAMPLE_RATE

    def __init__(
        self, command: tuple[str, ...], voice: str, espeak: Espeak, folder: Path, limit_s: float
    ) -> None:
        self._command, self._voice, self._espeak = command, voice, espeak
        self._output, self._limit_s = folder / "speech.wav", limit_s

    def say(self, text: str, manner: Manner) -> Wave:
        values = {
            "text": text,
            "ipa": self._espeak.ipa(text),
            "output": str(self._output),
            "voice": self._voice,
            "speed": f"{manner.speed:.4f}",
            "rate_wpm": str(manner.rate_wpm),
            "pitch": str(manner.pitch),
            "seed": str(int(np.random.default_rng(manner.seed).integers(2**31))),
        }
        command = [_PLACEHOLDER.sub(lambda m: values[m[1]], part) for part in self._command]
        samples, rate = speech_of(command, self._output, text, self._limit_s)
        return np.asarray(soxr.resample(samples, rate, _SAMPLE_RATE), np.float32)
