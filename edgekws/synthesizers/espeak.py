"""espeak-ng: formant synthesis in over 100 languages and accents, and as many variants."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from typing import Literal

from edgekws.core.fields import Fields
from edgekws.core.source_code import fingerprint
from edgekws.core.speech import Accents, Cast, Manner, Speaker, Voice
from edgekws.errors import MissingPartError
from edgekws.synthesizers._fields import ALL, Share, Splits
from edgekws.synthesizers.speaking.espeak_ng import INSTALL, Espeak, Wave
from edgekws.synthesizers.speaking.variants import distinct_variants, every_variant
from edgekws.synthesizers.speaking.voice_families import families


class Synthesizer(Fields):
    """espeak-ng, installed with edgekws.

    A voice is an accent and a variant, `en-us+f1`. Variants that sound alike are a family.
    """

    kind: Literal["espeak"] = "espeak"
    share: Share = 1.0
    splits: Splits = ALL

    @property
    def follows(self) -> tuple[str, ...] | None:
        """`None`: breath noise and phases depend on what the voice said before."""
        return None

    def describe(self) -> str:
        """Return its numbers of accents and variants."""
        with Espeak() as espeak:
            accents = espeak.accents()
            variants = list((espeak.data / "voices" / "!v").iterdir())
        return f"{len(accents)} languages and accents, {len(variants)} variants"

    def fingerprint(self) -> str:
        """Return a hash of the library's version and the code here."""
        try:
            return fingerprint(__name__, ("espeakng-loader", "numpy"))
        except PackageNotFoundError as error:
            raise MissingPartError(f"{error.name} is not installed; {INSTALL}") from error

    def cast(self, accents: Accents, probe: str | None, seed: int) -> Cast:
        """Return the audible and distinct variants in every accent; without `probe`, all."""
        with Espeak() as espeak:
            data = espeak.data
        if probe is None:
            variants = every_variant(data)
        else:
            variants = distinct_variants(data, accents[0][1], probe)
        alike = families(data, variants.kept)
        voices = {v: tuple(Voice(code, a, v) for code, a in accents) for v in variants.kept}
        largest = max(map(len, alike), default=0)
        note = (
            f"variants: {len(variants.kept)} kept, in {len(alike)} families, the "
            f"largest of {largest} (always of train); left out: "
            f"{len(variants.alike)} alike, {len(variants.inaudible)} inaudible"
        )
        return Cast(alike, voices, note)

    @contextmanager
    def speaker(self, voice: Voice) -> Iterator[Speaker]:
        """Load a copy of the library with this voice."""
        with Espeak() as espeak:
            espeak.use(f"{voice.accent}+{voice.variant}")
            yield _Speaker(espeak)


class _Speaker:
    def __init__(self, espeak: Espeak) -> None:
        self._espeak = espeak
        self.sample_rate = espeak.sample_rate

    def say(self, text: str, manner: Manner) -> Wave:
        return self._espeak.say(text, manner.rate_wpm, manner.pitch, manner.lively)
