"""Recordings in the layout of Speech Commands: `<root>/<word>/<file>`.

Source of the layout: Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech
Recognition", 2018, https://arxiv.org/abs/1804.03209.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from edgekws.core.canonical import sha256_of
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import Listing
from edgekws.core.events import Emit
from edgekws.core.fields import Fields
from edgekws.core.source_code import fingerprint
from edgekws.datasets._fields import (
    DevFraction,
    Keywords,
    MaxUnknownRatio,
    NearCopiesRule,
    Negatives,
    NoiseFolder,
    Silence,
    SilenceRatio,
    SpeakerPattern,
    Spoken,
    TestFraction,
    Unknown,
)
from edgekws.datasets.listing.clips import (
    Choice,
    choose_keywords,
    find_noise,
    labels_of,
    list_recordings,
)
from edgekws.datasets.listing.labels import BACKGROUND_NOISE, word_name
from edgekws.datasets.listing.negatives import negative_stamps
from edgekws.datasets.listing.source import existing, stamps
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.word_folders import Recordings, find_recordings
from edgekws.datasets.synthesis.spoken_sentences import spoken_stamp
from edgekws.runtime.front_end import FrontEnd


class Dataset(Fields):
    """Word folders, with splits from lists, from tables, or by speaker.

    - `validation_list.txt` and `testing_list.txt` under the root list dev and test;
    - `train.csv` with `val.csv` (columns `file,class`): `val.csv` is test, dev is held out of
      `train.csv`; with a `test.csv` too, `val.csv` is dev;
    - splits that these do not give are held out by speaker: test by a hash of the speaker's name
      only, dev by a hash of seed and name.
    """

    kind: Literal["folder"] = "folder"
    root: Path = Field(description="Folder of the word folders, relative to the working directory")
    keywords: Keywords = None
    unknown: Unknown = True
    max_unknown_ratio: MaxUnknownRatio = None
    negatives: Negatives = ()
    spoken: Spoken = None
    noise: NoiseFolder = None
    silence: Silence = None
    silence_ratio: SilenceRatio = 0.4
    dev_fraction: DevFraction = 0.15
    test_fraction: TestFraction = 0.1
    speaker_pattern: SpeakerPattern = "^([^_]+)_"
    near_copies: NearCopiesRule = "refuse"

    def fingerprint(self) -> str:
        """Return a hash of the fields and of the name, size and time of every file.

        Raises:
            DataError: a folder is missing.
            MissingPartError: an engine of `spoken` is not installed.
        """
        fields = self.model_dump(mode="json", exclude={"root", "noise", "negatives", "spoken"})
        folders = [existing(folder) for folder in (self.root, self.noise) if folder]
        files = [*map(stamps, folders), *negative_stamps(self.negatives)]
        code, spoken = fingerprint(__name__, ("soundfile",)), spoken_stamp(self.spoken)
        return sha256_of([fields, files, code, *spoken])

    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the logits.

        Without `keywords` the folder is listed; with them it need not exist.

        Raises:
            DataError: a folder is missing.
        """
        root = self.root.expanduser()
        noise = self.noise is not None or (root / BACKGROUND_NOISE).is_dir()
        if self.keywords is None:
            contents = find_recordings(root, self.noise)
            words = {recording.word for recording in contents.recordings}
            words |= {UNKNOWN} if self.spoken or self.negatives else set()
            return labels_of(self._choice, self._keywords(contents), words, noise=noise)
        others = ("any other word",)
        return labels_of(self._choice, tuple(map(word_name, self.keywords)), others, noise=noise)

    def list_clips(self, front_end: FrontEnd, seed: int, cache: Path, emit: Emit) -> Listing:
        """List the recordings; reads no audio except some windows of noise.

        Raises:
            DataError: a folder, keyword or listed file is missing, a table is wrong, there are
                too few speakers or noise recordings to split, or `spoken` cannot be spoken.
            MissingPartError: an engine of `spoken` is not installed.
        """
        root = self.root.expanduser()
        contents = find_recordings(root, self.noise.expanduser() if self.noise else None)
        noise = find_noise(self.noise, root, self.silence is True, contents.ignored)
        rule = Rule(self.speaker_pattern, self.dev_fraction, self.test_fraction)
        keywords, speak = self._keywords(contents), None
        if self.spoken:
            speak = partial(self.spoken.list_sentences, keywords, front_end, seed, cache, emit)
        listing = list_recordings(
            contents, self._choice, keywords, rule, noise, front_end, seed, root,
            negatives=self.negatives, speak=speak,
        )  # fmt: skip
        return replace(listing, near_copies=self.near_copies)

    @property
    def _choice(self) -> Choice:
        return Choice(
            self.keywords, self.unknown, self.max_unknown_ratio, self.silence, self.silence_ratio
        )

    def _keywords(self, contents: Recordings) -> tuple[str, ...]:
        root = self.root.expanduser()
        missing = f"holds no word folders; expected {root}/<word>/<recording>"
        return choose_keywords(self._choice, {r.word for r in contents.recordings}, root, missing)
