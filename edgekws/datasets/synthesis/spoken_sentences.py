"""Sentences without a keyword, spoken for recordings of words: a table of the recipe."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pydantic import Field, field_validator

from edgekws.core.canonical import sha256_of
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.core.events import Emit
from edgekws.core.fields import Fields
from edgekws.core.protocols import AnySynthesizer
from edgekws.core.store import build_folder
from edgekws.datasets.listing.labels import readable
from edgekws.datasets.synthesis.clip_tables import (
    load_clips,
    load_notes,
    save_clips,
    save_notes,
)
from edgekws.datasets.synthesis.identity import speech_code
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

_NEAR_SOUNDING = 4
"""Words per keyword and accent, as a dataset of kind `synthetic` has by default."""

_SENTENCES = "sentences.csv"


class Sentences(NamedTuple):
    """Sentences of every split, labelled `_unknown_`, and notes on how they were made."""

    clips: tuple[Clip, ...] = ()
    notes: tuple[str, ...] = ()


class SpokenSentences(Fields):
    """Sentences of ordinary words without a keyword, synthesised on this machine.

    Train, dev and test have different voices and words. Sentences are those of a dataset of kind
    `synthetic`, with its rooms and its background noise.
    """

    language: str = Field(
        "en",
        min_length=2,
        description="espeak-ng's code for the language or accent: en, en-us, de, ar, …",
    )
    voices: tuple[AnySynthesizer, ...] = Field(
        ({"kind": "espeak"},),
        validate_default=True,
        min_length=1,
        description="Engines that speak, such as espeak, piper and kokoro, each with its share",
    )
    unknown_words: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Words of the sentences; without it some 560 common English words, or the "
        "numbers 0 to 69 in any other language",
    )
    without: tuple[str, ...] | None = Field(
        None,
        description="Words that no sentence may contain, as they are spoken; default: the "
        'keywords. Name them if a label is not what is said: without = ["1"] for the label one '
        "and Arabic recordings; [] if no keyword is a word of the language",
    )
    minutes: float = Field(
        60, gt=0, le=6000, description="Minutes of sentences for training; about"
    )
    dev_minutes: float = Field(
        60, gt=0, le=6000, description="The same for dev: other voices, other words"
    )
    test_minutes: float = Field(
        60, gt=0, le=6000, description="The same for test: other voices, other words"
    )

    @field_validator("unknown_words", "without")
    @classmethod
    def _are_words(cls, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return readable(words)

    @property
    def keywords(self) -> tuple[str, ...]:
        """The words that no sentence contains."""
        return self.without or ()

    @property
    def near_sounding(self) -> int:
        """The number of words near-sounding to a keyword among those of the sentences."""
        return _NEAR_SOUNDING

    @property
    def sentence_shares(self) -> Mapping[str, float]:
        """Nothing: each engine has its own share."""
        return MappingProxyType({})

    def speech_s(self, split: Split) -> float:
        """Return how many seconds of sentences there are in `split`."""
        minutes = {"train": self.minutes, "dev": self.dev_minutes, "test": self.test_minutes}
        return 60 * minutes[split]

    def describe(self) -> str:
        """Return how much is spoken, by whom and in what language."""
        minutes = ", ".join(f"{split} {self.speech_s(split) / 60:g}" for split in SPLITS)
        engines = ", ".join(engine.kind for engine in self.voices)
        return (
            f"sentences without a keyword: spoken by {engines} in language {self.language!r}; "
            f"minutes: {minutes}"
        )

    def fingerprint(self) -> str:
        """Return a hash of the fields, the engines and the code that speaks.

        Raises:
            MissingPartError: an engine is not installed.
        """
        engines = [engine.fingerprint() for engine in self.voices]
        return sha256_of([self.model_dump(mode="json"), engines, speech_code(__name__)])

    def list_sentences(
        self, labels: Sequence[str], front_end: FrontEnd, seed: int, cache: Path, emit: Emit
    ) -> Sentences:
        """Speak the sentences, unless they are in `cache/sentences`, and list them.

        `labels` are the keywords of the dataset.

        Raises:
            DataError: the language is unknown, a keyword cannot be read in it, no word is left, or
                there are too few voices.
            MissingPartError: an engine is not installed.
            UsageError: an engine runs a program, which was not allowed.
            MachineError: the cache cannot be written, or a process died.
        """
        wanted = self
        if self.without is None:
            wanted = self.model_copy(update={"without": tuple(labels)})
        rate, window = front_end.sample_rate, front_end.window_samples
        key = sha256_of([wanted.fingerprint(), seed, rate, window])
        folder = build_folder(
            cache / "sentences" / key,
            lambda partial: wanted._speak(front_end, seed, partial, cache, emit),
            emit,
        )
        return Sentences(load_clips(folder, _SENTENCES), load_notes(folder))

    def _speak(self, front_end: FrontEnd, seed: int, folder: Path, cache: Path, emit: Emit) -> None:
        from edgekws.datasets.synthesis.pronunciation import check_readable
        from edgekws.datasets.synthesis.sentences import speak_sentences

        check_readable(self.language, ())
        try:
            check_readable(self.language, self.keywords)
        except DataError as error:
            raise DataError(
                f"dataset.spoken: {error}; the words that no sentence may contain are "
                "dataset.spoken.without, by default the keywords"
            ) from error
        clips, notes = speak_sentences(self, front_end, seed, folder, cache, emit)
        save_clips(folder, _SENTENCES, clips)
        save_notes(folder, notes)


def spoken_stamp(spoken: SpokenSentences | None) -> list[str]:
    """Return the fingerprint of the sentences, nothing if there are none.

    Raises:
        MissingPartError: an engine is not installed.
    """
    return [spoken.fingerprint()] if spoken else []
