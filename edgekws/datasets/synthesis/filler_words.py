"""Default words of `_unknown_`."""

_ENGLISH = """
about after again always animal answer bed because before bird bottle bread bridge butter candle
chair city colour country day dinner doctor door evening family fish flower friend garden
glass go happy here house important island kitchen letter little market minute money morning
mother mountain never now nothing number orange paper people picture question river school
simple six sister something street summer table thank there tree water weather window winter
yellow yesterday you
"""


def filler_words(language: str) -> tuple[str, ...]:
    """Return common English words, or for any other language the numbers from 0 to 69.

    espeak-ng reads digits aloud in every language, so numbers are always real words.

    >>> filler_words("en-us")[:2], filler_words("ru")[:2]
    (('about', 'after'), ('0', '1'))
    """
    if language.lower().split("-")[0] == "en":
        return tuple(_ENGLISH.split())
    return tuple(str(number) for number in range(70))
