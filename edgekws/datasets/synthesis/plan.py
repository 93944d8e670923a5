"""Plan the utterances of a synthetic dataset, and synthesise them."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.core.events import Emit, progress
from edgekws.datasets.listing.silence import silence_clips
from edgekws.datasets.synthesis.espeak import Espeak, accents_of
from edgekws.datasets.synthesis.filler_words import filler_words
from edgekws.datasets.synthesis.near_sounding import Word, near_sounding, sound_of
from edgekws.datasets.synthesis.noise_recordings import make_noise
from edgekws.datasets.synthesis.pronunciation import borrowed, distinct, speakable, spelt
from edgekws.datasets.synthesis.rendering import Format, Utterance, VoiceTask, render
from edgekws.datasets.synthesis.voice_families import Family, families
from edgekws.datasets.synthesis.voices import Variants, Voice, distinct_variants, voices_per_split
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd

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


class Vocabulary(NamedTuple):
    """The accents, filler words, and near-sounding words for each accent."""

    accents: tuple[tuple[str, str], ...]
    fillers: tuple[str, ...]
    near: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def unknown(self, accent: str) -> tuple[str, ...]:
        """Return the texts of `_unknown_` in `accent`."""
        return self.fillers + self.near[accent]


def synthesise(
    fields: SyntheticFields, front_end: FrontEnd, seed: int, folder: Path, emit: Emit
) -> tuple[list[Clip], list[str]]:
    """Write clips and noise under `folder`; return the clips and notes for the report."""
    with Espeak() as espeak:
        vocabulary = _vocabulary(fields, espeak, seed)
        data = espeak.data
    variants = distinct_variants(data, vocabulary.accents[0][1], fields.keywords[0])
    kept = families(data, variants.kept)
    voices = voices_per_split(vocabulary.accents, kept, seed)
    spoken = list(chain.from_iterable(_plan(fields, vocabulary, voices, seed)))
    clips = [Clip(folder / u.path, label, v.name, split) for split, label, v, u in spoken]
    wave_format = Format(front_end.sample_rate, front_end.window_samples)
    render(_by_voice(spoken), wave_format, seed, folder, emit)
    clips += _silence(fields, clips, front_end, seed, folder, emit)
    return clips, _notes(vocabulary, variants, kept, clips)


Spoken = tuple[Split, str, Voice, Utterance]


def _vocabulary(fields: SyntheticFields, espeak: Espeak, seed: int) -> Vocabulary:
    accents = accents_of(fields.language, espeak.accents(), espeak.names())
    words = fields.unknown_words or filler_words(fields.language)
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
        homophones |= {w for w, p in fillers.items() if sound_of(p) in taken}
        near[accent] = _near(keywords, fillers, fields.near_sounding, taken, seed)
    if letters:
        spelt_out = ", ".join(sorted(letters))
        notes.append(
            f"espeak-ng reads letter by letter: {spelt_out}; respell what is said as a word"
        )
    if foreign:
        notes.append(f"espeak-ng reads as another language's: {', '.join(sorted(foreign))}")
    if homophones:
        left_out = ", ".join(sorted(homophones))
        notes.append(f"left out of _unknown_, sounding like a keyword: {left_out}")
    kept = tuple(word for word in dict.fromkeys(words) if word not in homophones)
    if not kept:
        raise DataError("unknown_words: all sound like a keyword; give others")
    return Vocabulary(accents, kept, near, tuple(notes))


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
        texts = vocabulary.unknown(voice.accent) if label == UNKNOWN else (label,)
        path = f"{split}/{index:02d}/{i:05d}.flac"
        number = (place * 10_000 + index) * 1_000_000 + i
        text = texts[turns[i] % len(texts)]
        spoken.append((split, label, voice, Utterance(text, path, number, label != UNKNOWN)))
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
    near = sum(map(len, vocabulary.near.values()))
    return [
        f"voices (accent+variant) per split: {speakers}; no variant, and no family of variants "
        "that sound alike, is in two splits",
        f"accents: {accents}; variants: {len(variants.kept)} kept, in {len(kept)} families, the "
        f"largest of {max(map(len, kept))} (always of train); left out: "
        f"{len(variants.alike)} alike, "
        f"{len(variants.inaudible)} inaudible",
        f"_unknown_: {len(vocabulary.fillers)} words and {near} near-sounding ones over all "
        "accents, the same words in every split",
        "_silence_ and the noise for augmentation: white, pink, brown, hum and babble made for "
        "each split",
        *vocabulary.notes,
    ]
