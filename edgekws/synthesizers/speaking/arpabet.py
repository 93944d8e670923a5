"""English phonemes in the ARPAbet of CMU's engines, from the International Phonetic Alphabet."""

from collections.abc import Iterator

_SOUNDS = {
    "aɪə": "ay ax", "aɪɚ": "ay er", "aʊɚ": "aw er", "aɪ": "ay", "aʊ": "aw", "eɪ": "ey",
    "oʊ": "ow", "ɔɪ": "oy", "iə": "iy ax", "ɪɹ": "ih r", "ʊɹ": "uh r", "ɛɹ": "eh r",
    "ɑːɹ": "aa r", "ɔːɹ": "ao r", "oːɹ": "ao r", "iː": "iy", "uː": "uw", "ɑː": "aa", "ɔː": "ao",
    "oː": "ow", "ɜː": "er", "eː": "ey", "aː": "aa", "ɚ": "er", "ɪ": "ih", "ʊ": "uh", "ɛ": "eh",
    "æ": "ae", "ʌ": "ah", "ə": "ax", "ɐ": "ax", "ᵻ": "ih", "i": "iy", "u": "uw", "ɔ": "ao",
    "ɑ": "aa", "ɒ": "aa", "o": "ow", "e": "eh", "a": "ae", "ɜ": "er",
    "tʃ": "ch", "dʒ": "jh", "p": "p", "b": "b", "t": "t", "d": "d", "k": "k", "ɡ": "g", "g": "g",
    "f": "f", "v": "v", "θ": "th", "ð": "dh", "s": "s", "z": "z", "ʃ": "sh", "ʒ": "zh",
    "h": "hh", "x": "k", "m": "m", "n": "n", "ŋ": "ng", "l": "l", "ɫ": "l", "ɹ": "r", "r": "r",
    "ɾ": "d", "w": "w", "ʍ": "w", "j": "y", "ʔ": "t",
}  # fmt: skip
_LONGEST = max(map(len, _SOUNDS))
_VOWELS = frozenset("aeiou")


def phones(word: str) -> Iterator[tuple[str, bool]]:
    """Yield the phonemes of an IPA word and whether each bears the stress; others are skipped.

    >>> list(phones("lˈaɪts"))
    [('l', False), ('ay', True), ('t', False), ('s', False)]
    """
    stressed, place = False, 0
    while place < len(word):
        stressed |= word[place] == "ˈ"
        for size in range(_LONGEST, 0, -1):
            for phone in _SOUNDS.get(word[place : place + size], "").split():
                vowel = phone[0] in _VOWELS
                yield phone, vowel and stressed
                stressed &= not vowel
            if word[place : place + size] in _SOUNDS:
                break
        place += size
