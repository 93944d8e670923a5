"""The words that a synthetic dataset speaks, by split and accent."""

from collections.abc import Collection, Iterable
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekws.core.corpus import SPLITS, Split
from edgekws.core.speech import Accents, Voice
from edgekws.datasets.listing.speakers import three_way
from edgekws.datasets.synthesis.filler_words import filler_words, sentence, small_words
from edgekws.datasets.synthesis.near_sounding import (
    Word,
    near_sounding,
    sound_of,
    sound_of_text,
)
from edgekws.datasets.synthesis.pronunciation import (
    borrowed,
    speakable,
    spelt,
    unmarked,
)
from edgekws.errors import DataError
from edgekws.synthesizers.speaking.espeak_ng import Espeak

HELD_OUT = 0.2
"""Share of the words of `_unknown_` that only test has, and of the others only dev."""

INVENTED, NEAR = 0.2, 0.01
"""Shares of the words of sentences replaced by invented words, and in train by near-sounding ones.
"""

NEIGHBOURS, PER_PHONEME = 0.02, 1 / 6
"""The share of speech that sounds like a word of two phonemes but for one of them, and the factor
for each phoneme more, to six: measured on English by `tools/neighbour_rates.py`.

Sentences of dev and test have as many near-sounding words, because false alarms are counted there.
"""

_NO_MARKS = str.maketrans("j", "i", "@#_-:")

PER_FILLER = 3
"""Invented words for each filler word."""


class SpokenFields(Protocol):
    """The fields of `synthetic.Dataset` that name words."""

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


class Vocabulary(NamedTuple):
    """What is spoken: accents, and by split the filler, near-sounding and invented words.

    Invented words are to the filler words what near-sounding words are to the keywords: they give
    sentences more sounds next to each other than a few hundred words have.
    `avoided` are the words that sound like a keyword, and the keywords: no sentence has them.
    `frequencies` are those of the near-sounding words of an accent among the words of speech.
    """

    accents: Accents
    fillers: dict[Split, tuple[str, ...]]
    near: dict[Split, dict[str, tuple[str, ...]]]
    invented: dict[Split, dict[str, tuple[str, ...]]]
    avoided: frozenset[str]
    frequencies: dict[str, dict[str, float]]
    notes: tuple[str, ...]

    def unknown(self, split: Split, voice: Voice) -> tuple[str, ...]:
        """Return the texts of `_unknown_` for a voice; without phonemes only the real words."""
        return self.fillers[split] + (self.near[split][voice.accent] if voice.phonemes else ())

    def sentence(self, language: str, split: Split, voice: Voice, rng: np.random.Generator) -> str:
        """Return a sentence without a keyword, some of its words invented or near-sounding.

        A voice that does not speak phonemes has real words only.
        """
        text = sentence(language, self.fillers[split], self.avoided, rng)
        if not voice.phonemes:
            return text
        near, invented = self.near[split][voice.accent], self.invented[split][voice.accent]
        share, weights = self._near_share(split, voice.accent)
        words = []
        for word in text.split():
            draw = rng.random()
            others = near if draw < share else invented if draw < share + INVENTED else ()
            p = weights if draw < share else None
            words.append(others[int(rng.choice(len(others), p=p))] if others else word)
        return " ".join(words)

    def _near_share(self, split: Split, accent: str) -> tuple[float, NDArray[np.float64] | None]:
        """Return the share of near-sounding words in sentences, and of each among them."""
        if split == "train":
            return NEAR, None
        of_word = self.frequencies[accent]
        weights = np.array([of_word[word] for word in self.near[split][accent]])
        return min(sum(of_word.values()), INVENTED), weights / weights.sum()


def vocabulary(fields: SpokenFields, espeak: Espeak, accents: Accents, seed: int) -> Vocabulary:
    """Return the words of a dataset in `accents`, and notes on how espeak-ng reads them.

    Raises:
        DataError: a keyword is not speakable, or no other word is left.
    """
    words = fields.unknown_words or filler_words(fields.language)
    small = small_words(fields.language)
    near: dict[str, tuple[str, ...]] = {}
    frequencies: dict[str, dict[str, float]] = {}
    invented: dict[str, dict[str, tuple[str, ...]]] = {}
    homophones: set[str] = set()
    foreign: set[str] = set()
    letters: set[str] = set()
    guesses: dict[str, str] = {}
    notes: list[str] = []
    for _, accent in accents:
        espeak.use(accent)
        keywords = speakable(fields.keywords, fields.language, espeak)
        fillers = speakable(words, fields.language, espeak)
        foreign |= set(borrowed(keywords))
        letters |= set(spelt(keywords, espeak))
        guesses |= unmarked(keywords)
        taken = frozenset(map(sound_of, keywords.values()))
        spoken = fillers | speakable(small, fields.language, espeak)
        homophones |= {w for w, p in spoken.items() if _says_one_of(taken, w, p)}
        frequencies[accent] = _near(keywords, fillers, fields.near_sounding, taken, seed)
        near[accent] = tuple(frequencies[accent])
        invented[accent] = _invented(fillers, taken, seed)
    if letters:
        spelt_out = ", ".join(sorted(letters))
        notes.append(
            f"espeak-ng reads letter by letter: {spelt_out}; respell what is said as a word"
        )
    if guesses:
        readings = ", ".join(f"{word} as {sounds}" for word, sounds in guesses.items())
        notes.append(
            f"espeak-ng guesses vowels that are not written: {readings}; write vowel marks where "
            "it is wrong"
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
        {
            split: {
                a: tuple(t for word in of for t in texts.get(word, ()))
                for a, texts in invented.items()
            }
            for split, of in parts.items()
        },
        frozenset(homophones).union(fields.keywords),
        frequencies,
        tuple(notes),
    )


def _says_one_of(taken: Collection[str], text: str, reading: tuple[Word, ...]) -> bool:
    """Return whether a text sounds like a keyword, or is a number that contains one: `21`, "один".

    espeak-ng joins the words of some numbers, and reads digits with other variants of a sound than
    the written word: `3` as `tR;i`, "три" as `t@-r;I`.
    """
    sounds = sound_of(reading)
    if not text.isdecimal():
        return sounds in taken
    return any(_rough(sound) in _rough(sounds) for sound in taken if _rough(sound))


def _rough(sounds: str) -> str:
    """Return phonemes in lower case, without schwas, pauses and marks."""
    return sounds.translate(_NO_MARKS).casefold()


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
) -> dict[str, float]:
    """Return the near-sounding words, and how often each is among the words of speech."""
    inventory = [p for word in chain(*fillers.values(), *keywords.values()) for p in word]
    near: dict[str, float] = {}
    for keyword, phonemes in keywords.items():
        rng = np.random.default_rng([seed, *keyword.encode()])
        words = near_sounding(phonemes, inventory, count, taken, rng)
        for word in words:
            near.setdefault(word, neighbours(sum(map(len, phonemes))) / len(words))
    return near


def neighbours(phonemes: int) -> float:
    """Return the share of speech that sounds like a word of so many phonemes but for one.

    >>> [round(9000 * neighbours(phonemes), 1) for phonemes in (2, 3, 4, 5, 6)]  # per hour
    [180.0, 30.0, 5.0, 0.8, 0.1]
    """
    return NEIGHBOURS * PER_PHONEME ** (min(max(phonemes, 2), 6) - 2)


def _invented(
    fillers: dict[str, tuple[Word, ...]], taken: frozenset[str], seed: int
) -> dict[str, tuple[str, ...]]:
    """Return words made from each filler word, none of which contains a keyword's sounds."""
    inventory = frozenset(p for word in chain(*fillers.values()) for p in word)
    invented = {}
    for filler, phonemes in fillers.items():
        rng = np.random.default_rng([seed, *filler.encode()])
        words = near_sounding(phonemes, inventory, PER_FILLER, taken, rng)
        invented[filler] = tuple(w for w in words if not any(t in sound_of_text(w) for t in taken))
    return invented
