"""Recordings in the layout of Speech Commands: `<root>/<word>/<file>`.

Source of the layout: Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech
Recognition", 2018, https://arxiv.org/abs/1804.03209.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from edgekws.core.canonical import sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Listing, Split
from edgekws.core.events import Emit
from edgekws.core.family import closest
from edgekws.core.fields import Fields
from edgekws.datasets._folder_splits import Rule, split_clips, split_notes
from edgekws.datasets._silence import noise_per_split, noise_recordings, silence_clips
from edgekws.datasets._source import code_fingerprint
from edgekws.datasets._speakers import ranked
from edgekws.datasets._word_folders import (
    BACKGROUND_NOISE,
    Recording,
    Recordings,
    find_recordings,
    word_name,
)
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd


class Dataset(Fields):
    """Word folders, with splits from lists, from tables, or by speaker.

    - `validation_list.txt` and `testing_list.txt` under the root name dev and test;
    - `train.csv` with `val.csv` (columns `file,class`): `val.csv` is test, dev is held out of
      `train.csv`; where there is a `test.csv` too, `val.csv` is dev;
    - what these do not give is held out by speaker: test by a hash of the speaker's name alone,
      dev by a hash of seed and name.
    """

    kind: Literal["folder"] = "folder"
    root: Path = Field(description="Folder of the word folders, relative to the working directory")
    keywords: tuple[str, ...] | None = Field(
        None, min_length=1, description="Words to spot, in the order of the labels; default all"
    )
    unknown: bool = Field(
        True, description="The words that are no keywords become the class _unknown_"
    )
    max_unknown_ratio: float | None = Field(
        None,
        gt=0,
        description="At most so many training clips of _unknown_ for each clip of a mean keyword; "
        "default all",
    )
    noise: Path | None = Field(
        None,
        description="Folder of noise recordings, for _silence_ and for augmentation; default "
        "_background_noise_ under the root where there is one",
    )
    silence: bool | None = Field(
        None,
        description="A class _silence_ of windows cut from the noise; default: where noise is",
    )
    silence_ratio: float = Field(
        0.4, gt=0, description="Clips of _silence_ for each clip of a mean keyword, in each split"
    )
    dev_fraction: float = Field(
        0.15, gt=0, lt=1, description="Share of the speakers of train held out for dev"
    )
    test_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share of all speakers held out for test, where no list is"
    )
    speaker_pattern: str = Field(
        "^([^_]+)_",
        description="Regular expression whose first group is the speaker in a file name; empty: "
        "speakers are not known",
    )

    @field_validator("keywords")
    @classmethod
    def _keywords_once(cls, keywords: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for keyword, count in Counter(map(word_name, keywords or ())).items():
            if count > 1:
                raise ValueError(f"{keyword!r} is named {count} times")
            if keyword in (UNKNOWN, SILENCE):
                raise ValueError(f"{keyword!r} is a class of its own, not a keyword")
        return keywords

    @field_validator("speaker_pattern")
    @classmethod
    def _pattern_has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from error
        if pattern and not groups:
            raise ValueError("has no group; put the speaker in parentheses, as in ^([^_]+)_")
        return pattern

    def fingerprint(self) -> str:
        """Return a hash over the fields and the name, size and time of every file.

        Raises:
            DataError: a folder is missing.
        """
        fields = self.model_dump(mode="json", exclude={"root", "noise"})
        folders = [_existing(folder) for folder in (self.root, self.noise) if folder]
        files = [sorted(_stamps(folder)) for folder in folders]
        return sha256_of([fields, files, code_fingerprint(("soundfile",))])

    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the logits.

        Without `keywords` the folder is listed; with them it need not be there.

        Raises:
            DataError: a folder is missing.
        """
        root, others = self.root.expanduser(), True
        if self.keywords is None:
            recordings = find_recordings(root, self.noise).recordings
            keywords = self._labelled(root, recordings)
            others = any(r.word not in keywords for r in recordings)
        else:
            keywords = tuple(map(word_name, self.keywords))
        unknown = self.unknown and others
        with_noise = self.noise is not None or (root / BACKGROUND_NOISE).is_dir()
        silence = with_noise if self.silence is None else self.silence
        return (*keywords, *[UNKNOWN] * unknown, *[SILENCE] * silence)

    def list_clips(self, front_end: FrontEnd, seed: int, cache: Path, emit: Emit) -> Listing:
        """List the recordings; nothing but some windows of noise is read.

        Raises:
            DataError: a folder, keyword or listed file is missing, a table is wrong, or there
                are too few speakers or noise recordings to split.
        """
        root = self.root.expanduser()
        found = find_recordings(root, self.noise.expanduser() if self.noise else None)
        noise = self._noise_recordings(root)
        keywords = self._labelled(root, found.recordings)
        others = {r.word for r in found.recordings} - set(keywords)
        with_unknown = bool(others) and self.unknown
        wanted = [r for r in found.recordings if with_unknown or r.word in keywords]
        rule = Rule(self.speaker_pattern, self.dev_fraction, self.test_fraction)
        clips = split_clips(wanted, keywords, rule, seed, root)
        notes = split_notes(found, clips, rule) + self._left_out(found, others)
        clips = self._capped(clips, keywords, seed, notes)
        silence = self.silence if self.silence is not None else bool(noise)
        per_split = noise_per_split(noise, seed, silence)
        if silence:
            clips += self._silence_clips(clips, keywords, per_split, front_end, seed)
        notes.append(_noise_note(per_split))
        labels = (*keywords, *([UNKNOWN] if with_unknown else []), *([SILENCE] if silence else []))
        return Listing(labels, tuple(clips), per_split["train"], tuple(notes))

    def _left_out(self, found: Recordings, others: set[str]) -> list[str]:
        notes = []
        if found.ignored:
            counts = ", ".join(f"{count} {why}" for why, count in sorted(found.ignored.items()))
            notes.append(f"ignored: {counts}")
        if others and not self.unknown:
            notes.append(f"unknown = false leaves out: {', '.join(sorted(others))}")
        return notes

    def _labelled(self, root: Path, recordings: Sequence[Recording]) -> tuple[str, ...]:
        words = tuple(sorted({r.word for r in recordings}))
        if not set(words) - {UNKNOWN}:
            raise DataError(f"{root}: holds no word folders; expected {root}/<word>/<recording>")
        if self.keywords is None:
            return tuple(word for word in words if word != UNKNOWN)
        keywords = tuple(map(word_name, self.keywords))
        for keyword in keywords:
            if keyword not in words:
                known = f"; known: {', '.join(words)}"
                hint = closest(keyword, words)
                raise DataError(
                    f"{root}: keyword {keyword!r} has no recordings{hint}"
                    f"{known if hint != known else ''}"
                )
        return keywords

    def _capped(
        self, clips: list[Clip], keywords: Sequence[str], seed: int, notes: list[str]
    ) -> list[Clip]:
        unknown = [c for c in clips if c.split == "train" and c.label == UNKNOWN]
        if self.max_unknown_ratio is None or not unknown:
            return clips
        most = max(round(self.max_unknown_ratio * _mean_count(clips, keywords, "train")), 1)
        by_name = {f"{c.path.parent.name}/{c.path.name}": c.path for c in unknown}
        dropped = {by_name[name] for name in ranked(by_name, ["unknown", seed])[most:]}
        if dropped:
            kept = len(unknown) - len(dropped)
            notes.append(f"_unknown_ in train: {kept} of {len(unknown)}, by max_unknown_ratio")
        return [c for c in clips if c.path not in dropped]

    def _noise_recordings(self, root: Path) -> tuple[Path, ...]:
        beside = root / BACKGROUND_NOISE
        folder = self.noise.expanduser() if self.noise else beside if beside.is_dir() else None
        if folder is None:
            if self.silence:
                raise DataError(
                    f"{root}: _silence_ needs noise recordings; give dataset.noise, put them in "
                    f"{beside}, or set silence = false"
                )
            return ()
        return noise_recordings(_existing(folder))

    def _silence_clips(
        self,
        clips: Sequence[Clip],
        keywords: Sequence[str],
        noise: dict[Split, tuple[Path, ...]],
        front_end: FrontEnd,
        seed: int,
    ) -> list[Clip]:
        silence: list[Clip] = []
        for split in SPLITS:
            count = max(round(self.silence_ratio * _mean_count(clips, keywords, split)), 1)
            silence += silence_clips(noise[split], count, front_end.window_s, split, seed)
        return silence


def _mean_count(clips: Sequence[Clip], keywords: Sequence[str], split: Split) -> float:
    chosen = frozenset(keywords)
    return sum(c.split == split and c.label in chosen for c in clips) / len(keywords)


def _noise_note(per_split: dict[Split, tuple[Path, ...]]) -> str:
    if not any(per_split.values()):
        return "no noise recordings: there is no _silence_, and no noise to mix in"
    counts = ", ".join(f"{split} {len(per_split[split])}" for split in SPLITS)
    return f"noise recordings per split: {counts}; no recording is in two"


def _existing(folder: Path) -> Path:
    if not folder.expanduser().is_dir():
        raise DataError(f"{folder}: no such folder; it is looked for from {Path.cwd()}")
    return folder.expanduser()


def _stamps(folder: Path) -> Iterable[tuple[str, int, int]]:
    top = os.fspath(folder)
    for where, _, names in os.walk(top, followlinks=True):
        for name in names:
            path = f"{where}/{name}"
            try:
                stat = os.stat(path)  # noqa: PTH116 ten thousand Path objects are slow
            except FileNotFoundError:  # a dangling link, which is told when it is read
                continue
            yield path[len(top) :], stat.st_size, stat.st_mtime_ns
