"""Recordings in which no keyword is said: found, and split by speaker."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from edgekws.audio.folders import audio_files_under
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.datasets.listing.source import existing
from edgekws.datasets.listing.speakers import three_way
from edgekws.datasets.listing.splits import Rule
from edgekws.errors import DataError


def negative_recordings(
    folders: Sequence[Path],
    known: Mapping[str, Split],
    rule: Rule,
    seed: int,
    ignored: Counter[str],
) -> list[Clip]:
    """Return every recording under `folders` as a whole, labelled `_unknown_`.

    The folder directly under one of `folders` that a recording is in is its speaker; a recording
    beside them has the one that `rule` finds in its name, or counts as a speaker of its own.
    Speakers who are `known` already keep their split; others are held out as `rule` says.
    `ignored` counts what is no recording.

    Raises:
        DataError: a folder is missing or empty, or there are fewer than three new speakers.
    """
    found: dict[Path, tuple[str | None, str]] = {}
    for folder in folders:
        files = audio_files_under(existing(folder), ignored)
        if not files:
            raise DataError(f"{folder}: holds no recordings; take it out of dataset.negatives")
        for path in files:
            found.setdefault(path, _speaker(path, folder.expanduser(), rule))
    split_of = dict(known) | _splits({unit for _, unit in found.values()} - set(known), rule, seed)
    return [Clip(path, UNKNOWN, speaker, split_of[unit]) for path, (speaker, unit) in found.items()]


def refuse_in_both(words: Iterable[Clip], negatives: Iterable[Clip], source: Path) -> None:
    """Raise `DataError` for a recording of the table that is among the negatives as well."""
    listed = {clip.path.resolve() for clip in words}
    for clip in negatives:
        if clip.path.resolve() in listed:
            raise DataError(
                f"{clip.path}: is in {source} and under dataset.negatives; the parts of it without "
                "a keyword are cut from there, take it out of dataset.negatives"
            )


def _speaker(path: Path, folder: Path, rule: Rule) -> tuple[str | None, str]:
    """Return the speaker, where one is known, and what is kept in one split."""
    parts = path.relative_to(folder).parts
    speaker = parts[0] if len(parts) > 1 else rule.speaker(path)
    return speaker, speaker or path.name


def _splits(units: set[str], rule: Rule, seed: int) -> dict[str, Split]:
    if not units:
        return {}
    if len(units) < len(SPLITS):
        raise DataError(
            f"dataset.negatives: {len(units)} speakers ({', '.join(sorted(units))}), and 3 are "
            "needed, one for each split; put every speaker's recordings into a folder of their own"
        )
    names = three_way(units, rule.dev_fraction, rule.test_fraction, ["negatives", seed])
    return {unit: split for split in SPLITS for unit in names[split]}
