"""Sentences without a keyword beside recordings of words, for every kind that has recordings."""

import itertools
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edgekws.core.corpus import ALARMS_NOT_OF_PEOPLE, SPLITS, Listing
from edgekws.core.events import quiet
from edgekws.core.family import load
from edgekws.core.speech import Voice
from edgekws.core.table import csv_text
from edgekws.datasets.synthesis import identity
from edgekws.datasets.synthesis.spoken_sentences import SpokenSentences
from edgekws.datasets.synthesis.vocabulary import vocabulary
from edgekws.errors import DataError, MissingPartError
from edgekws.runtime.front_end import FrontEnd
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of
from tests.contracts.test_datasets import SAMPLE_FIELDS, record, record_commands

RECORDED = ("folder", "manifest", "speech_commands")
SPOKEN: dict[str, Any] = {
    "unknown_words": ["water", "garden", "winter", "paper", "summer", "doctor", "stop"],
    "without": ["one", "stop"],
    **dict.fromkeys(("minutes", "dev_minutes", "test_minutes"), 0.05),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache for the sentences of `SPOKEN`, which every test of this file shares."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a small dataset of every kind that has recordings."""
    rows = ["file,label"]
    for word, speaker in itertools.product(("left", "right"), range(4)):
        record(tmp_path / "words" / word / f"s{speaker}_1.wav", speaker + len(word))
        rows.append(f"{word}/s{speaker}_1.wav,{word}")
    (tmp_path / "words" / "clips.csv").write_text("\n".join(rows))
    record_commands(tmp_path / "commands")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dataset(kind: str, **fields: Any) -> Any:
    return load("Dataset", kind).model_validate({"kind": kind, **SAMPLE_FIELDS[kind], **fields})


def listed(data: Any, cache: Path) -> Listing:
    listing: Listing = data.list_clips(FrontEnd(), 7, cache, quiet)
    assert listing.labels == data.labels()
    return listing


@pytest.mark.parametrize("kind", RECORDED)
def test_every_kind_has_sentences_of_other_voices_in_each_split(
    kind: str, words: Path, cache: Path
) -> None:
    listing = listed(dataset(kind, spoken=SPOKEN), cache)
    sentences = listing.negatives
    assert {(c.label, c.synthesizer) for c in sentences} == {("_unknown_", "espeak")}
    assert {c.split for c in sentences} == set(SPLITS)
    variants = {(str(c.speaker).split("+")[1], c.split) for c in sentences}
    assert len(variants) == len({variant for variant, _ in variants})
    for sentence in sentences:
        assert sentence.path.is_relative_to(cache / "sentences")
        assert soundfile.info(sentence.path).duration >= FrontEnd().window_s
    assert any(
        note.startswith("minutes of sentences without a keyword: ") for note in listing.notes
    )
    few = "these are few: name more in unknown_words"
    assert f"spoken sentences: words per split: train 4, dev 1, test 1; {few}" in listing.notes
    plain = listed(dataset(kind), cache)
    assert not plain.negatives
    assert plain.kind_of_test == listing.kind_of_test == "real people"
    assert (plain.test_caveats, listing.test_caveats) == ((), (ALARMS_NOT_OF_PEOPLE,))


@pytest.mark.parametrize("kind", RECORDED)
def test_only_with_the_field_the_fingerprint_depends_on_what_speaks(
    kind: str, words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, spoken = dataset(kind), dataset(kind, spoken=SPOKEN)
    before = plain.fingerprint(), spoken.fingerprint()
    longer = dataset(kind, spoken=SPOKEN | {"minutes": 1}).fingerprint()
    assert len({*before, longer}) == 3
    engine = type(spoken.spoken.voices[0])
    monkeypatch.setattr(engine, "fingerprint", lambda self: "another release")
    assert plain.fingerprint() == before[0]
    assert spoken.fingerprint() != before[1]

    def absent(module: str, names: tuple[str, ...]) -> str:
        raise PackageNotFoundError(names[0])

    monkeypatch.setattr(identity, "fingerprint", absent)
    assert plain.fingerprint() == before[0]
    with pytest.raises(MissingPartError, match="is not installed; pip install espeakng-loader"):
        spoken.fingerprint()


def test_where_every_recorded_word_is_a_keyword_sentences_are_unknown(
    tmp_path: Path, shared_data: Path, cache: Path
) -> None:
    speakers = [f"{n:08d}" for n in (1, 2, 5, 6, 7, 8, 9, 11)]
    names = [
        (f"{word}/{path.name}", word)
        for word in ("one", "stop")
        for path in sorted((shared_data / "asc" / word).glob("*.flac"))
        if path.name.split("_")[0] in speakers
    ]
    table = tmp_path / "clips.csv"
    table.write_text(csv_text([("path", "label"), *names]), "utf-8")
    data = dataset("manifest", path=table, root=shared_data / "asc", columns={}, keywords=None,
                   spoken=SPOKEN)  # fmt: skip
    listing = listed(data, cache)
    assert listing.labels == ("one", "stop", "_unknown_")
    sentences = {c.path: c.split for c in listing.negatives}
    for split in SPLITS:
        own = [c for c in listing.clips if c.split == split]
        unknown = [c for c in own if c.label == "_unknown_"]
        assert len(unknown) == (len(own) - len(unknown)) / 2 > 0
        for clip in unknown:
            assert sentences[clip.path] == split
            assert clip.end_s is not None
            assert clip.end_s - clip.start_s == pytest.approx(FrontEnd().window_s)
            assert clip.end_s <= soundfile.info(clip.path).duration + 0.001
    assert listed(data.model_copy(update={"unknown": False}), cache).labels == ("one", "stop")
    assert listed(data.model_copy(update={"spoken": None}), cache).labels == ("one", "stop")


def test_windows_are_cut_from_sentences_as_from_recordings(words: Path, cache: Path) -> None:
    table = words / "words" / "placed.csv"
    rows = [
        (f"{word}/s{speaker}_1.wav", word, 0.05, 0.2)
        for word, speaker in itertools.product(("left", "right"), range(4))
    ]
    table.write_text(csv_text([("path", "label", "start_s", "end_s"), *rows]), "utf-8")
    window = {"per_keyword": 1, "partial": 0, "per_negative_second": 2}
    data = dataset("manifest", path=table, columns={}, keywords=["left", "right"], windows=window,
                   spoken=SPOKEN)  # fmt: skip
    listing = listed(data, cache)
    unknown = [c for c in listing.clips if c.label == "_unknown_"]
    assert {c.split for c in unknown} == set(SPLITS)
    assert {c.synthesizer for c in unknown} == {"espeak"}
    assert {c.path for c in listing.negatives} < {c.path for c in listing.recordings}


def test_a_label_that_is_not_read_in_the_language_asks_for_what_is_said(
    words: Path, tmp_path: Path
) -> None:
    data = dataset("folder", spoken={"language": "ar"})
    with pytest.raises(
        DataError, match=r"dataset\.spoken: 'left' is in Latin letters.*dataset\.spoken\.without"
    ):
        data.list_clips(FrontEnd(), 7, tmp_path / "cache", quiet)


def test_a_language_that_espeak_does_not_speak(words: Path, tmp_path: Path) -> None:
    data = dataset("folder", spoken={"language": "en-uk"})
    with pytest.raises(DataError, match=r"does not speak language 'en-uk'; did you mean en-us\?$"):
        data.list_clips(FrontEnd(), 7, tmp_path / "cache", quiet)


@pytest.mark.parametrize(
    ("language", "word", "numbers", "other"),
    [
        ("ar", "1", {"1", "21", "61"}, "2"),
        ("ru", "один", {"1", "21", "61"}, "2"),
        ("ru", "три", {"3", "23", "33"}, "2"),
        ("it", "sei", {"6", "26"}, "7"),
        ("tr", "bir", {"1", "21"}, "2"),
        ("es", "dos", {"2", "22"}, "3"),
        ("pl", "jeden", {"1", "21"}, "2"),
    ],
)
def test_no_sentence_has_a_number_that_holds_a_keyword(
    language: str, word: str, numbers: set[str], other: str
) -> None:
    fields = SpokenSentences(language=language, without=(word,))
    with Espeak() as espeak:
        accents = accents_of(language, espeak.accents())
        spoken = vocabulary(fields, espeak, accents, 7)
    assert numbers <= spoken.avoided
    assert other not in spoken.avoided
    said = {word for split in SPLITS for word in spoken.unknown(split, Voice(*accents[0], "f1"))}
    assert not said & spoken.avoided
