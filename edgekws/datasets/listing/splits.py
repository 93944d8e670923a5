"""Assign recordings to splits: as listed, otherwise by holding out speakers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.datasets.listing.labels import letters
from edgekws.datasets.listing.patterns import first_group
from edgekws.datasets.listing.speakers import held_out
from edgekws.datasets.listing.word_folders import Recording, Recordings
from edgekws.errors import DataError


class Rule(NamedTuple):
    """How speakers are identified, and which share of them is held out.

    The first group of `speaker_pattern` is the speaker in a file name; empty: no speaker is known.
    `dev_fraction` applies to the speakers that remain after `test_fraction` went to test.
    `column` is the speaker column of a table, which takes precedence over the pattern.
    """

    speaker_pattern: str
    dev_fraction: float
    test_fraction: float
    column: str | None = None

    @property
    def source(self) -> str:
        """The source of speaker names, in the terms of the recipe."""
        pattern = f"speaker_pattern {self.speaker_pattern!r}"
        return f"column {self.column!r} or {pattern}" if self.column else pattern

    def speaker(self, path: Path, word: str = "") -> str | None:
        """Return the speaker of a file, `None` if its name does not contain one.

        A match that equals the spoken `word` is not a speaker.

        Raises:
            DataError: matching the pattern takes too long.
        """
        if not self.speaker_pattern:
            return None
        speaker = first_group(self.speaker_pattern, path.name)
        return None if speaker and letters(speaker) == letters(word) else speaker


def split_clips(
    recordings: Sequence[Recording], keywords: Sequence[str], rule: Rule, seed: int, source: Path
) -> list[Clip]:
    """Return a clip for each recording; recordings of unknown speakers are held out one by one.

    Raises:
        DataError: too few speakers to hold some out, or a keyword without clips in some split.
    """
    speakers = [r.speaker or rule.speaker(r.path, r.word) for r in recordings]
    labels = frozenset((*keywords, SILENCE))
    missing = not_given(recordings)
    known: set[str] = set()
    unknown: dict[str, set[str]] = {}
    for speaker, recording in zip(speakers, recordings, strict=True):
        if recording.split is None and speaker:
            known.add(speaker)
        elif recording.split is None:
            label = recording.word if recording.word in labels else UNKNOWN
            unknown.setdefault(label, set()).add(_file(recording.path))
    carved = _carved(known, missing, rule, seed, source)
    alone = _by_recording(unknown, missing, rule, seed)
    clips = [
        Clip(
            recording.path,
            recording.word if recording.word in labels else UNKNOWN,
            speaker,
            recording.split
            or (carved.get(speaker) if speaker else alone.get(_file(recording.path)))
            or "train",
            recording.start_s,
            recording.end_s,
            None if recording.word in (*labels, UNKNOWN) else recording.word,
            recording.synthesizer,
        )
        for recording, speaker in zip(recordings, speakers, strict=True)
    ]
    _refuse_empty(clips, keywords, rule)
    return clips


def _file(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def not_given(recordings: Sequence[Recording]) -> list[Split]:
    """Return those of dev and test that no list gives."""
    given = {recording.split for recording in recordings}
    return [split for split in SPLITS[1:] if split not in given]


def split_notes(contents: Recordings, clips: Sequence[Clip], rule: Rule) -> list[str]:
    """Return lines for the report: how the splits were made, and unknown speakers."""
    missing = not_given(contents.recordings)
    how = [f"given by {', '.join(contents.given_by)}"] if contents.given_by else []
    by = "speaker" if any(clip.speaker for clip in clips) else "recording"
    how += [f"{' and '.join(missing)} held out by {by}"] if missing else []
    notes = [f"splits: {'; '.join(how)}; speakers: {_speakers_per_split(clips)}"]
    return notes + caveats(clips, rule)


def caveats(clips: Sequence[Clip], rule: Rule) -> list[str]:
    """Return the warning to show with every figure if speakers are unknown."""
    nameless = sum(clip.speaker is None and clip.label != SILENCE for clip in clips)
    if not nameless:
        return []
    return [
        f"{nameless} of {len(clips)} clips have no speaker by {rule.source}: a voice may be "
        "in several splits, and figures may be too good for new voices"
    ]


def refuse_shared(clips: Iterable[Clip], source: Path) -> None:
    """Refuse recordings with clips in two splits, to cut windows around these clips from.

    Raises:
        DataError: there is one; a window around one clip may hold speech of another.
    """
    first: dict[Path, Clip] = {}
    for clip in clips:
        other = first.setdefault(clip.path, clip)
        if other.split != clip.split and clip.label != SILENCE:
            raise DataError(
                f"{source}: {clip.path} has clips in {other.split} (of {other.speaker}) and in "
                f"{clip.split} (of {clip.speaker}), and windows of one would hold speech of the "
                "other; give all rows of a recording the same speaker, or the same split in a "
                "column split"
            )


def _carved(
    pool: set[str], missing: Sequence[Split], rule: Rule, seed: int, source: Path
) -> dict[str, Split]:
    if pool and missing and len(pool) <= len(missing):
        raise DataError(
            f"{source}: {rule.source} finds {len(pool)} of the {len(missing) + 1} speakers needed "
            f"to hold out {' and '.join(missing)} ({', '.join(sorted(pool))}); set speaker_pattern "
            "to match the speaker in a file name; if all are of one person, or names have no "
            'speaker, set speaker_pattern = "" to split by recording'
        )
    return _drawn(pool, missing, rule, seed)


def _by_recording(
    pools: Mapping[str, set[str]], missing: Sequence[Split], rule: Rule, seed: int
) -> dict[str, Split]:
    """Split the recordings of each label separately, so that a keyword has some in every split.

    If a label has too few of them, they stay in train.
    """
    carved: dict[str, Split] = {}
    for files in pools.values():
        if len(files) > len(missing):
            carved = _drawn(files, missing, rule, seed) | carved
    return carved


def _drawn(
    pool: Iterable[str], missing: Sequence[Split], rule: Rule, seed: int
) -> dict[str, Split]:
    pool = frozenset(pool)
    test = held_out(pool, rule.test_fraction, "test") if "test" in missing else frozenset()
    rest = pool - test
    dev = held_out(rest, rule.dev_fraction, ["dev", seed]) if "dev" in missing else frozenset()
    carved: dict[str, Split] = dict.fromkeys(test, "test")
    return carved | dict.fromkeys(dev, "dev")


def _refuse_empty(clips: Sequence[Clip], keywords: Sequence[str], rule: Rule) -> None:
    have = {(clip.split, clip.label) for clip in clips}
    for split in SPLITS:
        for keyword in keywords:
            if (split, keyword) not in have:
                of_keyword = [clip for clip in clips if clip.label == keyword]
                reason = _explain_missing(of_keyword, rule)
                raise DataError(f"keyword {keyword!r} has no clips in {split}; {reason}")


def _explain_missing(clips: Sequence[Clip], rule: Rule) -> str:
    """Explain why a keyword with these clips has none in some split, and what to do."""
    if all(clip.speaker is None for clip in clips):
        files = len({clip.path for clip in clips})
        return (
            f"it has {files} recordings of unknown speakers, but 3 are needed, one for each split; "
            "record it more often, or remove it from keywords"
        )
    return (
        f"its speakers: {_speakers_per_split(clips)}, by {rule.source}; record it from more "
        "speakers, raise dev_fraction or test_fraction, or set "
        'speaker_pattern = "" to split by recording'
    )


def _speakers_per_split(clips: Sequence[Clip]) -> str:
    return ", ".join(
        f"{split} {len({c.speaker or c.path for c in clips if c.split == split})}"
        for split in SPLITS
    )
