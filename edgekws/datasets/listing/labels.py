"""What may be a label: text that a person can read, and that can name a folder."""

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
    """Say why `label` cannot be a label, `None` where it can.

    >>> label_problem("رئيسي") is label_problem("turn on") is None
    True
    """
    if not is_plain(label):
        return f"{label!r} {NOT_PLAIN}"
    if not label.strip():
        return "a label cannot be empty; write what is spoken"
    if len(label.encode()) > _MOST_BYTES:
        return f"a label has {_MOST_BYTES} bytes at most; write what is spoken, and no more"
    return None


def letters(text: str) -> str:
    """Return the letters and digits of `text`, all small.

    >>> letters("_Background_Noise_")
    'backgroundnoise'
    """
    return "".join(char for char in text.casefold() if char.isalnum())


def keyword_problem(keyword: str) -> str | None:
    """Say why `keyword` cannot be a keyword: no label, or a class of its own."""
    if keyword in (UNKNOWN, SILENCE):
        return f"{keyword!r} is a class of its own, not a keyword"
    return label_problem(keyword)


def readable(words: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return `words`, each of which can be spoken; for a validator.

    Raises:
        ValueError: one of them is no label.
    """
    found = tuple(words) if words is not None else None
    for word in found or ():
        if problem := label_problem(word):
            raise ValueError(problem)
    return found


def misnamed(name: str) -> str | None:
    """Say what a folder or label that is no word should be called, `None` where all is well.

    >>> misnamed("noise")
    "'noise' would be a word to spot; call it _background_noise_, or name it in keywords"
    >>> misnamed("_unknown_") is misnamed("yes") is None
    True
    """
    meant = _FILLERS.get(letters(name))
    if meant in (None, name):
        return None
    return f"{name!r} would be a word to spot; call it {meant}, or name it in keywords"
