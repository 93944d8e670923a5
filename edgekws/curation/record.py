"""Record words, one clip at a time, into a folder in the layout of Speech Commands."""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from edgekws.audio.decoding import to_int16
from edgekws.audio.takes import Word, cut, fault, find_words, level_dbfs
from edgekws.core.canonical import sha256_file
from edgekws.core.events import Emit, Event
from edgekws.core.output import write_bytes
from edgekws.curation.record_order import Order, Prompt, Recorded
from edgekws.errors import DataError

SAMPLE_RATE = 16_000
"""Of the clips, in Hz."""

LEAD_S = 1.0
"""Time between a prompt and the moment to speak."""

SPEAK_S = 3.0
"""Time to speak."""

TRAIL_S = 0.4
"""Quiet after a word that ends a take; the take before lends the next one as much."""

OVERTIME_S = 2.0
"""What a word that has begun in time may take."""

MOST_REFUSED = 10
"""Takes refused in a row that end the recording."""

ROOM_PIECE_S = 10.0
"""Length of a file of the room."""

_LOOK_S = 0.1

Blocks = Iterator[NDArray[np.float32]]


@dataclass(frozen=True)
class Source:
    """What is recorded from: mono blocks in [-1, 1] at a rate in Hz, from a microphone or a file.

    A microphone `prompts`: it records when a word is asked for. `name` stands in messages.
    """

    name: str
    sample_rate: int
    blocks: Blocks
    prompts: bool


@dataclass(frozen=True)
class Moment:
    """What a person sees while recording: the prompt, the seconds left, and the level.

    `text` is the word, or what is recorded; `speaking` is whether it is time to speak.
    """

    text: str
    number: int
    of: int
    speaking: bool
    left_s: float
    level_dbfs: float


Watch = Callable[[Moment], None]


def record(order: Order, sources: Iterable[Source], watch: Watch, emit: Emit) -> Recorded:
    """Record what is missing, each clip written once it is good; the words take turns.

    A take is refused if nothing is heard in it, or the word is clipped, cut off, too quiet, too
    long or not louder than the room; the reason is emitted, and the word is asked for again. The
    next of the `sources` begins where one ends.

    Raises:
        DataError: the sources ended before everything was recorded, `MOST_REFUSED` takes in a row
            were refused, or a recording of the room that is there cannot be read.
        MachineError: a clip cannot be written.
    """
    new = refused = 0
    name = "nothing"
    for source in sources:
        session, name = _Session(order, source, watch, emit), source.name
        for prompt in order.missing():
            if not session.record(prompt):
                break
            new += 1
        else:
            session.record_room()
        refused += session.refused
        if order.is_complete():
            break
    clips = {word: len(order.clips(word)) for word in order.words}
    result = Recorded(order.output, new, clips, refused, order.recorded_room_s())
    if not order.is_complete():
        raise DataError(
            f"{name} ended with {refused} takes refused and {new} clips written; there are now "
            f"{result.summary}, and {order} were asked for: record more, and run again"
        )
    return result


class _Session:
    """Takes from one source; `refused` counts those that were not good."""

    def __init__(self, order: Order, source: Source, watch: Watch, emit: Emit) -> None:
        self._order, self._source, self._watch, self._emit = order, source, watch, emit
        self._rate = source.sample_rate
        self._carried = np.zeros(0, np.float32)
        self.refused = 0

    def record(self, prompt: Prompt) -> bool:
        """Record takes until one is good, and write it; return false if the source ends."""
        in_a_row = 0
        while (take := self._take(prompt)) is not None:
            words = find_words(take, self._rate)
            if not words and not self._source.prompts:
                continue  # a pause in a file
            word = max(words, key=lambda w: w.above_room_db, default=None)
            reason = fault(take, word, self._rate) if word else "nothing was heard"
            if word and reason is None:
                if self._write(prompt, take, word):
                    return True
                continue
            self.refused, in_a_row = self.refused + 1, in_a_row + 1
            if self._source.prompts and in_a_row == MOST_REFUSED:
                raise DataError(
                    f"{in_a_row} takes in a row were refused, the last because {reason}; check the "
                    "input level and --device, and run again"
                )
            self._emit(Event("warning", f"{prompt.word} again: {reason}"))
        return False

    def record_room(self) -> None:
        """Record what is missing of the room, in pieces, until the source ends."""
        total = round(self._order.room_s * self._rate)
        done = round(self._order.recorded_room_s() * self._rate)
        piece: list[NDArray[np.float32]] = []
        try:
            while done < total and (block := next(self._source.blocks, None)) is not None:
                piece.append(block[: total - done])
                done += len(piece[-1])
                self._show("the room: be quiet", 1, 1, (total - done) / self._rate, block)
                if sum(map(len, piece)) >= ROOM_PIECE_S * self._rate:
                    self._write_room(np.concatenate(piece))
                    piece = []
        finally:
            if piece:
                self._write_room(np.concatenate(piece))

    def _take(self, prompt: Prompt) -> NDArray[np.float32] | None:
        """Return the samples around the next word, or of the time to speak; `None` at the end.

        A take ends with the quiet after a word, and lends its last part to the next one.
        """
        lead_s = LEAD_S if self._source.prompts else 0.0
        take, looked = self._carried, 0
        for block in self._source.blocks:
            take = np.concatenate([take, block])
            passed_s = (len(take) - len(self._carried)) / self._rate
            left_s = lead_s + SPEAK_S - passed_s
            self._show(
                prompt.word, prompt.number, self._order.per_word, left_s, block, passed_s >= lead_s
            )
            if len(take) - looked >= _LOOK_S * self._rate:
                looked = len(take)
                if self._is_over(take, left_s):
                    break
        else:
            self._carried = np.zeros(0, np.float32)
            return take if find_words(take, self._rate) else None
        self._carried = take[-round(TRAIL_S * self._rate) :]
        return take

    def _is_over(self, take: NDArray[np.float32], left_s: float) -> bool:
        """Return whether a word is over, or the time is up and no word is being spoken."""
        words = find_words(take, self._rate)
        quiet_s = (len(take) - words[-1].end) / self._rate if words else left_s
        if words and quiet_s >= TRAIL_S:
            return True
        return left_s <= 0 and (not words or left_s <= -OVERTIME_S)

    def _show(
        self,
        text: str,
        number: int,
        of: int,
        left_s: float,
        block: NDArray[np.float32],
        speaking: bool = True,
    ) -> None:
        """Show a prompt; nobody is prompted by a file."""
        if not self._source.prompts:
            return
        left_s = max(0.0, left_s if speaking else left_s - SPEAK_S)
        self._watch(Moment(text, number, of, speaking, left_s, level_dbfs(block)))

    def _write(self, prompt: Prompt, take: NDArray[np.float32], word: Word) -> bool:
        """Write a clip under the next free number; return false if it is there already."""
        clip = _encoded(cut(take, word, self._rate), self._rate)
        present = self._order.clips(prompt.word)
        if hashlib.sha256(clip).hexdigest() in map(sha256_file, present):
            return False
        path = self._order.next_clip(prompt.word)
        write_bytes(path, clip)
        text = f"{prompt.word} {prompt.number} of {self._order.per_word} in {path}"
        self._emit(Event("note", text))
        return True

    def _write_room(self, wave: NDArray[np.float32]) -> None:
        write_bytes(self._order.next_room_file(), _encoded(wave, self._rate))


def _encoded(wave: NDArray[np.float32], sample_rate: int) -> bytes:
    """Return a WAV file of 16 bit at `SAMPLE_RATE`."""
    if sample_rate != SAMPLE_RATE:
        wave = soxr.resample(wave, sample_rate, SAMPLE_RATE)
    file = io.BytesIO()
    soundfile.write(file, to_int16(np.clip(wave, -1, 1)), SAMPLE_RATE, "PCM_16", format="WAV")
    return file.getvalue()
