"""Google Speech Commands, version 1 and 2, in the layout of torchaudio's `SPEECHCOMMANDS`.

Source: Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", 2018,
https://arxiv.org/abs/1804.03209; addresses and checksums as in torchaudio and tensorflow-datasets.
"""

import hashlib
import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from edgekws.audio.folders import audio_files, ignored_line
from edgekws.core.canonical import sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Listing, Split
from edgekws.core.events import Emit, Event
from edgekws.core.fields import Fields
from edgekws.core.source_code import fingerprint
from edgekws.datasets._download import Archive, fetch, unpack
from edgekws.datasets._fields import NearCopiesRule, Negatives, Spoken
from edgekws.datasets.listing.clips import (
    at_most,
    cut_silence,
    find_noise,
    mean_count,
    noise_note,
    unheard_notes,
)
from edgekws.datasets.listing.labels import BACKGROUND_NOISE
from edgekws.datasets.listing.negatives import list_negatives, negative_stamps
from edgekws.datasets.listing.silence import noise_per_split
from edgekws.datasets.listing.source import stamps
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.word_folders import (
    LISTS,
    Recording,
    find_recordings,
)
from edgekws.datasets.synthesis.spoken_sentences import spoken_stamp
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

_WORDS_30 = (
    *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow"),
)
WORDS = {
    "12": _WORDS_30[:10],
    "30": _WORDS_30,
    "35": (*_WORDS_30, "backward", "follow", "forward", "learn", "visual"),
}
"""The keywords of each preset, in the order of the labels."""

_URL = "http://download.tensorflow.org/data/"
ARCHIVES = {
    "v1": Archive(
        _URL + "speech_commands_v0.01.tar.gz",
        "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
    ),
    "v2": Archive(
        _URL + "speech_commands_v0.02.tar.gz",
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    ),
}
TEST_ARCHIVES = {
    "v2": Archive(
        _URL + "speech_commands_test_set_v0.02.tar.gz",
        "cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df",
    ),
}
"""The test set of 12 classes; there is no published checksum for version 1's, which is used if it
is present, but not downloaded."""

HELD_OUT = 0.15
"""Share of the speakers of `negatives` that dev and test have each."""

_FOLDER_IN_ARCHIVE = "SpeechCommands"
_NUMBERS = {"v1": "v0.01", "v2": "v0.02"}
_MAX_CLIPS_PER_WORD = 2**27 - 1


class Dataset(Fields):
    """The words of Speech Commands with their official splits.

    - dev and test are those of `validation_list.txt` and `testing_list.txt`, or, without the
      lists, of the hash that generated them;
    - preset 12: ten commands, `_unknown_` (all other words) and `_silence_` (cut from
      `_background_noise_`), both with as many clips in each split as the mean command has, the
      10 % of the official recipe;
    - preset 12 is tested on the official `speech_commands_test_set_v0.02` if it is present;
    - preset 35 (version 2) and 30 (version 1): every word, no filler classes.

    `root` holds `SpeechCommands/speech_commands_v0.02`, as written by torchaudio, or
    `speech_commands_v0.02`, or the word folders themselves.
    """

    kind: Literal["speech_commands"] = "speech_commands"
    root: Path = Field(
        description="Folder of the data, relative to the working directory; --download fills it"
    )
    version: Literal["v1", "v2"] = Field("v2", description="v1 has 30 words, v2 has 35")
    preset: Literal["12", "30", "35"] = Field(
        "12", description="12: ten commands, _unknown_ and _silence_; 30 or 35: every word"
    )

    negatives: Negatives = ()
    spoken: Spoken = None
    near_copies: NearCopiesRule = "refuse"

    @field_validator("preset", mode="before")
    @classmethod
    def _as_text(cls, preset: object) -> object:
        """Convert 12 to "12": `--set dataset.preset=12` is a number."""
        return str(preset) if type(preset) is int else preset

    @field_validator("preset")
    @classmethod
    def _every_word(cls, preset: str, info: ValidationInfo) -> str:
        version = info.data.get("version")
        if (preset, version) in (("30", "v2"), ("35", "v1")):
            every_word = "35" if version == "v2" else "30"
            raise ValueError(f"version {version} has no preset {preset}; choose 12 or {every_word}")
        return preset

    def fingerprint(self) -> str:
        """Return a hash of the fields and of the name, size and time of every file.

        Raises:
            DataError: the data is missing.
            MissingPartError: an engine of `spoken` is not installed.
        """
        test = self._test_set()
        files: list[object] = [stamps(self._folder()), stamps(test) if test else []]
        fields = self.model_dump(mode="json", exclude={"root", "negatives", "spoken"})
        files += negative_stamps(self.negatives)
        code, spoken = fingerprint(__name__, ("soundfile",)), spoken_stamp(self.spoken)
        return sha256_of([fields, files, code, *spoken])

    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the logits."""
        return (*WORDS[self.preset], *((UNKNOWN, SILENCE) if self.preset == "12" else ()))

    def list_clips(self, front_end: FrontEnd, seed: int, cache: Path, emit: Emit) -> Listing:
        """List the recordings; reads no audio except some windows of noise.

        Raises:
            DataError: the data, a word, a list or a noise recording is missing, or `spoken` cannot
                be spoken.
            MissingPartError: an engine of `spoken` is not installed.
        """
        folder = self._folder()
        recordings, notes = self._recordings(folder)
        fillers, words = self.preset == "12", frozenset(WORDS[self.preset])
        clips = [
            Clip(
                r.path,
                label,
                _speaker(r.path),
                r.split or "train",
                word=r.word if label == UNKNOWN else None,
            )
            for r in recordings
            if (label := r.word if r.word in words else UNKNOWN) in words or fillers
        ]
        rule = Rule("", HELD_OUT, HELD_OUT)
        ignored: Counter[str] = Counter()
        negatives = list_negatives(self.negatives, clips, rule, seed, folder, ignored)
        notes += ignored_line(ignored)
        others = Counter(r.word for r in recordings if r.word not in words)
        if others and not fillers:
            names = ", ".join(sorted(others))
            notes.append(f"left out: {others.total()} clips of other words ({names})")
        noise = find_noise(None, folder, silence=False, ignored=Counter())
        if fillers and len(noise) < len(SPLITS):
            raise DataError(
                f"{folder / BACKGROUND_NOISE}: holds {len(noise)} recordings, but _silence_ needs "
                "one for each split; unpack the archive again"
            )
        per_split = noise_per_split(noise, seed, fillers)
        if fillers:
            clips = self._with_fillers(clips, per_split, front_end, seed, notes)
        notes.append(noise_note(per_split))
        notes += unheard_notes(clips)
        if self.spoken:
            keywords = WORDS[self.preset]
            sentences = self.spoken.list_sentences(keywords, front_end, seed, cache, emit)
            negatives += sentences.clips
            notes += sentences.notes
        return Listing(
            self.labels(),
            tuple(clips),
            per_split["train"],
            tuple(notes),
            negatives=tuple(negatives),
            near_copies=self.near_copies,
        )

    def download(self, emit: Emit) -> None:
        """Download and unpack the archives missing under the root; resumes interrupted transfers.

        Raises:
            DataError: the server cannot be reached, or sends a different file.
        """
        root = self.root.expanduser()
        if self._words() is None:
            self._install(ARCHIVES[self.version], root, emit)
        test = TEST_ARCHIVES.get(self.version)
        if not test or self.preset != "12" or self._test_set() is not None:
            return
        if self._words() == root:
            problem = f"{root} holds the word folders themselves, with no place next to them for"
            advice = "set dataset.root to the folder above"
            emit(Event("warning", f"{problem} {test.name}; {advice}"))
        else:
            self._install(test, root, emit)

    def _install(self, archive: Archive, root: Path, emit: Emit) -> None:
        file = fetch(archive, root, emit)
        target = root / _FOLDER_IN_ARCHIVE / file.name.removesuffix(".tar.gz")
        unpack(file, target, emit)
        emit(Event("note", f"unpacked {target}; {file} is no longer needed"))

    @property
    def _name(self) -> str:
        return f"speech_commands_{_NUMBERS[self.version]}"

    def _find(self, name: str, inside: str) -> Path | None:
        root = self.root.expanduser()
        candidates = (root / _FOLDER_IN_ARCHIVE / name, root / name)
        return next((folder for folder in candidates if (folder / inside).is_dir()), None)

    def _words(self) -> Path | None:
        root = self.root.expanduser()
        return self._find(self._name, "yes") or (root if (root / "yes").is_dir() else None)

    def _folder(self) -> Path:
        folder = self._words()
        if folder is None:
            raise DataError(
                f"{self.root}: holds no {_FOLDER_IN_ARCHIVE}/{self._name}; set dataset.root to "
                "the folder that does, or download it there with edgekws compress --download"
            )
        return folder

    def _test_set(self) -> Path | None:
        if self.preset != "12":
            return None
        return self._find(self._name.replace("commands", "commands_test_set"), UNKNOWN)

    def _recordings(self, folder: Path) -> tuple[list[Recording], list[str]]:
        contents = find_recordings(folder, None)
        missing = [w for w in WORDS[self.preset] if w not in {r.word for r in contents.recordings}]
        if missing:
            raise DataError(
                f"{folder}: has no recordings of {', '.join(missing)}; unpack the archive of "
                f"version {self.version} again, or set dataset.version"
            )
        lists = [name for name in LISTS if name in contents.given_by]
        if len(lists) == 1:
            absent = next(name for name in LISTS if name not in lists)
            raise DataError(f"{folder}: has {lists[0]} but no {absent}; restore it, or remove both")
        source = f"given by {', '.join(lists)}" if lists else "by the hash of the speaker's name"
        notes = [f"splits: {source}", *ignored_line(contents.ignored)]
        if lists:
            return contents.recordings, notes
        return [r._replace(split=which_set(r.path.name)) for r in contents.recordings], notes

    def _with_fillers(
        self,
        clips: list[Clip],
        noise: dict[Split, tuple[Path, ...]],
        front_end: FrontEnd,
        seed: int,
        notes: list[str],
    ) -> list[Clip]:
        test_set = self._test_set()
        if test_set:
            listed = sum(clip.split == "test" for clip in clips)
            official = self._official(test_set)
            notes.append(
                f"test: the {len(official)} clips of {test_set.name}, with _silence_ cut by its "
                f"authors from the noise recordings; {listed} clips of the test list left out"
            )
            clips = [clip for clip in clips if clip.split != "test"] + official
        splits = SPLITS[:2] if test_set else SPLITS
        means = {s: math.ceil(mean_count(clips, WORDS[self.preset], s)) for s in splits}
        kept = [clip for clip in clips if clip.label != UNKNOWN or clip.split not in means]
        for split, most in means.items():
            unknown = [c for c in clips if c.split == split and c.label == UNKNOWN]
            kept += at_most(unknown, most, ["unknown", split])
            notes.append(f"_unknown_ in {split}: {min(most, len(unknown))} of {len(unknown)}")
        return kept + cut_silence(noise, means, front_end, seed)

    def _official(self, test_set: Path) -> list[Clip]:
        absent = [label for label in self.labels() if not (test_set / label).is_dir()]
        if absent:
            raise DataError(
                f"{test_set}: has no folder {', '.join(absent)}; unpack the archive again, or "
                "remove the folder to test on the test list"
            )
        return [
            Clip(path, label, _speaker(path), "test", word=_said(path, label))
            for label in self.labels()
            for path in audio_files(test_set / label, Counter())
        ]


def _said(path: Path, label: str) -> str | None:
    """Return the word of a clip of the official test set: `bed` of `bed_0ab3b47d_nohash_0.wav`."""
    return path.name.partition("_")[0] if label == UNKNOWN else None


def which_set(name: str) -> Split:
    """Return the split of a file by its name: 10 % dev, 10 % test, each speaker in one split.

    Source: `which_set` in the README of the data set; its hash was used to make the lists.

    >>> which_set("026290a7_nohash_0.wav"), which_set("bb05582b_nohash_3.wav")
    ('dev', 'test')
    """
    speaker = re.sub(r"_nohash_.*$", "", name)
    number = int(hashlib.sha1(os.fsencode(speaker), usedforsecurity=False).hexdigest(), 16)
    percentage = number % (_MAX_CLIPS_PER_WORD + 1) * (100.0 / _MAX_CLIPS_PER_WORD)
    return "dev" if percentage < 10 else "test" if percentage < 20 else "train"


def _speaker(path: Path) -> str | None:
    """Return the speaker: `0ab3b47d` of `0ab3b47d_nohash_0.wav` and `bed_0ab3b47d_nohash_0.wav`."""
    match = re.search(r"([^_]+)_nohash_", path.name)
    return match.group(1) if match else None
