"""Streams of the data's own recordings, with their keywords at the times of its table."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.decoding import to_int16
from edgekws.audio.opening import length_s
from edgekws.audio.reading import read_blocks
from edgekws.core.corpus import Clip, Listing, Split
from edgekws.spotting.labelled_audio import Label, Labelled

LONGEST_S = 4 * 3600.0
"""Most audio to use from a split."""

PIECE_S = 600.0
"""Speech without a keyword is read in pieces of this length: a recording may last for hours."""

Recorded = tuple[Labelled, NDArray[np.int16]]


@dataclass(frozen=True)
class Streams:
    """Recordings generated on demand, their approximate total length, and notes.

    `clips` is the number of keyword clips that are inserted if there is room.
    """

    recordings: Iterable[Recorded]
    total_s: float
    of: str
    notes: tuple[str, ...] = ()
    clips: int = 0


class _Part(NamedTuple):
    """A recording with its rows, or the part of one that holds no keyword."""

    path: Path
    rows: Sequence[Clip]
    start_s: float = 0.0
    end_s: float | None = None

    @property
    def length_s(self) -> float:
        return (length_s(self.path) if self.end_s is None else self.end_s) - self.start_s


def own_recordings(
    listing: Listing, split: Split, keywords: frozenset[str], sample_rate: int
) -> Streams | None:
    """Return the split's recordings with known keyword times, then those without a keyword.

    A recording with rows in another split, too, is left out: somebody of that split speaks in it.
    `None` if no keyword has an end.
    """
    rows = [clip for clip in listing.recordings if clip.split == split]
    if not any(clip.end_s is not None and clip.label in keywords for clip in rows):
        return None
    parts, shared = _parts(listing, split, keywords)
    chosen, total_s = [], 0.0
    for part in parts:
        if total_s < LONGEST_S:
            chosen.append(part)
            total_s += part.length_s
    notes = []
    if len(chosen) < len(parts):
        skipped = len(parts) - len(chosen)
        notes.append(
            f"{split}: {skipped} recordings are not listened to, {LONGEST_S / 3600:g} hours are"
        )
    if shared:
        notes.append(
            f"{split}: {shared} recordings are not listened to, because they have rows of another "
            "split as well"
        )
    of = "of the data's own recordings"
    return Streams(_read(chosen, keywords, sample_rate), total_s, of, tuple(notes))


def _parts(listing: Listing, split: Split, keywords: Collection[str]) -> tuple[list[_Part], int]:
    """Return what to listen to, and how many recordings are left out."""
    by_file: dict[Path, list[Clip]] = defaultdict(list)
    for clip in listing.recordings:
        by_file[clip.path].append(clip)
    said = {path for path in by_file if any(c.label in keywords for c in by_file[path])}
    free = [clip for clip in listing.negatives if clip.path not in said]
    in_parts = {clip.path for clip in free}
    whole, shared = [], 0
    for path in sorted(by_file, key=lambda path: path not in said):
        splits = {clip.split for clip in by_file[path]}
        if split in splits and path not in in_parts:
            shared += len(splits) > 1
            whole += [_Part(path, by_file[path])] if splits == {split} else []
    own = [piece for clip in free if clip.split == split for piece in _pieces(clip)]
    return [*whole, *own], shared


def _pieces(clip: Clip) -> Iterator[_Part]:
    end_s = length_s(clip.path) if clip.end_s is None else clip.end_s
    for start_s in np.arange(clip.start_s, end_s, PIECE_S).tolist():
        yield _Part(clip.path, [clip], start_s, min(start_s + PIECE_S, end_s))


def _read(
    parts: Sequence[_Part], keywords: Collection[str], sample_rate: int
) -> Iterator[Recorded]:
    for path, rows, start_s, end_s in parts:
        labels = tuple(Label(c.label, c.start_s, c.end_s) for c in rows if c.label in keywords)
        blocks = read_blocks(path, sample_rate, start_s=start_s, end_s=end_s)
        samples = [to_int16(block) for block in blocks]
        speakers = sorted({c.speaker for c in rows if c.speaker})
        recording = Labelled(path, labels, speaker=" & ".join(speakers))
        yield recording, np.concatenate([np.zeros(0, np.int16), *samples])
