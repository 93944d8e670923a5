"""List recordings without a keyword, split by speaker."""

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
    """Return every whole recording under `folders`, labelled `_unknown_`.

    A recording's speaker is its folder directly under one of `folders`, or the one that `rule`
    extracts from its name, or the recording itself. `known` speakers keep their split; others are
    held out by `rule`. `ignored` counts files that are not recordings.

    Raises:
        DataError: a folder is missing or empty, or there are fewer than three new speakers.
    """
    speakers: dict[Path, tuple[str | None, str]] = {}
    for folder in folders:
        files = audio_files_under(existing(folder), ignored)
        if not files:
            raise DataError(f"{folder}: holds no recordings; remove it from dataset.negatives")
        for path in files:
            speakers.setdefault(path, _speaker(path, folder.expanduser(), rule))
    new = {unit for _, unit in speakers.values()} - set(known)
    split_of = dict(known) | _splits(new, rule, seed)
    return [
        Clip(path, UNKNOWN, speaker, split_of[unit]) for path, (speaker, unit) in speakers.items()
    ]


def refuse_in_both(words: Iterable[Clip], negatives: Iterable[Clip], source: Path) -> None:
    """Raise `DataError` for a recording of the table that is also among the negatives."""
    listed = {clip.path.resolve() for clip in words}
    for clip in negatives:
        if clip.path.resolve() in listed:
            raise DataError(
                f"{clip.path}: is in {source} and under dataset.negatives; its parts without a "
                "keyword are already used, remove it from dataset.negatives"
            )


def _speaker(path: Path, folder: Path, rule: Rule) -> tuple[str | None, str]:
    """Return the speaker, if known, and the unit that is kept in one split."""
    parts = path.relative_to(folder).parts
    speaker = parts[0] if len(parts) > 1 else rule.speaker(path)
    return speaker, speaker or path.name


def _splits(units: set[str], rule: Rule, seed: int) -> dict[str, Split]:
    if not units:
        return {}
    if len(units) < len(SPLITS):
        raise DataError(
            f"dataset.negatives: {len(units)} speakers ({', '.join(sorted(units))}), but 3 are "
            "needed, one for each split; put every speaker's recordings into a separate folder"
        )
    names = three_way(units, rule.dev_fraction, rule.test_fraction, ["negatives", seed])
    return {unit: split for split in SPLITS for unit in names[split]}
