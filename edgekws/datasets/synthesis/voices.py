"""The voices of synthetic speech, by split and engine.

Families of timbres are split: no timbre of train occurs in dev or test.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from edgekws.core.corpus import SPLITS, Split
from edgekws.core.protocols import Synthesizer
from edgekws.core.speech import Accents, Cast, Voice
from edgekws.datasets.listing.speakers import ranked, share_of
from edgekws.datasets.synthesis.held_out import Engine, HeldOut, speaking_splits
from edgekws.errors import DataError

_LEAST_FAMILIES = 3
DEV_SHARE = TEST_SHARE = 0.15

_PERSON = re.compile(r"(?<![a-z])(awb|bdl|clb|jmk|kal|ked|ksp|rms|slt)(?![a-z])")
"""People of whom several engines have a voice: `flite-slt`, `festival-cmu_us_slt_arctic_hts`."""

Family = tuple[str, ...]


class EngineVoices(NamedTuple):
    """The voices of an engine in one split."""

    engine: Synthesizer
    voices: tuple[Voice, ...]


class SplitVoices(NamedTuple):
    """The voices of every engine in each split, and notes on them."""

    of: dict[Split, list[EngineVoices]]
    notes: tuple[str, ...]

    def spoken(self, accents: Accents) -> Accents:
        """Return those of `accents` that any voice speaks."""
        every = chain.from_iterable(self.of.values())
        codes = frozenset(voice.code for entry in every for voice in entry.voices)
        return tuple(accent for accent in accents if accent[0] in codes)


def split_voices(
    engines: Sequence[Synthesizer],
    accents: Accents,
    probe: str,
    seed: int,
    held_out: HeldOut = "auto",
) -> SplitVoices:
    """Return the voices of every engine, each in one split only, as `speaking_splits` says.

    Raises:
        DataError: there are too few voices for three splits, or two have the same name.
    """
    by_split: dict[Split, list[EngineVoices]] = {split: [] for split in SPLITS}
    casts = [Engine(engine, engine.cast(accents, probe, seed)) for engine in engines]
    speaking, notes = speaking_splits(casts, held_out)
    for (engine, cast), splits in zip(casts, speaking, strict=True):
        for split, of in voices_per_split(cast, seed, splits).items():
            if of:
                by_split[split].append(EngineVoices(engine, tuple(of)))
    by_split, left_out = people_apart(by_split)
    _check(by_split)
    return SplitVoices(by_split, (*(entry.cast.note for entry in casts), *notes, *left_out))


def people_apart(
    by_split: Mapping[Split, Sequence[EngineVoices]],
) -> tuple[dict[Split, list[EngineVoices]], list[str]]:
    """Leave voices out of train and dev whose person another engine has in a later split.

    A note names them, if there are any.
    """
    apart: dict[Split, list[EngineVoices]] = {split: [] for split in SPLITS}
    heard: set[str | None] = set()
    left_out: list[str] = []
    for split in reversed(SPLITS):
        for engine, voices in by_split[split]:
            kept = tuple(voice for voice in voices if _person(voice) not in heard)
            left_out += [voice.variant for voice in voices if voice not in kept]
            if kept:
                apart[split].append(EngineVoices(engine, kept))
        heard.update(filter(None, (_person(v) for _, voices in apart[split] for v in voices)))
    names = ", ".join(left_out)
    return apart, [f"left out, as dev or test hears the same people: {names}"] if names else []


def _person(voice: Voice) -> str | None:
    """Return the person whose voice it is, if several engines have it."""
    match = _PERSON.search(voice.variant)
    return match[1] if match else None


def _check(by_split: dict[Split, list[EngineVoices]]) -> None:
    for split, group in by_split.items():
        if not group:
            raise DataError(
                f"no voice is left for {split}: an engine with fewer than 3 voices has them in "
                "train alone; add an engine, or say in which splits each speaks with splits"
            )
    seen: set[str] = set()
    for entry in chain.from_iterable(by_split.values()):
        for voice in entry.voices:
            if voice.name in seen:
                raise DataError(f"two engines have a voice {voice.name}; leave one out")
            seen.add(voice.name)


def voices_per_split(
    cast: Cast, seed: int, splits: tuple[Split, ...] = SPLITS
) -> dict[Split, list[Voice]]:
    """Give each of `splits` its own families (70, 15, 15 % of the timbres), in every accent.

    The largest family is always in train: it may hold more than half of the timbres.

    Raises:
        DataError: there are too few families for the splits.
    """
    families = cast.families
    if len(families) < len(splits):
        raise DataError(
            f"only {sum(map(len, families))} voices, in {len(families)} families of similar ones, "
            f"speak the first keyword audibly ({cast.note}); {len(splits)} families are needed, "
            "choose another keyword or language, or add an engine"
        )
    home, held_out = splits[0], [split for split in ("test", "dev") if split in splits[1:]]
    count = sum(map(len, families))
    pool = sorted(families, key=len)[:-1]
    groups: dict[Split, list[Family]] = {split: [] for split in SPLITS}
    for place, split in enumerate(held_out):
        share = share_of(count, TEST_SHARE if home == "train" else 0.5)
        left = len(held_out) - 1 - place
        groups[split] = _drawn(pool, share, [split, seed], leave=left)
        pool = [family for family in pool if family not in groups[split]]
    taken = list(chain.from_iterable(groups.values()))
    groups[home] = [family for family in families if family not in taken]
    return {
        split: list(chain.from_iterable(cast.voices[name] for name in sorted(chain(*group))))
        for split, group in groups.items()
    }


def _drawn(families: Sequence[Family], most: int, salt: object, leave: int = 0) -> list[Family]:
    """Draw at least one family and at most `most` timbres; `leave` some families undrawn."""
    by_name = {family[0]: family for family in families}
    order = ranked(by_name, salt)
    drawn = [by_name[order[0]]]
    for name in order[1 : len(order) - leave]:
        if sum(map(len, drawn)) + len(by_name[name]) <= most:
            drawn.append(by_name[name])
    return drawn


def in_turn(
    group: Sequence[EngineVoices], rng: np.random.Generator
) -> Iterator[tuple[Synthesizer, Voice]]:
    """Return an endless series of voices: each engine by its share, its voices in a drawn order."""
    orders = [rng.permutation(len(entry.voices)) for entry in group]
    drawn = [
        EngineVoices(engine, tuple(voices[i] for i in order))
        for (engine, voices), order in zip(group, orders, strict=True)
    ]
    return by_share(drawn)


def by_share(group: Sequence[EngineVoices]) -> Iterator[tuple[Synthesizer, Voice]]:
    """Return an endless series of voices: each engine by its share, its voices in order."""
    turns = [0] * len(group)
    while True:
        waits = [(n + 1) / entry.engine.share for n, entry in zip(turns, group, strict=True)]
        place = waits.index(min(waits))
        engine, voices = group[place]
        yield engine, voices[turns[place] % len(voices)]
        turns[place] += 1
