"""Check that words are in a script that a language reads, and that no two sound the same."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from edgekws.core.speech import Accents
from edgekws.datasets.synthesis.near_sounding import Word, sound_of
from edgekws.errors import DataError
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of

Spoken = dict[str, tuple[Word, ...]]
"""Words with their phonemes."""

_PROBES = {
    "ARABIC": "ما",
    "ARMENIAN": "մա",
    "BENGALI": "মা",
    "CJK": "大人",
    "CYRILLIC": "ма",
    "DEVANAGARI": "मा",
    "GEORGIAN": "მა",
    "GREEK": "μα",
    "HANGUL": "마나",
    "HEBREW": "מה",
    "HIRAGANA": "さく",
    "KATAKANA": "サク",
    "LATIN": "ma",
    "THAI": "มา",
}
"""A syllable or two signs of each script, which a language that uses the script reads as one."""

_ABJADS = ("ARABIC", "HEBREW")

_LONGEST_READING = 4
"""Most sounds of a sign that is a syllable or word; the name of a sign has more."""
_SIGNS_ARE_READ_ALONE = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA")


def check_language(language: str, words: Sequence[str]) -> None:
    """Refuse words that an accent of `language` cannot speak, or that sound the same in it.

    Raises:
        DataError: espeak-ng does not support the language, or as `speakable` and `distinct`.
        MissingPartError: espeak-ng is not installed.
    """
    with Espeak() as espeak:
        accents = accents_of(language, espeak.accents(), espeak.names())
        check_accents(words, language, accents, espeak)


def check_readable(language: str, words: Sequence[str]) -> None:
    """Refuse words that an accent of `language` cannot speak.

    Raises:
        DataError: espeak-ng does not support the language, or as `speakable`.
        MissingPartError: espeak-ng is not installed.
    """
    with Espeak() as espeak:
        for _, accent in accents_of(language, espeak.accents(), espeak.names()):
            espeak.use(accent)
            speakable(words, language, espeak)


def check_accents(words: Sequence[str], language: str, accents: Accents, espeak: Espeak) -> None:
    """Refuse words that one of `accents` cannot speak, or that sound the same in it.

    Raises:
        DataError: as `speakable` and `distinct`.
    """
    for _, accent in accents:
        espeak.use(accent)
        distinct(speakable(words, language, espeak), language)


def speakable(words: Iterable[str], language: str, espeak: Espeak) -> Spoken:
    """Return the phonemes of each of `words` in the current voice of `espeak`.

    Raises:
        DataError: a word gives no sound, or is in a script that the voice does not read: espeak-ng
            would name the letters one by one ("Chinese letter") or speak another language.
    """
    scripts: dict[str, bool] = {}
    readings = {}
    for word in words:
        for script, letters in _by_script(word).items():
            if script not in scripts:
                scripts[script] = _reads(script, letters, espeak)
            if not scripts[script]:
                raise DataError(
                    f"{word!r} is in {_script_name(script)} letters, which espeak-ng does not read "
                    f"in language {language!r}: it would name them or speak another language; "
                    "spell the word in letters of the language, or choose another language"
                )
        readings[word] = espeak.phonemes(word)
        if not readings[word] or not any(char.isalnum() for char in word):
            raise DataError(
                f"espeak-ng cannot speak {word!r} in language {language!r}: it gives no sound; "
                "spell it in letters of the language"
            )
    return readings


def distinct(spoken: Mapping[str, tuple[Word, ...]], language: str) -> None:
    """Refuse words that sound the same.

    Raises:
        DataError: two of them do; the message names both.
    """
    sounds: dict[str, str] = {}
    for word, phonemes in spoken.items():
        same = sounds.setdefault(sound_of(phonemes), word)
        if same != word:
            raise DataError(
                f"{same!r} and {word!r} sound the same in language {language!r}; keep one of them"
            )


def borrowed(spoken: Mapping[str, tuple[Word, ...]]) -> tuple[str, ...]:
    """Return the words that are read as words of another language, despite their script."""
    return tuple(word for word, phonemes in spoken.items() if _switches(phonemes))


def spelt(spoken: Mapping[str, tuple[Word, ...]], espeak: Espeak) -> tuple[str, ...]:
    """Return the lower-case words that are read letter by letter, such as `shh`."""
    result = []
    for word, phonemes in spoken.items():
        names = [_bare(espeak.phonemes(letter)) for letter in word]
        sounds = sum(map(len, phonemes))
        if word.islower() and sounds > len(word) > 1 and _bare(phonemes) == "".join(names):
            result.append(word)
    return tuple(result)


def unmarked(spoken: Mapping[str, tuple[Word, ...]]) -> dict[str, str]:
    """Return the sounds of words in a script that leaves vowels out, written without vowel marks.

    espeak-ng has to guess these vowels, and may leave them out: `ستة` is read as `stt`.
    """
    return {
        word: sound_of(phonemes)
        for word, phonemes in spoken.items()
        if any(script in _ABJADS for script in _by_script(word))
        and not any(unicodedata.category(char) == "Mn" for char in word)
    }


def _bare(phonemes: tuple[Word, ...]) -> str:
    return sound_of(phonemes).replace(";", "")


def _by_script(word: str) -> dict[str, str]:
    """Return the letters of each script: `{"LATIN": "ok"}`."""
    letters: dict[str, str] = {}
    for char in word:
        if unicodedata.category(char) in ("Ll", "Lu", "Lt", "Lo"):
            script = unicodedata.name(char, "unknown").partition(" ")[0]
            letters[script] = letters.get(script, "") + char
    return letters


def _reads(script: str, letters: str, espeak: Espeak) -> bool:
    """Return whether the voice reads a script rather than naming its letters."""
    texts = (_PROBES[script], letters) if script in _PROBES else (letters,)
    return any(_is_read(text, script, espeak) for text in texts)


def _is_read(text: str, script: str, espeak: Espeak) -> bool:
    phonemes = espeak.phonemes(text)
    if not phonemes or _switches(phonemes):
        return False
    names = [espeak.phonemes(letter) for letter in text]
    sounds = [sound_of(name) for name in names]
    if len(set(text)) > 1 and len(set(sounds)) == 1:  # "Chinese letter"
        return False
    per_letter = sum(len(word) for name in names for word in name) / len(text)
    if script not in _PROBES or script in _SIGNS_ARE_READ_ALONE:
        return per_letter <= _LONGEST_READING
    return sound_of(phonemes) != "".join(sounds) or per_letter <= 1


def _script_name(script: str) -> str:
    return "Chinese" if script == "CJK" else script.capitalize()


def _switches(phonemes: tuple[Word, ...]) -> bool:
    return any(phoneme.startswith("(") for word in phonemes for phoneme in word)
