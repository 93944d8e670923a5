"""What is spoken when the recipe names no words: words of `_unknown_`, and sentences."""

from collections.abc import Collection, Sequence

import numpy as np

_NOUNS = """
account actor address afternoon airport animal answer apartment apple army artist autumn baby
bakery balcony banana basket bathroom beach bedroom bicycle bird birthday blanket board boat
bottle bread breakfast bridge brother building bus butter button cake camera candle captain car
carpet castle cat ceiling chair cheese chicken child church city classroom cloud coat coffee
college colour computer concert corner country cousin curtain daughter desk dinner doctor dog
door dream dress driver egg elephant engine evening eye factory family farmer father field finger
fire fish flower forest fork friend fruit garden gate glass glove grandmother grass guitar hair
hammer hand harbour hat holiday horse hospital hotel house husband idea insect island jacket
journey kettle key kitchen knife ladder lady lake lamp language lawyer leader leaf lemon lesson
letter library lunch machine magazine manager map market meadow medicine meeting message minute
mirror monday money monkey month morning mother mountain mouse museum neighbour newspaper night
nurse ocean office onion orange oven page painter paper parent park party pencil pepper person
phone photograph picture pillow plane plant plate pocket poem police potato present president
prince problem queen question rabbit radio railway rain reason restaurant river road roof room
salad sandwich school science season secret sentence shadow sheep ship shirt shoe shop sister
snow soldier song soup spoon spring square stairs star station stone story street student sugar
summer sunday supper table teacher telephone ticket tiger tomato tooth towel tower town toy
traffic train travel tree umbrella uncle university valley vegetable village visitor voice
wall water weather wedding week wheel wife window winter woman wood word worker writer yard year
"""
_ADJECTIVES = """
angry beautiful big black blue bright broken brown busy careful cheap clean clever cold common
cool dark deep different difficult dirty double dry early easy empty famous fast final fine
foreign fresh friendly funny gentle golden good great green happy hard heavy high honest hot
huge hungry important large last late lazy little lonely long loud lovely lucky modern narrow
new nice noisy old open ordinary pale perfect pleasant polite poor popular pretty private proud
public quiet rare ready red rich round sad safe several sharp short silent silver simple slow
small soft special strange strong sudden sweet tall terrible thick thin tired true ugly usual
warm weak wet white whole wide wild wonderful wrong yellow young
"""
_VERBS = """
admired answered asked borrowed bought brought built called carried caught changed checked
chose cleaned climbed closed collected cooked counted covered crossed described destroyed drew
dropped enjoyed entered explained fed filled finished followed forgot found gave handled
heard held helped hid hit ignored invited kept knew learned left lifted liked lost loved made
measured mended met moved needed noticed offered opened ordered packed painted passed picked
planned prepared promised pulled pushed reached received remembered repaired returned saved saw
sent showed sold studied taught threw told touched understood used visited wanted washed watched
wrote
"""
_ALONE = """
again ahead back bye cheers come did does done down eight eleven enough exactly excuse false five
four go goodbye have hello help here hey how just left less like listen look maybe more morning
nine no none nothing now off often okay on one out over please quite ready really right seven six
so sorry stand start stay sure ten thanks there these think this those three thirty today tonight
true try twelve twenty two up wait well what when where which who why with yeah yes yet zero
"""
"""What people say to each other in a word or two, including numbers."""

_PLACES = (
    "near the", "behind the", "in front of the", "under the", "above the", "beside the",
    "inside the", "across the", "around the", "on the way to the", "next to the", "without the",
)  # fmt: skip
_WHEN = (
    "yesterday", "this morning", "last week", "in the afternoon", "after a while", "before noon",
    "every day", "at that moment", "two years ago", "from time to time", "once again", "finally",
    "on tuesday", "at half past seven", "in nineteen eighty four", "as usual", "later",
)  # fmt: skip
_WHO = (
    "the", "my", "our", "his", "her", "their", "another", "that", "this", "every", "no", "some",
    "one", "your",
)  # fmt: skip
_WHICH = ("the", "my", "our", "these", "those", "many", "most of the", "two", "its", "his", "all")
_STARTS = (
    "it's", "that's", "what's", "let's say", "there's", "he's sure that", "she says", "it was",
    "this is", "it seems that", "perhaps", "yes", "he thinks", "nobody knows if", "it starts when",
)  # fmt: skip
_HABITS = (
    "wants", "gets", "lets", "puts", "cuts", "hates", "likes", "writes", "meets", "starts",
    "invites", "visits", "counts", "hits", "needs", "knows", "passes", "takes", "gives", "uses",
    "sells",
)  # fmt: skip
_PLURAL, _HABIT, _START = 0.4, 0.4, 0.3
"""Shares of things in the plural, of verbs in the present, and of clauses with a beginning."""
_LINKS = (
    "and", "but", "because", "while", "so", "although", "when", "until", "if", "and then",
    "who said that", "which means that",
)  # fmt: skip

_NO_PUNCTUATION = str.maketrans("", "", ",.;:!?")

_NUMBERS = 70
_LENGTHS = (4, 10)
"""Words of a sentence in a language of which only single words are known."""


def is_english(language: str) -> bool:
    """Return whether a code of espeak-ng names English or an accent of it."""
    return language.lower().split("-")[0] == "en"


def filler_words(language: str) -> tuple[str, ...]:
    """Return common English words, or for any other language the numbers from 0 to 69.

    espeak-ng reads digits aloud in every language, so numbers are always real words.

    >>> filler_words("en-us")[:2], filler_words("ru")[:2]
    (('account', 'actor'), ('0', '1'))
    """
    if is_english(language):
        return tuple(dict.fromkeys(f"{_NOUNS} {_ADJECTIVES} {_VERBS} {_ALONE}".split()))
    return tuple(str(number) for number in range(_NUMBERS))


def small_words(language: str) -> tuple[str, ...]:
    """Return the other words that sentences may contain; some are in `filler_words`, too."""
    if not is_english(language):
        return ()
    phrases = (*_PLACES, *_WHEN, *_WHO, *_WHICH, *_STARTS, *_HABITS, *_LINKS)
    words = [word for phrase in phrases for word in phrase.split()]
    return tuple(dict.fromkeys([*words, *map(_plural, _NOUNS.split())]))


def sentence(
    language: str, words: Sequence[str], avoided: Collection[str], rng: np.random.Generator
) -> str:
    """Return a sentence drawn from `rng`, of `words` and small words, and none that is `avoided`.

    In English it has the grammar of one ("the tired doctor sold his guitar behind the station,
    because …"); in other languages it is a row of words. Case and punctuation are not heard.
    """
    phrases = tuple(map(_heard, avoided))
    while True:
        text = _drawn(language, words, rng)
        heard = _heard(text)
        if not any(phrase in heard for phrase in phrases):
            return text


def _heard(text: str) -> str:
    """Return the words of a text, between spaces.

    >>> _heard("Hey, Computer!")
    ' hey computer '
    """
    return f" {' '.join(text.casefold().translate(_NO_PUNCTUATION).split())} "


def _drawn(language: str, words: Sequence[str], rng: np.random.Generator) -> str:
    known = frozenset(words)
    parts = [[w for w in part.split() if w in known] for part in (_NOUNS, _ADJECTIVES, _VERBS)]
    if not is_english(language) or not all(parts):
        return " ".join(_draw(words, rng) for _ in range(int(rng.integers(*_LENGTHS))))
    nouns, adjectives, verbs = parts
    clauses = [_clause(nouns, adjectives, verbs, rng)]
    while rng.random() < 0.5 and len(clauses) < 3:
        clauses.append(f"{_draw(_LINKS, rng)} {_clause(nouns, adjectives, verbs, rng)}")
    return ", ".join(clauses)


def _clause(
    nouns: Sequence[str], adjectives: Sequence[str], verbs: Sequence[str], rng: np.random.Generator
) -> str:
    def thing() -> str:
        adjective = f"{_draw(adjectives, rng)} " if rng.random() < 0.5 else ""
        if rng.random() < _PLURAL:
            return f"{_draw(_WHICH, rng)} {adjective}{_plural(_draw(nouns, rng))}"
        return f"{_draw(_WHO, rng)} {adjective}{_draw(nouns, rng)}"

    verb = _draw(_HABITS, rng) if rng.random() < _HABIT else _draw(verbs, rng)
    words = [thing(), verb, thing()]
    if rng.random() < _START:
        words.insert(0, _draw(_STARTS, rng))
    if rng.random() < 0.5:
        words += [_draw(_PLACES, rng), _draw(nouns, rng)]
    if rng.random() < 0.4:
        words.insert(0 if rng.random() < 0.5 else len(words), _draw(_WHEN, rng))
    return " ".join(words)


def _plural(noun: str) -> str:
    """Return the regular plural.

    >>> [_plural(noun) for noun in ("coat", "city", "bus", "toy", "church")]
    ['coats', 'cities', 'buses', 'toys', 'churches']
    """
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def _draw(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
