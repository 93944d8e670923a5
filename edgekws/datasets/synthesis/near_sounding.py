"""Words that sound similar to a keyword, made by small edits of its phonemes.

The edits are on espeak-ng's phoneme mnemonics, so they work for any keyword in any language
without a dictionary: new sounds are drawn from those in other words of the language.
"""

from collections.abc import Callable, Iterable

import numpy as np

Word = tuple[str, ...]
Sounds = tuple[str, ...]

_VOWELS = frozenset("aeiouyAEIOUVY@0369&")
_STRESS = "',%="
_ALIKE = tuple(map(frozenset, ("pb", "td", "kg", "sz", "fv", "SZ", "TD", "mn", "nN", "rl", "tT")))
_DRAWS = 200


def plain(phoneme: str) -> str:
    """Return a phoneme without its stress mark."""
    return phoneme.lstrip(_STRESS)


def is_vowel(phoneme: str) -> bool:
    """Return whether a mnemonic is a vowel.

    >>> [p for p in ("l", "'aI", "t", "s") if is_vowel(p)]
    ["'aI"]
    """
    return plain(phoneme)[:1] in _VOWELS


def spoken(words: Iterable[Word]) -> str:
    """Return phonemes as text that espeak-ng speaks.

    >>> spoken([("l", "'aI", "t"), ("'0", "n")])
    "[[l|'aI|t '0|n]]"
    """
    return f"[[{' '.join('|'.join(word) for word in words)}]]"


def sound_of(words: Iterable[Iterable[str]]) -> str:
    """Return the phonemes without stress, equal for words that sound the same."""
    return "".join(plain(p) for word in words for p in word)


def sound_of_text(text: str) -> str:
    """Return the phonemes of text made by `spoken`, without stress.

    >>> sound_of_text("[[l|'aI|t '0|n]]")
    'laIt0n'
    """
    return sound_of(word.split("|") for word in text.strip("[]").split())


def near_sounding(
    keyword: tuple[Word, ...],
    inventory: Iterable[str],
    count: int,
    taken: frozenset[str],
    rng: np.random.Generator,
) -> tuple[str, ...]:
    """Return up to `count` near-sounding words, each as text that espeak-ng speaks.

    In turn: another first consonant (a rhyme), another last consonant, another vowel, only the
    first half, only the second half. Consonants that differ only in voicing are not exchanged
    (people hear the keyword), and no result sounds like one of `taken`.
    """
    sounds = tuple(dict.fromkeys(p for word in keyword for p in word))
    if not sounds or any(p.startswith("(") for p in sounds):
        return ()
    inventory = sorted({plain(p) for p in inventory if not p.startswith(("(", "_"))})
    similar: dict[str, str] = {}
    for turn in range(_DRAWS):
        if len(similar) == count:
            break
        flat = [p for word in keyword for p in word]
        edited = _EDITS[turn % len(_EDITS)](flat, inventory, rng)
        sound = sound_of([edited])
        if edited and sound not in taken | similar.keys():
            similar[sound] = spoken([edited])
    return tuple(similar.values())


def _exchange(place: int, flat: list[str], choices: list[str], rng: np.random.Generator) -> Word:
    old = flat[place]
    stress = old[: len(old) - len(plain(old))]
    different = [c for c in choices if c[:1] != plain(old)[:1] and not _alike(c, plain(old))]
    if not different:
        return ()
    new = stress + different[int(rng.integers(len(different)))]
    return (*flat[:place], new, *flat[place + 1 :])


def _alike(a: str, b: str) -> bool:
    return frozenset((a[:1], b[:1])) in _ALIKE


def _consonants(inventory: list[str]) -> list[str]:
    return [p for p in inventory if not is_vowel(p) and p[:1].isalpha()]


def _other_onset(flat: list[str], inventory: list[str], rng: np.random.Generator) -> Word:
    if is_vowel(flat[0]):
        choices = _consonants(inventory)
        return (choices[int(rng.integers(len(choices)))], *flat) if choices else ()
    return _exchange(0, flat, _consonants(inventory), rng)


def _other_coda(flat: list[str], inventory: list[str], rng: np.random.Generator) -> Word:
    if is_vowel(flat[-1]):
        choices = _consonants(inventory)
        return (*flat, choices[int(rng.integers(len(choices)))]) if choices else ()
    return _exchange(len(flat) - 1, flat, _consonants(inventory), rng)


def _other_vowel(flat: list[str], inventory: list[str], rng: np.random.Generator) -> Word:
    vowels = [i for i, p in enumerate(flat) if is_vowel(p)]
    if not vowels:
        return ()
    place = vowels[int(rng.integers(len(vowels)))]
    return _exchange(place, flat, [p for p in inventory if is_vowel(p)], rng)


def _first_half(flat: list[str], inventory: list[str], rng: np.random.Generator) -> Word:
    half = tuple(flat[: (len(flat) + 1) // 2])
    return half if len(flat) >= 5 and any(map(is_vowel, half)) else ()


def _second_half(flat: list[str], inventory: list[str], rng: np.random.Generator) -> Word:
    half = tuple(flat[len(flat) // 2 :])
    return half if len(flat) >= 5 and any(map(is_vowel, half)) else ()


_EDITS: tuple[Callable[[list[str], list[str], np.random.Generator], Word], ...] = (
    _other_onset,
    _other_coda,
    _other_vowel,
    _first_half,
    _second_half,
)
