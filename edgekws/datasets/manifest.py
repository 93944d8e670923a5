"""Recordings listed in a table: CSV, TSV or JSON lines, one clip per row."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from edgekws.core.canonical import sha256_file, sha256_of
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
from edgekws.datasets.listing.manifest_rows import Columns, beyond_the_end, filtered, recordings
from edgekws.datasets.listing.negatives import negative_stamps
from edgekws.datasets.listing.source import existing, stamps
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.listing.tables import SUFFIXES, read_table
from edgekws.datasets.listing.windows import Windows
from edgekws.datasets.listing.word_folders import Recordings
from edgekws.datasets.synthesis.spoken_sentences import spoken_stamp
from edgekws.runtime.front_end import FrontEnd

_APART = ("path", "root", "noise", "negatives", "spoken")
"""Fields with locations of files, or with a fingerprint of their own."""


class Dataset(Fields):
    """A table of clips with the columns `path,label,speaker,split,start_s,end_s`.

    Only `path` and `label` are required. `start_s` and `end_s` cut a clip out of a long recording.
    Splits that the table does not give are held out by speaker: test by a hash of the speaker's
    name only, dev by a hash of seed and name. Rows labelled `_unknown_` or `_silence_` are those
    classes; if there are rows of `_silence_`, none is cut from the noise unless `silence = true`.

    To spot keywords in continuous speech, `windows` cuts several windows of the front end's
    `window_s` around every keyword of a longer recording, others with only half of it, and others
    of the speech around it; `negatives` adds recordings without a keyword.
    """

    kind: Literal["manifest"] = "manifest"
    path: Path = Field(
        description="The table, .csv, .tsv or .jsonl, relative to the working directory"
    )
    root: Path | None = Field(
        None, description="Folder to which its paths are relative; default: that of the table"
    )
    columns: Columns = Field(
        Columns(), description='Columns with other names: columns = { path = "file" }'
    )
    where: dict[str, tuple[str, ...]] = Field(
        {}, description='Only rows with these values: where = { kind = ["isolated"] }'
    )
    keywords: Keywords = None
    unknown: Unknown = True
    max_unknown_ratio: MaxUnknownRatio = None
    windows: Windows | None = Field(
        None,
        description="Cut windows out of recordings longer than a keyword: windows = "
        "{ per_keyword = 4, partial = 1, per_negative_second = 0.5 }",
    )
    negatives: Negatives = ()
    spoken: Spoken = None
    noise: NoiseFolder = None
    silence: Silence = None
    silence_ratio: SilenceRatio = 0.4
    dev_fraction: DevFraction = 0.15
    test_fraction: TestFraction = 0.1
    speaker_pattern: SpeakerPattern = "^([^_]+)_"
    near_copies: NearCopiesRule = "refuse"

    @field_validator("path")
    @classmethod
    def _is_a_table(cls, path: Path) -> Path:
        if path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path} is not a table; use one of {', '.join(SUFFIXES)}")
        return path

    @model_validator(mode="after")
    def _no_unused_fields(self) -> Self:
        problem = _unused_field(self.windows, self.unknown)
        if problem:
            raise PydanticCustomError("no_effect", "{problem}", {"problem": problem})
        return self

    def fingerprint(self) -> str:
        """Return a hash of the fields, the table, and size and time of every file in it.

        Raises:
            DataError: the table, a file or a folder is missing, or a row is wrong.
            MissingPartError: an engine of `spoken` is not installed.
        """
        fields = self.model_dump(mode="json", exclude={*_APART})
        files = [(path.stat().st_size, path.stat().st_mtime_ns) for path in self._files()]
        noise = stamps(existing(self.noise)) if self.noise else []
        background = self._root / BACKGROUND_NOISE
        if self.noise is None and background.is_dir():
            noise = stamps(background)
        negatives = negative_stamps(self.negatives)
        table = sha256_file(self.path.expanduser())
        code = fingerprint(__name__, ("soundfile",))
        spoken = spoken_stamp(self.spoken)
        return sha256_of([fields, table, files, noise, negatives, code, *spoken])

    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the logits.

        With `keywords` the table need not exist; other words and `_unknown_` are then assumed.

        Raises:
            DataError: the table is missing or wrong, or a keyword has no rows.
        """
        noise = self.noise is not None or (self._root / BACKGROUND_NOISE).is_dir()
        if self.keywords and not self.path.expanduser().exists():
            keywords = tuple(map(word_name, self.keywords))
            return labels_of(self._choice, keywords, ("any other word",), noise=noise)
        contents = self._read()
        words = {recording.word for recording in contents.recordings}
        if self.spoken or self.negatives or (self.windows and self.windows.gives_unknown):
            words.add(UNKNOWN)
        return labels_of(self._choice, self._keywords(contents), words, noise=noise)

    def list_clips(self, front_end: FrontEnd, seed: int, cache: Path, emit: Emit) -> Listing:
        """List the rows; reads no audio except some windows of noise.

        Raises:
            DataError: the table is missing, columns or rows are wrong (lists the first ten
                problems), a keyword has no rows or fits in no window, there are too few
                speakers or noise recordings to split, or `spoken` cannot be spoken.
            MissingPartError: an engine of `spoken` is not installed.
        """
        contents = self._read()
        keywords, speak = self._keywords(contents), None
        if self.spoken:
            speak = partial(self.spoken.list_sentences, keywords, front_end, seed, cache, emit)
        listing = list_recordings(
            contents,
            self._choice,
            keywords,
            self._rule,
            find_noise(self.noise, self._root, self.silence is True, contents.ignored),
            front_end,
            seed,
            self.path,
            self.windows,
            self.negatives,
            speak,
        )
        late = tuple(beyond_the_end(contents.recordings))
        notes = (*listing.notes, *late)
        return replace(listing, notes=notes, near_copies=self.near_copies)

    @property
    def _root(self) -> Path:
        return (self.root or self.path.parent).expanduser()

    @property
    def _choice(self) -> Choice:
        return Choice(
            self.keywords, self.unknown, self.max_unknown_ratio, self.silence, self.silence_ratio
        )

    @property
    def _rule(self) -> Rule:
        return Rule(
            self.speaker_pattern, self.dev_fraction, self.test_fraction, self.columns.speaker
        )

    def _keywords(self, contents: Recordings) -> tuple[str, ...]:
        words = {recording.word for recording in contents.recordings}
        missing = f"holds no rows with a word in column {self.columns.label!r}"
        return choose_keywords(self._choice, words, self.path, missing)

    def _read(self) -> Recordings:
        table = read_table(self.path.expanduser())
        rows = filtered(table, self.where)
        contents = Recordings(recordings(table, rows, self.columns, self._root, self._rule))
        table.refuse()
        if any(recording.split for recording in contents.recordings):
            contents.given_by = (self.path.name,)
        unused = self.columns.unused(table, self.where)
        if unused:
            contents.ignored[f"unused columns ({', '.join(unused)})"] = len(unused)
        if len(rows) < len(table.rows):
            contents.ignored["rows by dataset.where"] = len(table.rows) - len(rows)
        return contents

    def _files(self) -> Iterator[Path]:
        yield from dict.fromkeys(recording.path for recording in self._read().recordings)


def _unused_field(windows: Windows | None, unknown: bool) -> str | None:
    """Return the message for a field without effect, `None` if there is none."""
    if windows and windows.gives_unknown and not unknown:
        return (
            "windows of _unknown_ have no effect with unknown = false; "
            "set partial = 0 and per_negative_second = 0, or unknown = true"
        )
    return None
