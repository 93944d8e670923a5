"""The audio around detected keywords, as files: to be heard, or used as negatives."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.core.table import csv_text
from edgekws.errors import UsageError, writing
from edgekws.runtime.detect import Event

BEFORE_S, AFTER_S = 1.0, 0.5
"""Audio that is kept before the start and after the end of a keyword."""

_KEPT_S = 20.0
"""How far back an event may start: longer than any keyword and its report take."""

_LONGEST_NAME = 25
"""Characters of a source and of a keyword in the name of a file."""

OTHER = "name another folder with --save-events"
TABLE = "events.csv"
_COLUMNS = ("file", "source", "keyword", "start_s", "end_s", "score")

Block = NDArray[np.float32]


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not empty.

    Raises:
        UsageError: it is not, or is no folder.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder}: is not empty; name a new folder with --save-events")


class EventAudio:
    """Writes a WAV file for each event of a stream, and a table of them.

    A name holds a number, the source, the start, the keyword and the score.
    """

    def __init__(self, folder: Path, sample_rate: int) -> None:
        """Create the folder.

        Raises:
            UsageError: it is not empty.
            MachineError: it cannot be written.
        """
        check_folder(folder)
        self._folder, self._rate = folder, sample_rate
        self._rows: list[tuple[object, ...]] = []
        with writing(folder, OTHER):
            folder.mkdir(parents=True, exist_ok=True)
        self._begin()

    def _begin(self) -> None:
        self._recent: deque[Block] = deque()
        self._first = self._end = 0
        self._waiting: list[tuple[str, Event]] = []

    def through(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the blocks of a stream, keeping the latest."""
        for block in blocks:
            self._recent.append(block)
            self._end += len(block)
            self._write_complete()
            while self._end - self._first - len(self._recent[0]) > _KEPT_S * self._rate:
                self._first += len(self._recent.popleft())
            yield block

    def add(self, name: str, event: Event) -> None:
        """Write an event of the stream `name` once the audio after it is there."""
        self._waiting.append((name, event))
        self._write_complete()

    def end(self) -> None:
        """Write the events that wait for audio after the end of the stream."""
        self._write_complete(ended=True)
        self._begin()

    def _write_complete(self, *, ended: bool = False) -> None:
        waiting = self._waiting
        self._waiting = []
        for name, event in waiting:
            if ended or (event.end_s + AFTER_S) * self._rate <= self._end:
                self._write(name, event)
            else:
                self._waiting.append((name, event))

    def _write(self, name: str, event: Event) -> None:
        start = max(round((event.start_s - BEFORE_S) * self._rate), self._first)
        end = min(round((event.end_s + AFTER_S) * self._rate), self._end)
        audio = np.concatenate([*self._recent])[start - self._first : end - self._first]
        source = Path(name).stem[:_LONGEST_NAME]
        place = f"{event.start_s:.2f}s_{event.keyword[:_LONGEST_NAME]}_{event.score:.2f}"
        stem = f"{len(self._rows):05d}_{source}_{place}".replace("/", "_")
        path = self._folder / f"{stem}.wav"
        partial = path.with_suffix(".partial")
        row = (path.name, name, event.keyword, f"{event.start_s:.3f}", f"{event.end_s:.3f}")
        self._rows.append((*row, f"{event.score:.4f}"))
        with writing(path, OTHER):
            soundfile.write(partial, audio, self._rate, subtype="PCM_16", format="WAV")
            partial.rename(path)
            table = self._folder / TABLE
            table.with_suffix(".partial").write_text(
                csv_text([_COLUMNS, *self._rows]), encoding="utf-8"
            )
            table.with_suffix(".partial").rename(table)
