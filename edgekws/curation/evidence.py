"""What findings are drawn from, and how one is written down."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekws.audio.inspection import Sound
from edgekws.core.contract import SILENCE
from edgekws.curation.listing import Inventory, Piece
from edgekws.curation.repeats import Repeat
from edgekws.curation.source import Material

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
EXAMPLES = 8


@dataclass(frozen=True)
class Finding:
    """One thing to fix: `count` of `of` clips (speakers, classes), some by name, and what to do."""

    level: Level
    code: str
    title: str
    count: int
    of: int
    examples: tuple[str, ...]
    advice: str


@dataclass(frozen=True)
class Evidence:
    """What findings are drawn from; `sounds` and `errors` go with the inventory's pieces."""

    material: Material
    inventory: Inventory
    sounds: Sequence[Sound | None]
    errors: Sequence[str]
    repeats: Sequence[Repeat]
    root: Path

    @property
    def pieces(self) -> list[Piece]:
        """The clips."""
        return self.inventory.pieces

    def heard(self) -> Iterator[tuple[Piece, Sound]]:
        """Yield the clips that could be read and are no `_silence_`."""
        for piece, sound in zip(self.pieces, self.sounds, strict=True):
            if sound is not None and piece.label != SILENCE:
                yield piece, sound

    def name(self, piece: Piece) -> str:
        """Return a clip as it is called below the folder of all."""
        return piece.name.removeprefix(f"{self.root}/")


def finding(
    level: Level, code: str, title: str, told: Sequence[str], of: int, advice: str
) -> Finding:
    """Return a finding of as many things as are told, the first of them as examples."""
    return Finding(level, code, title, len(told), of, tuple(told[:EXAMPLES]), advice)
