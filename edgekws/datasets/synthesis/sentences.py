"""Plan sentences without a keyword, and speak them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from edgekws.audio.opening import length_s
from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.core.events import Emit
from edgekws.core.protocols import Synthesizer
from edgekws.core.speech import Voice
from edgekws.datasets.synthesis.filler_words import filler_words
from edgekws.datasets.synthesis.rendering import Format, Utterance, VoiceTask, render
from edgekws.datasets.synthesis.vocabulary import SpokenFields, Vocabulary, vocabulary
from edgekws.datasets.synthesis.voices import EngineVoices, SplitVoices, in_turn, split_voices
from edgekws.runtime.front_end import FrontEnd
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of

SENTENCES = 9_999
"""What sentences have in place of the number of a label."""

WORDS_PER_MINUTE = 190
"""Somewhat more than the voices speak, pauses included: what is asked for is a minimum."""

FEW_WORDS = 8
"""Fewer words of a split make sentences that repeat themselves."""


class SentenceFields(SpokenFields, Protocol):
    """The fields of a dataset with spoken sentences."""

    @property
    def voices(self) -> tuple[Synthesizer, ...]:
        """The engines."""

    @property
    def sentence_shares(self) -> Mapping[str, float]:
        """The shares in the sentences of the engines for which they differ."""

    def speech_s(self, split: Split) -> float:
        """Return how many seconds of sentences there are in `split`."""


class Spoken(NamedTuple):
    """An utterance with its split, label, engine and voice."""

    split: Split
    label: str
    engine: Synthesizer
    voice: Voice
    said: Utterance


def speak_sentences(
    fields: SentenceFields, front_end: FrontEnd, seed: int, folder: Path, cache: Path, emit: Emit
) -> tuple[list[Clip], list[str]]:
    """Write sentences under `folder`; return them, and notes on how they were made.

    Raw speech is kept under `cache`.

    Raises:
        DataError: the language is unknown, no word is left, or there are too few voices.
        MachineError: a process that speaks died.
    """
    with Espeak() as espeak:
        accents = accents_of(fields.language, espeak.accents(), espeak.names())
    first_word = (fields.unknown_words or filler_words(fields.language))[0]
    cast = split_voices(fields.voices, accents, first_word, seed)
    with Espeak() as espeak:
        words = vocabulary(fields, espeak, cast.spoken(accents), seed)
    said = [s for split in SPLITS for s in plan_sentences(fields, words, cast.of, split, seed)]
    wave_format = Format(front_end.sample_rate, front_end.window_samples)
    render(by_voice(said), wave_format, seed, folder, emit, cache)
    clips = clips_of(said, folder)
    notes = [*voice_notes(words, cast, clips), _word_note(words), *words.notes]
    return clips, [*length_notes(clips), *(f"spoken sentences: {note}" for note in notes)]


def plan_sentences(
    fields: SentenceFields,
    vocabulary: Vocabulary,
    voices: dict[Split, list[EngineVoices]],
    split: Split,
    seed: int,
) -> list[Spoken]:
    """Give sentences to the voices of a split in a drawn order, until there are enough words."""
    place = SPLITS.index(split)
    rng = np.random.default_rng([seed, place, SENTENCES])
    order = in_turn([_in_sentences(entry, fields) for entry in voices[split]], rng)
    left, spoken = fields.speech_s(split) / 60 * WORDS_PER_MINUTE, list[Spoken]()
    while left > 0:
        i = len(spoken)
        engine, voice = next(order)
        text = vocabulary.sentence(fields.language, split, voice, rng)
        left -= len(text.split())
        number = (place * 10_000 + SENTENCES) * 1_000_000 + i
        said = Utterance(text, f"{split}/sentences/{i:05d}.flac", number, "long")
        spoken.append(Spoken(split, UNKNOWN, engine, voice, said))
    return spoken


def _in_sentences(entry: EngineVoices, fields: SentenceFields) -> EngineVoices:
    """Return the voices with the engine's share of the sentences in place of that of the clips."""
    share = fields.sentence_shares.get(entry.engine.kind, entry.engine.share)
    return entry._replace(engine=entry.engine.model_copy(update={"share": share}))


def by_voice(spoken: Sequence[Spoken]) -> list[VoiceTask]:
    """Return the task of each voice, its utterances in their order."""
    tasks: dict[Voice, tuple[Synthesizer, list[Utterance]]] = {}
    for item in spoken:
        tasks.setdefault(item.voice, (item.engine, []))[1].append(item.said)
    return [VoiceTask(engine, voice, tuple(said)) for voice, (engine, said) in tasks.items()]


def clips_of(spoken: Sequence[Spoken], folder: Path) -> list[Clip]:
    """Return the clips of utterances that were written under `folder`."""
    return [
        Clip(folder / s.said.path, s.label, s.voice.name, s.split, synthesizer=s.engine.kind)
        for s in spoken
    ]


def voice_notes(words: Vocabulary, cast: SplitVoices, clips: Sequence[Clip]) -> list[str]:
    """Return the lines for the report with the voices of each split, and the accents."""
    speakers = ", ".join(
        f"{split} {len({c.speaker for c in clips if c.split == split and c.speaker})}"
        for split in SPLITS
    )
    accents = ", ".join(code for code, _ in words.accents)
    return [
        f"voices (accent+variant) per split: {speakers}; no variant, and no family of variants "
        "that sound alike, is in two splits",
        f"accents: {accents}; {'; '.join(cast.notes)}",
    ]


def _word_note(words: Vocabulary) -> str:
    counts = ", ".join(f"{split} {len(words.fillers[split])}" for split in SPLITS)
    few = any(len(words.fillers[split]) < FEW_WORDS for split in SPLITS)
    advice = "; these are few: name more in unknown_words" if few else ""
    return f"words per split: {counts}{advice}"


def length_notes(sentences: Sequence[Clip]) -> list[str]:
    """Return the line for the report with the minutes of each split, if there are any."""
    if not sentences:
        return []
    minutes = ", ".join(
        f"{split} {sum(length_s(c.path) for c in sentences if c.split == split) / 60:.0f}"
        for split in SPLITS
    )
    return [f"minutes of sentences without a keyword: {minutes}; no sentence is in two splits"]
