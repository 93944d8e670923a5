"""Findings about a dataset, and the evidence for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekws.audio.inspection import Sound
from edgekws.core.contract import SILENCE
from edgekws.curation.listing import Inventory, Piece
from edgekws.curation.repeats import Repeat
from edgekws.curation.source import DataSource

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
EXAMPLES = 8


@dataclass(frozen=True)
class Finding:
    """A problem with `count` of `of` clips (speakers, classes), with examples and advice."""

    level: Level
    code: str
    title: str
    count: int
    of: int
    examples: tuple[str, ...]
    advice: str


@dataclass(frozen=True)
class Evidence:
    """The basis of findings; `sounds` and `errors` are parallel to the inventory's pieces."""

    source: DataSource
    inventory: Inventory
    sounds: Sequence[Sound | None]
    errors: Sequence[str]
    repeats: Sequence[Repeat]
    root: Path

    @property
    def pieces(self) -> list[Piece]:
        """The clips."""
        return self.inventory.pieces

    def readable(self) -> Iterator[tuple[Piece, Sound]]:
        """Yield the readable clips other than `_silence_`."""
        for piece, sound in zip(self.pieces, self.sounds, strict=True):
            if sound is not None and piece.label != SILENCE:
                yield piece, sound

    def name(self, piece: Piece) -> str:
        """Return the name of a clip relative to the common folder."""
        return piece.name.removeprefix(f"{self.root}/")


def finding(
    level: Level, code: str, title: str, items: Sequence[str], of: int, advice: str
) -> Finding:
    """Return a finding about `items`, with the first of them as examples."""
    return Finding(level, code, title, len(items), of, tuple(items[:EXAMPLES]), advice)
