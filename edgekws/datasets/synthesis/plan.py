"""Plan the utterances of a synthetic dataset, and synthesise them."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from edgekws.core.canonical import sha256_file, sha256_of
from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.core.events import Emit, progress
from edgekws.datasets.listing.silence import silence_clips
from edgekws.datasets.synthesis.held_out import HeldOut
from edgekws.datasets.synthesis.noise_recordings import make_noise
from edgekws.datasets.synthesis.pronunciation import check_accents
from edgekws.datasets.synthesis.rendering import Fit, Format, Utterance, render
from edgekws.datasets.synthesis.sentences import (
    SentenceFields,
    Spoken,
    by_voice,
    clips_of,
    length_notes,
    plan_sentences,
    voice_notes,
)
from edgekws.datasets.synthesis.vocabulary import Vocabulary, vocabulary
from edgekws.datasets.synthesis.voices import EngineVoices, SplitVoices, in_turn, split_voices
from edgekws.runtime.front_end import FrontEnd
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of

_NOISE_S = (10, 60)
_RECORDINGS = 5


class SyntheticFields(SentenceFields, Protocol):
    """The fields of `synthetic.Dataset` used here."""

    @property
    def held_out(self) -> HeldOut:
        """What test holds out if several engines speak."""

    def clips(self, label: str, split: Split) -> int:
        """Return the number of clips of `label` in `split`."""


class Synthesised(NamedTuple):
    """What was spoken: clips, sentences without a keyword, and notes on how they were made."""

    clips: list[Clip]
    sentences: list[Clip]
    notes: list[str]


def synthesise(
    fields: SyntheticFields, front_end: FrontEnd, seed: int, folder: Path, cache: Path, emit: Emit
) -> Synthesised:
    """Write clips, sentences and noise under `folder`; raw speech is kept under `cache`."""
    with Espeak() as espeak:
        accents = accents_of(fields.language, espeak.accents(), espeak.names())
        check_accents(fields.keywords, fields.language, accents, espeak)
    cast = split_voices(fields.voices, accents, fields.keywords[0], seed, fields.held_out)
    with Espeak() as espeak:
        words = vocabulary(fields, espeak, cast.spoken(accents), seed)
    spoken = list(chain.from_iterable(_plan(fields, words, cast.of, seed)))
    read = [s for split in SPLITS for s in plan_sentences(fields, words, cast.of, split, seed)]
    wave_format = Format(front_end.sample_rate, front_end.window_samples)
    render(by_voice([*spoken, *read]), wave_format, seed, folder, emit, cache)
    clips, sentences = clips_of(spoken, folder), clips_of(read, folder)
    clips += _silence(fields, clips, front_end, seed, folder, emit)
    notes = [*_notes(words, cast, clips), *length_notes(sentences)]
    return Synthesised(clips, sentences, [*notes, *_samples_notes(fields, spoken, folder)])


def _plan(
    fields: SyntheticFields,
    vocabulary: Vocabulary,
    voices: dict[Split, list[EngineVoices]],
    seed: int,
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
    voices: Sequence[EngineVoices],
    seed: int,
) -> list[Spoken]:
    """Distribute `count` clips of `label` over engines and voices, in random order."""
    place = SPLITS.index(split)
    rng = np.random.default_rng([seed, place, index])
    order, turns = in_turn(voices, rng), rng.permutation(count)
    spoken: list[Spoken] = []
    for i, (engine, voice) in zip(range(count), order, strict=False):
        texts = vocabulary.unknown(split, voice) if label == UNKNOWN else (label,)
        path = f"{split}/{index:02d}/{i:05d}.flac"
        number = (place * 10_000 + index) * 1_000_000 + i
        text = texts[turns[i] % len(texts)]
        fit: Fit = "cut" if label == UNKNOWN else "whole"
        spoken.append(Spoken(split, label, engine, voice, Utterance(text, path, number, fit)))
    return spoken


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


def _notes(vocabulary: Vocabulary, cast: SplitVoices, clips: Sequence[Clip]) -> list[str]:
    fillers = _counts(vocabulary.fillers)
    near = _counts({s: {t for ts in of.values() for t in ts} for s, of in vocabulary.near.items()})
    return [
        *voice_notes(vocabulary, cast, clips),
        f"words of _unknown_ per split: {fillers}, and near-sounding ones: {near}",
        "_silence_ and the noise for augmentation: white, pink, brown, hum and babble made for "
        "each split",
        *vocabulary.notes,
    ]


def _counts(parts: Mapping[Split, Collection[str]]) -> str:
    return ", ".join(f"{split} {len(parts[split])}" for split in SPLITS)


def _samples_notes(fields: SyntheticFields, spoken: Sequence[Spoken], folder: Path) -> list[str]:
    """Return the number and a hash of the clips of each engine that others may lack."""
    notes = []
    for kind in dict.fromkeys(engine.kind for engine in fields.voices):
        if kind != "espeak":
            paths = [one.said.path for one in spoken if one.engine.kind == kind]
            content = sha256_of([sha256_file(folder / path) for path in paths])
            notes.append(f"{kind}: {len(paths)} clips, sha256 {content[:16]}")
    return notes
