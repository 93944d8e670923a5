"""Words that a language cannot speak are refused by name, in every script."""

from collections.abc import Iterator

import pytest

from edgekws.datasets.synthesis.pronunciation import (
    borrowed,
    check_language,
    distinct,
    speakable,
    spelt,
    unmarked,
)
from edgekws.errors import DataError
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of

NATIVE = {
    "am": "አማርኛ",
    "ar": "مرحبا",
    "bn": "আলো",
    "cmn": "你好",
    "de": "Straße",
    "el": "φως",
    "en": "lights",
    "he": "אור",
    "hi": "नमस्ते",
    "hy": "լույս",
    "ja": "さくら",
    "ka": "შუქი",
    "ko": "한국어",
    "lv": "gaisma",
    "ru": "привет",
    "ta": "ஒளி",
    "th": "ไฟ",
    "vi": "đèn",
}


@pytest.fixture(scope="module")
def espeak() -> Iterator[Espeak]:
    with Espeak() as engine:
        yield engine


def _use(espeak: Espeak, language: str) -> None:
    espeak.use(accents_of(language, espeak.accents())[0][1])


@pytest.mark.parametrize("language", NATIVE)
def test_a_language_speaks_its_own_letters(espeak: Espeak, language: str) -> None:
    _use(espeak, language)
    assert speakable([NATIVE[language]], language, espeak)[NATIVE[language]]


@pytest.mark.parametrize("language", ["en", "de", "ru", "ar", "ja", "hi", "ko", "el", "he"])
def test_a_language_does_not_speak_the_letters_of_others(espeak: Espeak, language: str) -> None:
    _use(espeak, language)
    latin = {"en", "de", "lv", "vi"}
    for other, word in NATIVE.items():
        if other == language or {other, language} <= latin:
            continue
        with pytest.raises(DataError, match="which espeak-ng does not read in language"):
            speakable([word], language, espeak)


def test_acronyms_digits_and_accents_are_spoken(espeak: Espeak) -> None:
    _use(espeak, "en")
    words = ["USB", "42", "a1", "wi-fi", "café", "turn on", "ok", "x"]
    assert list(speakable(words, "en", espeak)) == words
    _use(espeak, "ru")
    assert speakable(["США", "да"], "ru", espeak)


@pytest.mark.parametrize("word", ["!!!", "🙂", "-"])
def test_what_has_no_letters_is_not_spoken(espeak: Espeak, word: str) -> None:
    _use(espeak, "en")
    with pytest.raises(DataError, match="it gives no sound; spell it"):
        speakable([word], "en", espeak)


def test_a_borrowed_word_is_reported(espeak: Espeak) -> None:
    _use(espeak, "de")
    assert borrowed(speakable(["lights", "licht"], "de", espeak)) == ("lights",)


def test_what_is_read_letter_by_letter_is_reported(espeak: Espeak) -> None:
    _use(espeak, "en")
    words = speakable(["hmph", "pfft", "lights", "ok", "USB", "turn on"], "en", espeak)
    assert spelt(words, espeak) == ("hmph", "pfft", "ok")


def test_words_that_sound_the_same_are_refused(espeak: Espeak) -> None:
    _use(espeak, "en")
    with pytest.raises(DataError, match="'knight' and 'night' sound the same in language 'en'"):
        distinct(speakable(["knight", "day", "night"], "en", espeak), "en")


def test_words_without_their_vowels_are_reported_as_they_are_read(espeak: Espeak) -> None:
    _use(espeak, "ar")
    spoken = speakable(("ستة", "سِتَّا"), "ar", espeak)
    assert unmarked(spoken) == {"ستة": "stt"}


def test_every_accent_is_asked() -> None:
    check_language("en", ["lights", "music"])
    with pytest.raises(DataError, match="'привет' is in Cyrillic letters"):
        check_language("en", ["lights", "привет"])
    with pytest.raises(DataError, match="does not speak language 'klingon'"):
        check_language("klingon", ["lights"])
    with pytest.raises(DataError, match=r"'chinese'; .*Chinese is"):
        check_language("chinese", ["lights"])
