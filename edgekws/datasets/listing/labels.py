"""Checks of labels: readable text that can be the name of a folder."""

import unicodedata
from collections.abc import Iterable

from edgekws.core.contract import SILENCE, UNKNOWN
from edgekws.core.printable import NOT_PLAIN, is_plain

BACKGROUND_NOISE = "_background_noise_"

_FILLERS = {
    "unknown": UNKNOWN,
    "unknowns": UNKNOWN,
    "silence": SILENCE,
    "noise": BACKGROUND_NOISE,
    "noises": BACKGROUND_NOISE,
    "background": BACKGROUND_NOISE,
    "backgroundnoise": BACKGROUND_NOISE,
}
_MOST_BYTES = 200


def label_problem(label: str) -> str | None:
    """Return why `label` is not a valid label, `None` if it is.

    >>> label_problem("رئيسي") is label_problem("turn on") is None
    True
    """
    if not is_plain(label):
        return f"{label!r} {NOT_PLAIN}"
    if not label.strip():
        return "a label cannot be empty; write what is spoken"
    if len(label.encode()) > _MOST_BYTES:
        return f"a label has at most {_MOST_BYTES} bytes; write only what is spoken"
    return None


def word_name(text: str) -> str:
    """Return `text` composed (NFC): equal on every file system, and as espeak-ng reads it."""
    return unicodedata.normalize("NFC", text)


def letters(text: str) -> str:
    """Return the letters and digits of `text` in lower case.

    >>> letters("_Background_Noise_")
    'backgroundnoise'
    """
    return "".join(char for char in text.casefold() if char.isalnum())


def keyword_problem(keyword: str) -> str | None:
    """Return why `keyword` is not a valid keyword, `None` if it is."""
    if keyword in (UNKNOWN, SILENCE):
        return f"{keyword!r} is a filler class, not a keyword"
    return label_problem(keyword)


def readable(words: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return `words`, composed (NFC) to be spoken, if all are valid labels; for a validator.

    Raises:
        ValueError: one of them is not.
    """
    checked = tuple(map(word_name, words)) if words is not None else None
    for word in checked or ():
        if problem := label_problem(word):
            raise ValueError(problem)
    return checked


def misnamed(name: str) -> str | None:
    """Return how to rename a folder or label that is probably not a word, otherwise `None`.

    >>> misnamed("noise")
    "'noise' would be a word to spot; call it _background_noise_, or name it in keywords"
    >>> misnamed("_unknown_") is misnamed("yes") is None
    True
    """
    filler = _FILLERS.get(letters(name))
    if filler in (None, name):
        return None
    return f"{name!r} would be a word to spot; call it {filler}, or name it in keywords"
