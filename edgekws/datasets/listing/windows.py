"""Cut windows out of longer recordings, around keywords and between them."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from pydantic import Field

from edgekws.audio.opening import length_s
from edgekws.core.canonical import sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip
from edgekws.core.fields import Fields
from edgekws.errors import DataError

PART = (0.25, 0.5)
"""Smallest and largest share of a keyword in a `partial` window."""

_DESCRIPTIONS = {
    "word": "with a whole word",
    "file": "that are a whole, shorter file",
    "part": "with part of a keyword",
    "free": "without a keyword",
    "short": "recordings without a keyword left out, they are shorter",
}

_ROUNDING = 1e-6
"""Milliseconds by which a position may miss the grid: times are decimal, floats are binary."""


class Windows(Fields):
    """How windows are cut out of recordings with known positions of keywords.

    A shorter file is used as a whole. Positions are drawn by a hash of seed, file and row in train,
    and of file and row only in dev and test, so that other seeds are evaluated on the same windows
    of a speaker.
    """

    per_keyword: int = Field(
        4,
        ge=1,
        le=100,
        description="windows with the whole keyword, spread over its possible positions",
    )
    partial: int = Field(
        1,
        ge=0,
        le=100,
        description="windows with the first or last quarter to half of the keyword, as _unknown_",
    )
    per_negative_second: float = Field(
        0.5,
        ge=0,
        le=100,
        description="windows per second without a keyword, as _unknown_: from the same "
        "recordings, from dataset.negatives and from dataset.spoken",
    )

    @property
    def gives_unknown(self) -> bool:
        """Return whether windows of `_unknown_` are cut."""
        return bool(self.partial or self.per_negative_second)


class Cut(NamedTuple):
    """The result of cutting.

    `clips` are the windows, and rows without times unchanged; `free` the parts of recordings
    without a keyword that are at least a window long; `too_long` the keywords that fit in no
    window; `counts` the number of windows by the keys of `_DESCRIPTIONS`.
    """

    clips: list[Clip]
    free: Sequence[Clip] = ()
    too_long: Sequence[Clip] = ()
    counts: Mapping[str, int] = MappingProxyType({})


def cut_windows(
    words: Sequence[Clip],
    negatives: Sequence[Clip],
    windows: Windows,
    window_s: float,
    keywords: Collection[str],
    seed: int,
) -> Cut:
    """Cut `words`, rows with the positions of words, and `negatives`, recordings or parts of them.

    Parts that no row of `keywords` covers are assumed to contain none.
    """
    cutter = _Cutter(windows, window_s, frozenset(keywords), seed)
    by_file: dict[Path, list[Clip]] = defaultdict(list)
    for clip in words:
        by_file[clip.path].append(clip)
    for clips in by_file.values():
        cutter.file(clips)
    for clip in negatives:
        cutter.negative(clip)
    return Cut(cutter.clips, cutter.free, cutter.too_long, cutter.counts)


def cut_notes(cut: Cut, keywords: Sequence[str], window_s: float, source: Path) -> list[str]:
    """Return lines for the report: the number of windows, and keywords that are too long.

    Raises:
        DataError: nothing was cut, or no clip of a keyword fits in a window in some split.
    """
    if not cut.counts and not cut.too_long:
        raise DataError(
            f"{source}: no row has the position of its word, so dataset.windows cuts nothing; give "
            "start_s and end_s, name their columns in dataset.columns, or remove windows"
        )
    need_s = max((_duration_s(clip) for clip in cut.too_long), default=0.0)
    widen = f"set window_s in [front_end] to {math.ceil(100 * need_s) / 100:g} to include them all"
    have = {(clip.split, clip.label) for clip in cut.clips}
    for split, keyword in itertools.product(SPLITS, keywords):
        if (split, keyword) not in have:
            raise DataError(
                f"{source}: no clip of {keyword!r} in {split} fits into a window of "
                f"{window_s:g} s; {widen}"
            )
    counts = [f"{cut.counts[k]} {text}" for k, text in _DESCRIPTIONS.items() if k in cut.counts]
    notes = [f"windows of {window_s:g} s: {', '.join(counts)}"]
    if cut.too_long:
        longest = max(cut.too_long, key=_duration_s)
        notes.append(
            f"keywords longer than the window of {window_s:g} s, left out: {len(cut.too_long)}, "
            f"up to {need_s:g} s in {longest.path}; {widen}"
        )
    return notes


def _to_cut(clip: Clip) -> bool:
    """Return whether a row has the position of its word in the file."""
    return clip.label != SILENCE and (clip.start_s > 0 or clip.end_s is not None)


def _length_s(path: Path) -> float | None:
    """Return the length of a recording; `None` if unreadable, which is reported later."""
    try:
        return length_s(path)
    except DataError:
        return None


class _Cutter:
    """Cuts windows, file by file."""

    def __init__(
        self, windows: Windows, window_s: float, keywords: frozenset[str], seed: int
    ) -> None:
        self._windows, self._window_s = windows, window_s
        self._keywords, self._seed = keywords, seed
        self.clips: list[Clip] = []
        self.free: list[Clip] = []
        self.too_long: list[Clip] = []
        self.counts: Counter[str] = Counter()

    def file(self, clips: Sequence[Clip]) -> None:
        """Cut the rows of a file, and the parts between its keywords."""
        end = _length_s(clips[0].path)
        placed: list[Clip] = []
        for clip in clips:
            if end is None or clip.start_s >= end or not _to_cut(clip):
                self.clips.append(clip)
            else:
                last = end if clip.end_s is None else min(clip.end_s, end)
                placed.append(replace(clip, end_s=last))
        if end is None or not placed:
            return
        spoken = [clip for clip in placed if clip.label in self._keywords]
        for clip in placed:
            others = [_place(other) for other in spoken if other is not clip]
            self._word(clip, others, end)
        if len(placed) == len(clips):  # a row without a position may be anywhere
            for first, last in _gaps([_place(clip) for clip in spoken], end):
                self._free(placed[0], first, last)

    def negative(self, clip: Clip) -> None:
        """Cut a recording, or a part of one, without a keyword."""
        end = _length_s(clip.path)
        if end is None:  # reported when it is read
            self.clips.append(clip)
            return
        last = end if clip.end_s is None else min(clip.end_s, end)
        if last - clip.start_s < self._window_s:
            self.counts["short"] += 1
        else:
            self._free(clip, clip.start_s, last)

    def _word(self, clip: Clip, others: Sequence[tuple[float, float]], end: float) -> None:
        if end < self._window_s:
            self.clips.append(replace(clip, start_s=0.0, end_s=None))
            self.counts["file"] += 1
            return
        places = self._around(_place(clip), others, end)
        if not places:
            self.too_long.append(clip)
            return
        rng = self._rng(clip, "word")
        self._add(clip, clip.label, _drawn(places, self._windows.per_keyword, rng), "word")
        if clip.label in self._keywords:
            parts = self._parts(clip, others, end)
            self._add(clip, UNKNOWN, dict.fromkeys(parts), "part")

    def _around(
        self, word: tuple[float, float], others: Sequence[tuple[float, float]], end: float
    ) -> range:
        """Return where a window may start, in ms, to hold the word, if possible only that one."""
        w = self._window_s
        earliest, latest = max(word[1] - w, 0.0), min(word[0], end - w)
        alone = _grid(
            max([earliest, *(last for _, last in others if last <= word[0])]),
            min([latest, *(first - w for first, _ in others if first >= word[1])]),
        )
        return alone or _grid(earliest, latest)

    def _parts(
        self, clip: Clip, others: Sequence[tuple[float, float]], end: float
    ) -> Iterator[float]:
        """Yield starts of windows with the first part of a keyword, or with the last.

        A window that does not fit in the file, or that touches another keyword, is replaced by one
        with the other part; if that does not fit either, there is none.
        """
        first, last = _place(clip)
        rng = self._rng(clip, "part")
        for side in rng.permutation(np.arange(self._windows.partial) % 2):
            held_s = rng.uniform(*PART) * (last - first)
            starts = [first + held_s - self._window_s, last - held_s]
            for start in map(_to_ms, (starts[side], starts[1 - side])):
                stop = start + self._window_s
                inside = start >= 0 and stop <= end
                if inside and all(b <= start or a >= stop for a, b in others):
                    yield start
                    break

    def _free(self, clip: Clip, first: float, last: float) -> None:
        """Add a part of a recording without a keyword."""
        places = _grid(first, last - self._window_s)
        if not places:
            return
        part = replace(clip, label=UNKNOWN, start_s=first, end_s=last)
        self.free.append(part)
        rng = self._rng(part, "free")
        count = math.floor(self._windows.per_negative_second * (last - first) + rng.random())
        self._add(clip, UNKNOWN, _drawn(places, count, rng), "free")

    def _add(self, clip: Clip, label: str, starts: Collection[float], what: str) -> None:
        for start in starts:
            end = round(start + self._window_s, 6)
            self.clips.append(replace(clip, label=label, start_s=start, end_s=end))
        self.counts[what] += len(starts)

    def _rng(self, clip: Clip, what: str) -> np.random.Generator:
        name = f"{clip.path.parent.name}/{clip.path.name}@{clip.start_s:g}"
        salt = self._seed if clip.split == "train" else None
        return np.random.default_rng(int(sha256_of(["windows", what, salt, name])[:16], 16))


def _duration_s(clip: Clip) -> float:
    first, last = _place(clip)
    return round(last - first, 3)


def _place(clip: Clip) -> tuple[float, float]:
    assert clip.end_s is not None
    return clip.start_s, clip.end_s


def _to_ms(seconds: float) -> float:
    return round(seconds, 3)


def _grid(earliest: float, latest: float) -> range:
    """Return the whole milliseconds from `earliest` to `latest`, both in seconds."""
    first = math.ceil(1000 * earliest - _ROUNDING)
    return range(first, math.floor(1000 * latest + _ROUNDING) + 1)


def _drawn(grid: range, count: int, rng: np.random.Generator) -> list[float]:
    """Return up to `count` positions of the grid in seconds, one from each of `count` parts."""
    edges = np.linspace(0, len(grid), count + 1)
    places = (edges[:-1] + rng.random(count) * np.diff(edges)).astype(int)
    return [grid[place] / 1000 for place in dict.fromkeys(places.tolist())]


def _gaps(spans: Sequence[tuple[float, float]], end: float) -> Iterator[tuple[float, float]]:
    """Yield the parts of 0 … `end` that no span covers, in order."""
    place = 0.0
    for first, last in sorted(spans):
        if first > place:
            yield place, first
        place = max(place, last)
    if place < end:
        yield place, end
