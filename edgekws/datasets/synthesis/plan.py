"""Plan the utterances of a synthetic dataset, and synthesise them."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from edgekws.audio.opening import length_s
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.core.events import Emit, progress
from edgekws.datasets.listing.silence import silence_clips
from edgekws.datasets.synthesis.espeak import Espeak
from edgekws.datasets.synthesis.noise_recordings import make_noise
from edgekws.datasets.synthesis.rendering import Fit, Format, Utterance, VoiceTask, render
from edgekws.datasets.synthesis.vocabulary import SpokenFields, Vocabulary, vocabulary
from edgekws.datasets.synthesis.voice_families import Family, families
from edgekws.datasets.synthesis.voices import Variants, Voice, distinct_variants, voices_per_split
from edgekws.runtime.front_end import FrontEnd

SENTENCES = 9_999
"""What sentences have in place of the number of a label."""

WORDS_PER_MINUTE = 190
"""Somewhat more than the voices speak, pauses included: what is asked for is a minimum."""

_NOISE_S = (10, 60)
_RECORDINGS = 5


class SyntheticFields(SpokenFields, Protocol):
    """The fields of `synthetic.Dataset` used here."""

    def clips(self, label: str, split: Split) -> int:
        """Return the number of clips of `label` in `split`."""

    def speech_s(self, split: Split) -> float:
        """Return how many seconds of sentences there are in `split`."""


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
        words = vocabulary(fields, espeak, seed)
        data = espeak.data
    variants = distinct_variants(data, words.accents[0][1], fields.keywords[0])
    kept = families(data, variants.kept)
    voices = voices_per_split(words.accents, kept, seed)
    spoken = list(chain.from_iterable(_plan(fields, words, voices, seed)))
    read = [s for split in SPLITS for s in _sentences(fields, words, voices, split, seed)]
    wave_format = Format(front_end.sample_rate, front_end.window_samples)
    render(_by_voice([*spoken, *read]), wave_format, seed, folder, emit)
    clips, sentences = (
        [Clip(folder / u.path, label, v.name, split) for split, label, v, u in part]
        for part in (spoken, read)
    )
    clips += _silence(fields, clips, front_end, seed, folder, emit)
    notes = _notes(words, variants, kept, clips)
    return Synthesised(clips, sentences, [*notes, *_sentence_notes(sentences)])


Spoken = tuple[Split, str, Voice, Utterance]


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
        voice = voices[split][order[i % len(order)]]
        text = vocabulary.sentence(fields.language, split, voice.accent, rng)
        left -= len(text.split())
        number = (place * 10_000 + SENTENCES) * 1_000_000 + i
        said = Utterance(text, f"{split}/sentences/{i:05d}.flac", number, "long")
        spoken.append((split, UNKNOWN, voice, said))
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
