"""What to record into a folder in the layout of Speech Commands, and what is already there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekws.audio.opening import length_s
from edgekws.datasets.listing.labels import BACKGROUND_NOISE, keyword_problem, misnamed, word_name
from edgekws.errors import UsageError

LEAST_ROOM_S = 0.01
"""A shorter rest of the room is not missing: recordings end at whole samples of either rate."""


@dataclass(frozen=True)
class Prompt:
    """A clip to record: its word, and its number among those of the word, from 1."""

    word: str
    number: int


@dataclass(frozen=True)
class Order:
    """What to record: `per_word` clips of each word by one speaker, and seconds of the room."""

    words: tuple[str, ...]
    output: Path
    per_word: int
    speaker: str
    room_s: float = 0.0

    def __str__(self) -> str:
        """Return the order as words, as in `5 each; 60 s of the room`."""
        room = [f"{self.room_s:.0f} s of the room"] if self.room_s else []
        return "; ".join([f"{self.per_word} each"] * bool(self.words) + room)

    def missing(self) -> Iterator[Prompt]:
        """Yield a prompt for each clip that is not there yet, the words in turn."""
        have = {word: len(self.clips(word)) for word in self.words}
        for number in range(1, self.per_word + 1):
            yield from (Prompt(word, number) for word in self.words if have[word] < number)

    def is_complete(self) -> bool:
        """Return whether all clips, and all of the room, are there."""
        rest_s = self.room_s - self.recorded_room_s()
        return next(self.missing(), None) is None and rest_s < LEAST_ROOM_S

    def clips(self, word: str) -> list[Path]:
        """Return the clips of a word by the speaker."""
        return sorted((self.output / word).glob(f"{self.speaker}_nohash_*.wav"))

    def next_clip(self, word: str) -> Path:
        """Return the first path that is free for a clip of a word."""
        return _free(self.output / word, f"{self.speaker}_nohash_", self.clips(word))

    def room_files(self) -> list[Path]:
        """Return the recordings of the room by the speaker."""
        return sorted((self.output / BACKGROUND_NOISE).glob(f"{self.speaker}_room_*.wav"))

    def next_room_file(self) -> Path:
        """Return the first path that is free for a recording of the room."""
        folder = self.output / BACKGROUND_NOISE
        return _free(folder, f"{self.speaker}_room_", self.room_files())

    def recorded_room_s(self) -> float:
        """Return the seconds of the room that are there.

        Raises:
            DataError: one of the files cannot be read.
        """
        return sum(map(length_s, self.room_files()))


@dataclass(frozen=True)
class Recorded:
    """The result: new clips, clips of every word by this speaker, takes refused, and the room."""

    output: Path
    new: int
    clips: dict[str, int]
    refused: int
    room_s: float

    @property
    def summary(self) -> str:
        """What is there now, as in `yes 5, no 4; 60 s of the room`."""
        counts = ", ".join(f"{word} {count}" for word, count in self.clips.items())
        room = f"{self.room_s:.0f} s of the room" if self.room_s else ""
        return "; ".join(filter(None, [counts, room])) or "nothing"


def checked_order(
    words: tuple[str, ...], output: Path, per_word: int, speaker: str, room_s: float
) -> Order:
    """Return the order, its words composed (NFC).

    Raises:
        UsageError: nothing is ordered, a word cannot be a label or is named twice, or the speaker
            cannot stand in a file name.
    """
    named = tuple(map(word_name, words))
    for word in named:
        problem = keyword_problem(word) or misnamed(word)
        if not problem and ("/" in word or word.startswith((".", "_"))):
            problem = f"{word!r} cannot name a folder; write only what is spoken"
        if problem or named.count(word) > 1:
            raise UsageError(problem or f"{word!r} is named twice")
    if not named and not room_s:
        raise UsageError("name the words to record, or the seconds of the room with --noise")
    if not speaker or not speaker.replace("-", "").isalnum():
        raise UsageError(f"--speaker {speaker}: expected letters and digits, as in anna")
    return Order(named, output, per_word, speaker, room_s)


def _free(folder: Path, beginning: str, present: list[Path]) -> Path:
    names = (f"{beginning}{number}.wav" for number in range(len(present) + 1))
    return next(folder / name for name in names if folder / name not in present)
