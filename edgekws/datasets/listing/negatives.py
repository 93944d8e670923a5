"""List recordings without a keyword, split by speaker."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from math import inf
from pathlib import Path
from typing import NamedTuple

from edgekws.audio.folders import audio_files_under
from edgekws.audio.opening import length_s
from edgekws.core.canonical import file_state, sha256_file
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.core.events import quiet
from edgekws.datasets.listing.source import existing, stamps
from edgekws.datasets.listing.speakers import three_way
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.tables import SUFFIXES
from edgekws.datasets.listing.unlabelled import list_unlabelled
from edgekws.errors import DataError

HELD_OUT = 0.25
"""Least share of the speakers in dev and in test: false alarms are counted by the hour."""

ROUNDED_S = 0.1
"""An end may exceed the length of its file by this much: times and frames are rounded."""


def list_negatives(
    sources: Sequence[Path],
    words: Sequence[Clip],
    rule: Rule,
    seed: int,
    source: Path,
    ignored: Counter[str],
) -> list[Clip]:
    """Return the recordings without a keyword that `sources` name, labelled `_unknown_`.

    A source is an audio file, a folder, or a table with the columns `file` (or `path`), and
    perhaps `speaker`, `start_s` and `end_s`. Without that column a recording's speaker is its
    folder directly under the source, or the one that `rule` extracts from its name, or the
    recording itself. `rule` was made for the names of `words`: if it extracts the same new speaker
    from all names in a folder, each recording counts as a speaker. Speakers of `words`, the clips
    of `source`, keep their split; others are held out by `rule`, at least `HELD_OUT` of them in dev
    and in test. `ignored` counts files that are not recordings, and ends after that of their file.

    Raises:
        DataError: a source is missing or empty, a row is wrong, there are fewer than three new
            speakers, a recording or a copy of it is among `words`, or its copies or overlapping
            parts of it are in two splits.
    """
    known = {clip.speaker or clip.path.name: clip.split for clip in words}
    parts: dict[tuple[Path, float], _Part] = {}
    for one in sources:
        for part in _parts(one, rule, known.keys(), ignored):
            parts.setdefault((part.path, part.start_s), _within(part, ignored))
    split_of = known | _splits({part.unit for part in parts.values()} - set(known), rule, seed)
    negatives = [
        Clip(part.path, UNKNOWN, part.speaker, split_of[part.unit], part.start_s, part.end_s)
        for part in parts.values()
    ]
    _refuse_in_both(words, negatives, source)
    _refuse_copies(words, negatives, source)
    _refuse_overlaps(negatives)
    return negatives


def negative_stamps(sources: Sequence[Path]) -> list[object]:
    """Return name, size and time of every file that `sources` name.

    Raises:
        DataError: a source is missing.
    """
    return [
        file_state(one.expanduser()) if one.expanduser().is_file() else stamps(existing(one))
        for one in sources
    ]


class _Part(NamedTuple):
    """A recording or a part of it, its speaker, if known, and the unit that stays in one split."""

    path: Path
    speaker: str | None
    unit: str
    start_s: float = 0.0
    end_s: float | None = None


def _parts(source: Path, rule: Rule, known: Collection[str], ignored: Counter[str]) -> list[_Part]:
    path = source.expanduser()
    if path.suffix.lower() in SUFFIXES and path.is_file():
        rows = list_unlabelled(path, quiet)[1]
        return [
            _Part(
                row.path, row.speaker or None, row.speaker or row.path.name, row.start_s, row.end_s
            )
            for row in rows
        ]
    if path.is_file():
        return [_part(path, path.parent, rule)]
    files = audio_files_under(existing(source), ignored)
    if not files:
        raise DataError(f"{source}: holds no recordings; remove it from dataset.negatives")
    parts = [_part(file, path, rule) for file in files]
    if _share_a_prefix(parts, known):
        return [_Part(part.path, None, part.path.name) for part in parts]
    return parts


def _within(part: _Part, ignored: Counter[str]) -> _Part:
    """Return the part without what is beyond the end of its file; unreadable ones are read later.

    Raises:
        DataError: it begins there.
    """
    if part.end_s is None and not part.start_s:
        return part
    try:
        whole_s = length_s(part.path)
    except DataError:
        return part
    if part.start_s >= whole_s:
        raise DataError(
            f"dataset.negatives: {part.path} is {whole_s:g} s long, and has a part from "
            f"{part.start_s:g} s on; correct start_s"
        )
    if part.end_s is None or part.end_s <= whole_s:
        return part
    ignored["values of end_s after the end of their file"] += part.end_s > whole_s + ROUNDED_S
    return part._replace(end_s=whole_s)


def _share_a_prefix(parts: Sequence[_Part], known: Collection[str]) -> bool:
    """Return whether the one "speaker" of a folder is merely how all its names begin."""
    speakers = {part.speaker for part in parts} - {None, *known}
    folders = {part.path.parent for part in parts}
    return len(speakers) == len(folders) == 1 and len(parts) >= len(SPLITS)


def _refuse_in_both(words: Iterable[Clip], negatives: Iterable[Clip], source: Path) -> None:
    """Raise `DataError` for a recording of the table that is also among the negatives."""
    listed = {clip.path.resolve() for clip in words}
    for clip in negatives:
        if clip.path.resolve() in listed:
            raise DataError(
                f"{clip.path}: is in {source} and under dataset.negatives; its parts without a "
                "keyword are already used, remove it from dataset.negatives"
            )


def _refuse_copies(words: Iterable[Clip], negatives: Iterable[Clip], source: Path) -> None:
    """Raise `DataError` for a negative with the bytes of a word, or of one in another split.

    Only files of equal size are read.
    """
    by_size: dict[int, dict[Path, tuple[Clip, bool]]] = defaultdict(dict)
    for clip, free in chain(((c, False) for c in words), ((c, True) for c in negatives)):
        path = clip.path.resolve()
        by_size[file_state(path)[1]][path] = clip, free
    for size, alike in by_size.items():  # empty and missing files are refused when they are read
        if size <= 0 or len(alike) < 2 or not any(free for _, free in alike.values()):
            continue
        first: dict[str, tuple[Clip, bool]] = {}
        for path, (clip, free) in alike.items():  # the words first
            other, is_free = first.setdefault(sha256_file(path), (clip, free))
            if free and other is not clip and (not is_free or other.split != clip.split):
                place = "in dataset.negatives" if is_free else f"in {source}"
                raise DataError(
                    f"{clip.path}: is a copy of {other.path}, which is {place} ({other.split}); "
                    "remove one of them"
                )


def _refuse_overlaps(negatives: Iterable[Clip]) -> None:
    """Raise `DataError` for parts of one recording that overlap and are in two splits."""
    by_file: dict[Path, list[Clip]] = defaultdict(list)
    for clip in negatives:
        by_file[clip.path.resolve()].append(clip)
    for clips in by_file.values():
        clips.sort(key=lambda clip: clip.start_s)
        longest = clips[0]
        for clip in clips[1:]:
            if clip.start_s < (longest.end_s or inf) and clip.split != longest.split:
                raise DataError(
                    f"dataset.negatives: {clip.path} from {clip.start_s:g} s on would be in "
                    f"{clip.split}, and in {longest.split} as part of what begins at "
                    f"{longest.start_s:g} s; name each part of a recording once"
                )
            longest = max(longest, clip, key=lambda clip: clip.end_s or inf)


def _part(path: Path, folder: Path, rule: Rule) -> _Part:
    parts = path.relative_to(folder).parts
    speaker = parts[0] if len(parts) > 1 else rule.speaker(path)
    return _Part(path, speaker, speaker or path.name)


def _splits(units: set[str], rule: Rule, seed: int) -> dict[str, Split]:
    if not units:
        return {}
    if len(units) < len(SPLITS):
        raise DataError(
            f"dataset.negatives: {len(units)} speaker{'s' * (len(units) > 1)} "
            f"({', '.join(sorted(units))}), but 3 are "
            "needed, one for each split; put every speaker's recordings into a separate folder, or "
            "name the folders that hold the recordings, and each recording counts as a speaker"
        )
    dev, test = (max(part, HELD_OUT) for part in (rule.dev_fraction, rule.test_fraction))
    names = three_way(units, dev, test, ["negatives", seed])
    return {unit: split for split in SPLITS for unit in names[split]}
