"""Near-sounding words differ from the keyword, and little."""

import numpy as np
import pytest

from edgekws.datasets.synthesis.near_sounding import is_vowel, near_sounding, sound_of
from edgekws.synthesizers.speaking.espeak_ng import Espeak

LIGHTS = (("l", "'aI", "t", "s"),)
INVENTORY = ["l", "'aI", "t", "s", "n", "k", "m", "u:", "E", "z", "b"]


def variants(
    count: int, seed: int = 0, taken: frozenset[str] = frozenset()
) -> list[tuple[str, ...]]:
    words = near_sounding(LIGHTS, INVENTORY, count, taken, np.random.default_rng(seed))
    return [tuple(text.removeprefix("[[").removesuffix("]]").split("|")) for text in words]


def test_each_is_another_word_at_one_place() -> None:
    words = variants(6)
    assert len(words) == len(set(words)) == 6
    for word in words:
        assert len(word) == 4
        places = [i for i, (a, b) in enumerate(zip(word, LIGHTS[0], strict=True)) if a != b]
        assert len(places) == 1
        assert is_vowel(word[places[0]]) == is_vowel(LIGHTS[0][places[0]])
        assert word[1].startswith("'")


def test_a_consonant_is_not_exchanged_for_its_voiced_twin() -> None:
    finals = {word[-1] for seed in range(30) for word in variants(6, seed)}
    assert "z" not in finals
    assert {"n", "k", "m", "b"} <= finals


def test_nothing_sounds_like_what_is_taken() -> None:
    taken = frozenset(sound_of([word]) for word in variants(3))
    assert not taken & {sound_of([word]) for word in variants(6, taken=taken)}


def test_long_words_give_their_halves() -> None:
    volume = (("v", "'0", "l", "j", "u:", "m"),)
    words = near_sounding(volume, INVENTORY, 5, frozenset(), np.random.default_rng(0))
    assert {"[[v|'0|l]]", "[[j|u:|m]]"} <= set(words)


def test_a_word_that_espeak_reads_in_another_language_gives_none() -> None:
    mixed = (("(en)", "l", "'aI", "t", "(ru)"),)
    assert near_sounding(mixed, INVENTORY, 5, frozenset(), np.random.default_rng(0)) == ()


@pytest.mark.parametrize(
    ("language", "keyword"), [("zle/ru", "включи"), ("sem/ar", "نعم"), ("gmw/en-US", "zoom in")]
)
def test_espeak_speaks_them_in_any_language(language: str, keyword: str) -> None:
    with Espeak() as espeak:
        espeak.use(language)
        phonemes = espeak.phonemes(keyword)
        inventory = [p for number in "0123456789" for w in espeak.phonemes(number) for p in w]
        taken = frozenset([sound_of(phonemes)])
        words = near_sounding(phonemes, inventory, 6, taken, np.random.default_rng(0))
        waves = [espeak.say(word) for word in words]
    assert len(words) == 6
    assert all(np.abs(wave).max() > 0.05 for wave in waves)
    assert len({wave.tobytes() for wave in waves}) == 6
