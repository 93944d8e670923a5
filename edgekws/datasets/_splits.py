"""Gives recordings their split: what lists say, and speakers held out for the rest."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.datasets._speakers import held_out
from edgekws.datasets._word_folders import Recording, Recordings
from edgekws.errors import DataError


class Rule(NamedTuple):
    """How speakers are known, and which share of them is held out.

    `speaker_pattern`'s first group is the speaker in a file name; empty: no speaker is known.
    `dev_fraction` is of the speakers that are left once `test_fraction` of them went to test.
    `column` is that of a table which names speakers, and goes before the pattern.
    """

    speaker_pattern: str
    dev_fraction: float
    test_fraction: float
    column: str | None = None

    @property
    def source(self) -> str:
        """What speakers are known by, in the words of the recipe."""
        pattern = f"speaker_pattern {self.speaker_pattern!r}"
        return f"column {self.column!r} or {pattern}" if self.column else pattern

    def speaker(self, path: Path) -> str | None:
        """Return the speaker of a file, `None` where its name does not tell."""
        match = re.search(self.speaker_pattern, path.name) if self.speaker_pattern else None
        return match.group(1) if match else None


def split_clips(
    recordings: Sequence[Recording], keywords: Sequence[str], rule: Rule, seed: int, source: Path
) -> list[Clip]:
    """Return a clip for each recording; a file without a speaker counts as its own.

    Raises:
        DataError: too few speakers to hold some out, or a keyword without clips in some split.
    """
    speakers = [r.speaker or rule.speaker(r.path) for r in recordings]
    units = [s or r.path.name for s, r in zip(speakers, recordings, strict=True)]
    pool = frozenset(u for u, r in zip(units, recordings, strict=True) if r.split is None)
    carved = _carved(pool, not_given(recordings), rule, seed, source)
    labels = frozenset((*keywords, SILENCE))
    clips = [
        Clip(
            recording.path,
            recording.word if recording.word in labels else UNKNOWN,
            speaker,
            recording.split or carved.get(unit, "train"),
            recording.start_s,
            recording.end_s,
        )
        for recording, speaker, unit in zip(recordings, speakers, units, strict=True)
    ]
    _refuse_empty(clips, keywords, rule)
    return clips


def not_given(recordings: Sequence[Recording]) -> list[Split]:
    """Return which of dev and test no list gives."""
    given = {recording.split for recording in recordings}
    return [split for split in SPLITS[1:] if split not in given]


def split_notes(found: Recordings, clips: Sequence[Clip], rule: Rule) -> list[str]:
    """Return lines for the report: how the splits came about, and speakers that are unknown."""
    missing = not_given(found.recordings)
    how = [f"given by {', '.join(found.given_by)}"] if found.given_by else []
    how += [f"{' and '.join(missing)} held out by speaker"] if missing else []
    notes = [f"splits: {'; '.join(how)}; speakers: {_speakers_per_split(clips)}"]
    nameless = sum(clip.speaker is None for clip in clips)
    if nameless:
        notes.append(
            f"{nameless} of {len(clips)} clips have no speaker by {rule.source}: "
            "each file counts as a speaker of its own"
        )
    return notes


def _carved(
    pool: frozenset[str], missing: Sequence[Split], rule: Rule, seed: int, source: Path
) -> dict[str, Split]:
    if missing and len(pool) <= len(missing):
        raise DataError(
            f"{source}: {rule.source} finds {len(pool)} of the {len(missing) + 1} speakers needed "
            f"to hold out {' and '.join(missing)}; set speaker_pattern to what names the speaker "
            "in a file name"
        )
    test = held_out(pool, rule.test_fraction, "test") if "test" in missing else frozenset()
    left = pool - test
    dev = held_out(left, rule.dev_fraction, ["dev", seed]) if "dev" in missing else frozenset()
    carved: dict[str, Split] = dict.fromkeys(test, "test")
    return carved | dict.fromkeys(dev, "dev")


def _refuse_empty(clips: Sequence[Clip], keywords: Sequence[str], rule: Rule) -> None:
    have = {(clip.split, clip.label) for clip in clips}
    for split in SPLITS:
        for keyword in keywords:
            if (split, keyword) not in have:
                raise DataError(
                    f"keyword {keyword!r} has no clips in {split}; speakers: "
                    f"{_speakers_per_split(clips)}, by {rule.source}; "
                    "record it from more speakers, or set dev_fraction, test_fraction or "
                    "speaker_pattern"
                )


def _speakers_per_split(clips: Sequence[Clip]) -> str:
    return ", ".join(
        f"{split} {len({c.speaker or c.path for c in clips if c.split == split})}"
        for split in SPLITS
    )
