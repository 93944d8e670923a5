"""The vocabulary of synthetic speech: voices, and how they speak."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NORMAL_WPM = 170
"""The words per minute of a voice at its own speed."""

Accents = tuple[tuple[str, str], ...]
"""espeak-ng's code and identifier of each accent of a language: `(("en-us", "gmw/en-US"),)`."""


class Voice(NamedTuple):
    """An accent (`en-us`, in espeak-ng `gmw/en-US`) and the name of a timbre in it (`f1`).

    `phonemes` is whether it speaks text with phonemes in it: `the [[l|'aI|t]] is on`.
    """

    code: str
    accent: str
    variant: str
    phonemes: bool = True

    @property
    def name(self) -> str:
        """The speaker's name, `en-us+f1`."""
        return f"{self.code}+{self.variant}"


class Manner(NamedTuple):
    """How a text is spoken; an engine follows what it can.

    `rate_wpm` is in words per minute (170 is normal), `pitch` and `lively` (the pitch range) are
    0 … 99 (50 is normal), `seed` is for engines that draw random numbers.
    """

    rate_wpm: int = NORMAL_WPM
    pitch: int = 50
    lively: int = 50
    seed: tuple[int, ...] = (0,)

    @property
    def speed(self) -> float:
        """The rate as a multiple of the voice's own."""
        return self.rate_wpm / NORMAL_WPM


class Cast(NamedTuple):
    """The voices of an engine for one language.

    Timbres of one of the `families` sound alike, so a family is in one split only. `voices` has
    each timbre in every accent that it speaks. `note` says what is there and what was left out.
    """

    families: tuple[tuple[str, ...], ...]
    voices: Mapping[str, tuple[Voice, ...]]
    note: str


class Speaker(Protocol):
    """A voice, ready to speak."""

    @property
    def sample_rate(self) -> int:
        """The sample rate of its speech in Hz."""

    def say(self, text: str, manner: Manner) -> "NDArray[np.float32]":
        """Return `text` as `(samples,)` in -1 … 1; `[[…]]` encloses espeak-ng's phonemes."""
