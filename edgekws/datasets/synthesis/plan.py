"""Plan the utterances of a synthetic dataset, and synthesise them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from edgekws.audio.opening import length_s
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.core.events import Emit, progress
from edgekws.datasets.listing.silence import silence_clips
from edgekws.datasets.listing.speakers import three_way
from edgekws.datasets.synthesis.espeak import Espeak, accents_of
from edgekws.datasets.synthesis.filler_words import filler_words, sentence, small_words
from edgekws.datasets.synthesis.near_sounding import Word, near_sounding, sound_of
from edgekws.datasets.synthesis.noise_recordings import make_noise
from edgekws.datasets.synthesis.pronunciation import borrowed, distinct, speakable, spelt
from edgekws.datasets.synthesis.rendering import Fit, Format, Utterance, VoiceTask, render
from edgekws.datasets.synthesis.voice_families import Family, families
from edgekws.datasets.synthesis.voices import Variants, Voice, distinct_variants, voices_per_split
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

HELD_OUT = 0.2
"""Share of the words of `_unknown_` that only test has, and of the others only dev."""

SENTENCES = 9_999
"""What sentences have in place of the number of a label."""

WORDS_PER_MINUTE = 190
"""Somewhat more than the voices speak, pauses included: what is asked for is a minimum."""

_NOISE_S = (10, 60)
_RECORDINGS = 5


class SyntheticFields(Protocol):
    """The fields of `synthetic.Dataset` used here."""

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keywords, each a label."""

    @property
    def language(self) -> str:
        """The language, as an espeak-ng code."""

    @property
    def unknown_words(self) -> tuple[str, ...] | None:
        """The words of `_unknown_`; `None` for the default list."""

    @property
    def near_sounding(self) -> int:
        """The number of near-sounding words per keyword in `_unknown_`."""

    def clips(self, label: str, split: Split) -> int:
        """Return the number of clips of `label` in `split`."""

    def speech_s(self, split: Split) -> float:
        """Return how many seconds of sentences there are in `split`."""


class Vocabulary(NamedTuple):
    """What is spoken: accents, and by split the filler words and near-sounding words.

    `avoided` are the words that sound like a keyword, and the keywords: no sentence has them.
    """

    accents: tuple[tuple[str, str], ...]
    fillers: dict[Split, tuple[str, ...]]
    near: dict[Split, dict[str, tuple[str, ...]]]
    avoided: frozenset[str]
    notes: tuple[str, ...]

    def unknown(self, split: Split, accent: str) -> tuple[str, ...]:
        """Return the texts of `_unknown_` in `accent`."""
        return self.fillers[split] + self.near[split][accent]


class Synthesised(NamedTuple):
    """What was spoken: clips, sentences without a keyword, and notes on how they were made."""

    clips: list[Clip]
    sentences: list[Clip]
    notes: list[str]


def synthesise(
    fields: SyntheticFields, front_end: FrontEnd, seed: int, folder: Path, emit: Emit
) -> Synthesised:
    """Write clips, sentences and noise under `folder`."""
    with Espeak() as espeak:
        vocabulary = _vocabulary(fields, espeak, seed)
        data = espeak.data
    variants = distinct_variants(data, vocabulary.accents[0][1], fields.keywords[0])
    kept = families(data, variants.kept)
    voices = voices_per_split(vocabulary.accents, kept, seed)
    spoken = list(chain.from_iterable(_plan(fields, vocabulary, voices, seed)))
    told = [s for split in SPLITS for s in _sentences(fields, vocabulary, voices, split, seed)]
    wave_format = Format(front_end.sample_rate, front_end.window_samples)
    render(_by_voice([*spoken, *told]), wave_format, seed, folder, emit)
    clips, sentences = (
        [Clip(folder / u.path, label, v.name, split) for split, label, v, u in part]
        for part in (spoken, told)
    )
    clips += _silence(fields, clips, front_end, seed, folder, emit)
    notes = _notes(vocabulary, variants, kept, clips)
    return Synthesised(clips, sentences, [*notes, *_sentence_notes(sentences)])


Spoken = tuple[Split, str, Voice, Utterance]


def _vocabulary(fields: SyntheticFields, espeak: Espeak, seed: int) -> Vocabulary:
    accents = accents_of(fields.language, espeak.accents(), espeak.names())
    words = fields.unknown_words or filler_words(fields.language)
    small = small_words(fields.language)
    near: dict[str, tuple[str, ...]] = {}
    homophones: set[str] = set()
    foreign: set[str] = set()
    letters: set[str] = set()
    notes: list[str] = []
    for _, accent in accents:
        espeak.use(accent)
        keywords = speakable(fields.keywords, fields.language, espeak)
        distinct(keywords, fields.language)
        fillers = speakable(words, fields.language, espeak)
        foreign |= set(borrowed(keywords))
        letters |= set(spelt(keywords, espeak))
        taken = frozenset(map(sound_of, keywords.values()))
        spoken = fillers | speakable(small, fields.language, espeak)
        homophones |= {w for w, p in spoken.items() if sound_of(p) in taken}
        near[accent] = _near(keywords, fillers, fields.near_sounding, taken, seed)
    if letters:
        spelt_out = ", ".join(sorted(letters))
        notes.append(
            f"espeak-ng reads letter by letter: {spelt_out}; respell what is said as a word"
        )
    if foreign:
        notes.append(f"espeak-ng reads as another language's: {', '.join(sorted(foreign))}")
    if others := homophones.difference(fields.keywords):
        left_out = ", ".join(sorted(others))
        notes.append(f"left out, sounding like a keyword: {left_out}")
    kept = tuple(word for word in dict.fromkeys(words) if word not in homophones)
    if not kept:
        raise DataError("unknown_words: all sound like a keyword; name others")
    parts = _apart(kept, seed)
    near_parts = _apart({text for texts in near.values() for text in texts}, seed)
    if parts["train"] == parts["test"]:
        notes.append(f"_unknown_: the same {len(kept)} words in every split; 3 are needed to split")
    return Vocabulary(
        accents,
        parts,
        {
            split: {a: tuple(t for t in texts if t in of) for a, texts in near.items()}
            for split, of in near_parts.items()
        },
        frozenset(homophones).union(fields.keywords),
        tuple(notes),
    )


def _apart(words: Iterable[str], seed: int) -> dict[Split, tuple[str, ...]]:
    """Share words out to the splits: none is in two, unless there are fewer than three."""
    words = tuple(words)
    if len(words) < len(SPLITS):
        return dict.fromkeys(SPLITS, words)
    names = three_way(words, HELD_OUT, HELD_OUT, ["words", seed])
    return {split: tuple(w for w in words if w in frozenset(names[split])) for split in SPLITS}


def _near(
    keywords: dict[str, tuple[Word, ...]],
    fillers: dict[str, tuple[Word, ...]],
    count: int,
    taken: frozenset[str],
    seed: int,
) -> tuple[str, ...]:
    inventory = [p for word in chain(*fillers.values(), *keywords.values()) for p in word]
    near: list[str] = []
    for keyword, phonemes in keywords.items():
        rng = np.random.default_rng([seed, *keyword.encode()])
        near += near_sounding(phonemes, inventory, count, taken, rng)
    return tuple(dict.fromkeys(near))


def _plan(
    fields: SyntheticFields, vocabulary: Vocabulary, voices: dict[Split, list[Voice]], seed: int
) -> list[list[Spoken]]:
    return [
        _spoken(label, index, fields.clips(label, split), split, vocabulary, voices[split], seed)
        for split in SPLITS
        for index, label in enumerate((*fields.keywords, UNKNOWN))
    ]


def _spoken(
    label: str,
    index: int,
    count: int,
    split: Split,
    vocabulary: Vocabulary,
    voices: Sequence[Voice],
    seed: int,
) -> list[Spoken]:
    """Distribute `count` clips of `label` evenly over the voices, in random order."""
    place = SPLITS.index(split)
    rng = np.random.default_rng([seed, place, index])
    order, turns = rng.permutation(len(voices)), rng.permutation(count)
    spoken: list[Spoken] = []
    for i in range(count):
        voice = voices[order[i % len(voices)]]
        texts = vocabulary.unknown(split, voice.accent) if label == UNKNOWN else (label,)
        path = f"{split}/{index:02d}/{i:05d}.flac"
        number = (place * 10_000 + index) * 1_000_000 + i
        text = texts[turns[i] % len(texts)]
        fit: Fit = "cut" if label == UNKNOWN else "whole"
        spoken.append((split, label, voice, Utterance(text, path, number, fit)))
    return spoken


def _sentences(
    fields: SyntheticFields,
    vocabulary: Vocabulary,
    voices: dict[Split, list[Voice]],
    split: Split,
    seed: int,
) -> list[Spoken]:
    """Give sentences to the voices of a split in a drawn order, until there are enough words."""
    place = SPLITS.index(split)
    rng = np.random.default_rng([seed, place, SENTENCES])
    order = rng.permutation(len(voices[split]))
    left, spoken = fields.speech_s(split) / 60 * WORDS_PER_MINUTE, list[Spoken]()
    while left > 0:
        i = len(spoken)
        text = sentence(fields.language, vocabulary.fillers[split], vocabulary.avoided, rng)
        left -= len(text.split())
        number = (place * 10_000 + SENTENCES) * 1_000_000 + i
        said = Utterance(text, f"{split}/sentences/{i:05d}.flac", number, "long")
        spoken.append((split, UNKNOWN, voices[split][order[i % len(order)]], said))
    return spoken


def _by_voice(spoken: Sequence[Spoken]) -> list[VoiceTask]:
    tasks: dict[Voice, list[Utterance]] = {}
    for _, _, voice, utterance in spoken:
        tasks.setdefault(voice, []).append(utterance)
    return [VoiceTask(voice, tuple(utterances)) for voice, utterances in tasks.items()]


def _silence(
    fields: SyntheticFields,
    clips: Sequence[Clip],
    front_end: FrontEnd,
    seed: int,
    folder: Path,
    emit: Emit,
) -> list[Clip]:
    silence: list[Clip] = []
    for place, split in enumerate(SPLITS):
        speech = [c.path for c in clips if c.split == split and c.label == UNKNOWN]
        where = folder / "noise" / split
        count = fields.clips(SILENCE, split)
        # twice the length of the windows cut from them, so that these seldom overlap
        seconds = int(np.clip(2 * count * front_end.window_s / _RECORDINGS, *_NOISE_S))
        names = make_noise(where, speech, seconds, front_end.sample_rate, [seed, place])
        recordings = [where / name for name in names]
        silence += silence_clips(recordings, count, front_end.window_s, split, seed)
        progress(emit, "making noise", place + 1, len(SPLITS), unit="splits")
    return silence


def _notes(
    vocabulary: Vocabulary, variants: Variants, kept: Sequence[Family], clips: Sequence[Clip]
) -> list[str]:
    speakers = ", ".join(
        f"{split} {len({c.speaker for c in clips if c.split == split and c.speaker})}"
        for split in SPLITS
    )
    accents = ", ".join(code for code, _ in vocabulary.accents)
    fillers = _counts(vocabulary.fillers)
    near = _counts({s: {t for ts in of.values() for t in ts} for s, of in vocabulary.near.items()})
    return [
        f"voices (accent+variant) per split: {speakers}; no variant, and no family of variants "
        "that sound alike, is in two splits",
        f"accents: {accents}; variants: {len(variants.kept)} kept, in {len(kept)} families, the "
        f"largest of {max(map(len, kept))} (always of train); left out: "
        f"{len(variants.alike)} alike, "
        f"{len(variants.inaudible)} inaudible",
        f"words of _unknown_ per split: {fillers}, and near-sounding ones: {near}",
        "_silence_ and the noise for augmentation: white, pink, brown, hum and babble made for "
        "each split",
        *vocabulary.notes,
    ]


def _counts(parts: Mapping[Split, Collection[str]]) -> str:
    return ", ".join(f"{split} {len(parts[split])}" for split in SPLITS)


def _sentence_notes(sentences: Sequence[Clip]) -> list[str]:
    if not sentences:
        return []
    minutes = ", ".join(
        f"{split} {sum(length_s(c.path) for c in sentences if c.split == split) / 60:.0f}"
        for split in SPLITS
    )
    return [f"minutes of sentences without a keyword: {minutes}; no sentence is in two splits"]
