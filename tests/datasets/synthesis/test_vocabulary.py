"""Words of sentences: apart between splits, and none with the sounds of a keyword."""

import re
from collections import Counter

import numpy as np
import pytest

from edgekws.core.corpus import SPLITS
from edgekws.core.speech import Voice
from edgekws.datasets.synthesis.filler_words import filler_words, sentence
from edgekws.datasets.synthesis.near_sounding import sound_of, sound_of_text
from edgekws.datasets.synthesis.vocabulary import Vocabulary, neighbours, vocabulary
from edgekws.datasets.synthetic import Dataset
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of

KEYWORDS = {"en": ("lights", "stop"), "ru": ("свет", "музыка")}


@pytest.fixture(scope="module", params=KEYWORDS)
def words(request: pytest.FixtureRequest) -> tuple[str, Vocabulary]:
    fields = Dataset(keywords=KEYWORDS[request.param], language=request.param)
    with Espeak() as espeak:
        accents = accents_of(request.param, espeak.accents())
        return request.param, vocabulary(fields, espeak, accents, 7)


def test_invented_words_are_apart_between_splits_and_hold_no_keyword(
    words: tuple[str, Vocabulary],
) -> None:
    language, built = words
    with Espeak() as espeak:
        for _, accent in built.accents:
            espeak.use(accent)
            keywords = {sound_of(espeak.phonemes(word)) for word in KEYWORDS[language]}
            parts = [set(built.invented[split][accent]) for split in SPLITS]
            assert all(len(part) > 10 for part in parts)
            for part in parts:
                assert not [w for w in part if any(k in sound_of_text(w) for k in keywords)]
            assert len(parts[0] & parts[2]) <= 0.05 * len(parts[2])


@pytest.mark.parametrize("keyword", ["Good Morning", "good morning!", "good, morning"])
def test_no_sentence_holds_a_phrase_however_it_is_written(keyword: str) -> None:
    rng, words = np.random.default_rng(0), ("good", "morning", "lamp")
    texts = [sentence("en", words, frozenset({keyword}), rng) for _ in range(50)]
    assert not [text for text in texts if "good morning" in text]


def test_what_people_say_on_its_own_is_unknown(words: tuple[str, Vocabulary]) -> None:
    language, built = words
    fillers = [word for split in SPLITS for word in built.fillers[split]]
    assert len(fillers) == len(set(fillers))
    if language == "en":
        assert {"yes", "no", "right", "seven", "okay", "thanks"} <= set(fillers)


def test_as_many_words_are_there_as_the_reference_says() -> None:
    description = Dataset.model_fields["unknown_words"].description or ""
    stated = re.search(r"some (\d+) common English words", description)
    assert stated
    assert int(stated[1]) == pytest.approx(len(filler_words("en")), abs=5)


def test_sentences_hold_invented_words_and_the_same_seed_gives_the_same(
    words: tuple[str, Vocabulary],
) -> None:
    language, built = words
    voice = Voice(*built.accents[0], "f1")
    first, second = (
        [
            built.sentence(language, "train", voice, np.random.default_rng(seed))
            for seed in range(99)
        ]
        for _ in range(2)
    )
    assert first == second
    spoken = " ".join(first).split()
    share = sum(word.startswith("[[") for word in spoken) / len(spoken)
    assert 0.15 < share < 0.3
    assert not built.avoided & set(spoken)


def test_near_sounding_words_are_in_dev_as_often_as_in_speech_and_in_train_more_often() -> None:
    fields = Dataset(keywords=("go", "thermostat"), near_sounding=20)
    with Espeak() as espeak:
        accents = accents_of("en-us", espeak.accents())
        built = vocabulary(fields, espeak, accents, 7)
    voice = Voice(*accents[0], "f1")
    of_word = built.frequencies[voice.accent]
    shares: dict[str, dict[float, float]] = {}
    for split in SPLITS:
        texts = (
            built.sentence("en", split, voice, np.random.default_rng(seed)) for seed in range(2000)
        )
        words = [word for text in texts for word in re.findall(r"\[\[.*?\]\]|\S+", text)]
        near = Counter(of_word[word] for word in words if word in of_word)
        shares[split] = {share: count / len(words) for share, count in near.items()}
    short, long = max(of_word.values()), min(of_word.values())
    assert sum(shares["train"].values()) == pytest.approx(0.01, abs=0.003)
    assert shares["train"][long] > 0.002
    for split in ("dev", "test"):
        assert shares[split][short] == pytest.approx(neighbours(2), abs=0.004)
        assert shares[split].get(long, 0) < 0.0005


def test_a_voice_without_phonemes_has_real_words_only(words: tuple[str, Vocabulary]) -> None:
    language, built = words
    voice = Voice(*built.accents[0], "plain", phonemes=False)
    text = " ".join(
        built.sentence(language, "train", voice, np.random.default_rng(seed)) for seed in range(99)
    )
    assert "[[" not in text
    assert built.unknown("train", voice) == built.fillers["train"]
    assert len(built.unknown("train", voice._replace(phonemes=True))) > len(built.fillers["train"])
