"""Several engines in one dataset: whole voices held out, shares, kinds of test, cached speech."""

import os
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgekws.core.corpus import NEVER_ON_PEOPLE, SPLITS, Listing, Split
from edgekws.core.events import quiet
from edgekws.core.permission import commands_allowed
from edgekws.core.protocols import SYNTHESIZER
from edgekws.core.speech import Cast, Voice
from edgekws.datasets.synthesis import engines
from edgekws.datasets.synthesis.held_out import Engine, HeldOut, speaking_splits
from edgekws.datasets.synthesis.sentences import plan_sentences
from edgekws.datasets.synthesis.spoken_cache import speech_folder
from edgekws.datasets.synthesis.vocabulary import vocabulary
from edgekws.datasets.synthesis.voices import EngineVoices, in_turn, people_apart, split_voices
from edgekws.datasets.synthetic import Dataset
from edgekws.errors import DataError, MissingPartError, UsageError
from edgekws.runtime.front_end import FrontEnd
from edgekws.synthesizers.speaking.espeak_ng import Espeak
from tests.tiny_voices import said, write_piper, write_program

FRONT_END = FrontEnd(sample_rate=8000, f_max=4000)
US = (("en-us", "gmw/en-US"),)
SMALL = {
    "keywords": ("stop", "lights"),
    "language": "en-us",
    "unknown_words": ("water", "music", "timer"),
    "near_sounding": 1,
    "clips_per_keyword": 4,
    "dev_clips_per_keyword": 2,
    "test_clips_per_keyword": 2,
    "speech_minutes": 0.05,
    "dev_speech_minutes": 0.05,
    "test_speech_minutes": 0.05,
}


def listed(folder: Path, cache: Path, **change: Any) -> Listing:
    voices = [
        {"kind": "piper", "folder": folder, "splits": ["train", "dev"]},
        {"kind": "command", "command": write_program(folder), "language": "en-us"}
        | {"splits": ["test"]},
    ]
    fields = Dataset.model_validate({**SMALL, "voices": voices, **change})
    return fields.list_clips(FRONT_END, 7, cache, quiet)


def test_an_engine_is_held_out_and_its_speech_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})  # one process speaks
    write_piper(tmp_path, "many", 4)
    cache = tmp_path / "cache"
    with pytest.raises(UsageError, match="--allow-commands"):
        listed(tmp_path, cache)
    with commands_allowed(True):
        listing = listed(tmp_path, cache)
    speakers = {s: {c.speaker for c in listing.clips if c.split == s} - {None} for s in SPLITS}
    assert [len(speakers[split]) for split in SPLITS] == [3, 1, 1]
    assert not speakers["train"] & speakers["dev"]
    notes = "\n".join(listing.notes)
    assert "test hears command alone, which training never hears" in notes
    assert listing.kind_of_test == "other engine (command)"
    assert listing.test_caveats == (NEVER_ON_PEOPLE,)
    assert "command: 7 clips, sha256 " in notes
    texts = said(tmp_path)
    assert not any("[[" in text for text in texts)  # the program takes no phonemes
    assert listed(tmp_path, cache) == listing  # complete in the cache: no permission is needed
    engine = SYNTHESIZER.validate_python(
        {"kind": "command", "command": write_program(tmp_path), "language": "en-us"}
    )
    files = sorted(speech_folder(cache, engine).rglob("*.flac"))
    assert len(files) == len(texts)
    files[0].write_bytes(b"damaged")
    with commands_allowed(True):
        other = listed(tmp_path, cache, silence_ratio=0.6)
    assert len(said(tmp_path)) == len(texts) + 1  # only the damaged clip is spoken again
    first, second = (
        [c.path.read_bytes() for c in part.clips if c.speaker] for part in (listing, other)
    )
    assert first == second


def test_engines_take_turns_by_their_shares() -> None:
    kinds = (("espeak", 1.0, "ab"), ("flite", 3.0, "c"))
    group = [
        EngineVoices(
            SYNTHESIZER.validate_python({"kind": kind, "share": share}),
            tuple(Voice("en", "gmw/en", name) for name in names),
        )
        for kind, share, names in kinds
    ]
    turns = list(islice(in_turn(group, np.random.default_rng(1)), 40))
    assert sum(engine.kind == "flite" for engine, _ in turns) == 30
    assert {voice.variant for _, voice in turns} == {"a", "b", "c"}
    alone = [voice.variant for _, voice in islice(in_turn(group[:1], np.random.default_rng(1)), 4)]
    assert alone[:2] == alone[2:]


def test_no_person_is_in_two_splits_by_two_engines() -> None:
    def voices(kind: str, *names: str) -> EngineVoices:
        said = tuple(Voice("en-us", "gmw/en-US", f"{kind}-{name}") for name in names)
        return EngineVoices(SYNTHESIZER.validate_python({"kind": kind}), said)

    espeak = voices("espeak", "sltx")  # no name of a person
    by_split: dict[Split, list[EngineVoices]] = {
        "train": [espeak, voices("flite", "kal16", "awb"), voices("flite", "slt")],
        "dev": [voices("flite", "rms")],
        "test": [voices("festival", "cmu_us_slt_arctic_hts", "kal_diphone")],
    }
    apart, notes = people_apart(by_split)
    assert apart == {**by_split, "train": [espeak, voices("flite", "awb")]}
    assert notes == ["left out, as dev or test hears the same people: flite-kal16, flite-slt"]
    assert people_apart(apart) == (apart, [])


def test_sentences_have_shares_of_their_own() -> None:
    table = {**SMALL, "speech_minutes": 10, "voices": [{"kind": "espeak"}, {"kind": "flite"}]}
    voice = Voice("en-us", US[0][1], "m1")
    shares = []
    for own in ({}, {"flite": 0.25}):
        fields = Dataset.model_validate({**table, "sentence_shares": own})
        with Espeak() as espeak:
            words = vocabulary(fields, espeak, US, seed=7)
        group = [EngineVoices(engine, (voice,)) for engine in fields.voices]
        spoken = plan_sentences(fields, words, {"train": group}, "train", seed=7)
        shares.append(np.mean([sentence.engine.kind == "flite" for sentence in spoken]))
    assert shares == pytest.approx([0.5, 0.2], abs=0.01)


def test_a_share_of_an_engine_that_does_not_speak_is_refused_at_its_key() -> None:
    def refused(voices: str) -> dict[tuple[int | str, ...], str]:
        table = {**SMALL, "voices": [{"kind": voices}], "sentence_shares": {"kokoro": 0.5}}
        with pytest.raises(ValidationError) as caught:
            Dataset.model_validate(table)
        return {error["loc"]: error["msg"] for error in caught.value.errors()}

    message = "the share of kokoro has no effect: kokoro is not in voices; take it out"
    assert refused("espeak") == {("sentence_shares",): message}
    assert ("sentence_shares",) not in refused("nobody")


def engine(kind: str, voices: int, **fields: Any) -> Engine:
    names = tuple(f"{kind}-{number}" for number in range(voices))
    said = {name: (Voice("en-us", "gmw/en-US", name),) for name in names}
    named = SYNTHESIZER.validate_python({"kind": kind, **fields})
    return Engine(named, Cast(tuple((name,) for name in names), said, f"{kind}: {voices} voices"))


ALL, HEARD = ("train", "dev", "test"), ("train", "dev")


@pytest.mark.parametrize(
    ("engines", "held_out", "expected"),
    [
        ([engine("espeak", 2)], "auto", [ALL]),  # too few are refused when they are split
        ([engine("espeak", 90), engine("kokoro", 28)], "auto", [ALL, ALL]),
        ([engine("espeak", 90), engine("kokoro", 28)], "engine", [HEARD, ("test",)]),
        ([engine("espeak", 90), engine("flite", 4)], "auto", [HEARD, ("test",)]),
        ([engine("espeak", 90), engine("flite", 4)], "voices", [ALL, ALL]),
        ([engine("espeak", 90), engine("piper", 1)], "auto", [ALL, ("train",)]),
        (
            [engine("festival", 3), engine("espeak", 90), engine("piper", 1), engine("flite", 3)],
            "auto",
            [("test",), HEARD, ("train",), HEARD],
        ),
        ([engine("flite", 4), engine("piper", 1)], "auto", [ALL, ("train",)]),  # dev needs it
        (
            [engine("espeak", 90), engine("flite", 4), engine("piper", 1, splits=["test"])],
            "auto",
            [HEARD, HEARD, ("test",)],
        ),
        (
            [engine("espeak", 90, splits=["train"]), engine("flite", 4, splits=["dev", "test"])],
            "auto",
            [("train",), ("dev", "test")],
        ),
        (
            [engine("espeak", 90), engine("flite", 4, splits=["train", "dev"])],
            "auto",
            [ALL, HEARD],
        ),
    ],
)
def test_test_holds_out_an_engine_that_can_be_spared(
    engines: list[Engine], held_out: HeldOut, expected: list[tuple[str, ...]]
) -> None:
    splits, notes = speaking_splits(engines, held_out)
    assert splits == expected
    trained = {e.engine.kind for e, of in zip(engines, splits, strict=True) if "train" in of}
    tested = {e.engine.kind for e, of in zip(engines, splits, strict=True) if "test" in of}
    assert [f" {kind} " in note for note in notes for kind in tested] == [True] * len(notes)
    assert bool(notes) == (not tested & trained)


@pytest.mark.parametrize(
    "engines", [[engine("espeak", 90)], [engine("espeak", 90), engine("piper", 1)]]
)
def test_an_engine_that_cannot_be_held_out_is_reported(engines: list[Engine]) -> None:
    splits, (note,) = speaking_splits(engines, "engine")
    assert splits == [ALL, ("train",)][: len(engines)]
    assert note.startswith('held_out = "engine" holds none out: no engine with 3 voices or more')


def test_too_few_voices_and_the_same_voice_twice_are_refused(tmp_path: Path) -> None:
    write_piper(tmp_path)
    one = SYNTHESIZER.validate_python({"kind": "piper", "folder": tmp_path})
    with pytest.raises(DataError, match=r"only 1 voices, .* 3 families are needed"):
        split_voices([one], US, "stop", 1)
    with pytest.raises(DataError, match="no voice is left for dev"):
        split_voices([one, one], US, "stop", 1)
    test = one.model_copy(update={"splits": ("test",)})
    dev = one.model_copy(update={"splits": ("dev",)})
    with pytest.raises(DataError, match=r"two engines have a voice en-us\+piper-en_US-tiny"):
        split_voices([one, dev, test], US, "stop", 1)


def test_an_engine_without_the_language_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    english, german = Recorded("en-us"), Recorded("de")
    monkeypatch.setattr(engines, "engines", lambda: iter([(english, "a voice"), (german, "b")]))
    assert engines.speaking("en") == ("en-us",)
    assert engines.speaking("de") == ("de",)


class Recorded:
    """An engine of one language."""

    def __init__(self, code: str) -> None:
        self.kind = code

    def cast(self, accents: Any, probe: str | None, seed: int) -> None:
        if self.kind not in dict(accents):
            raise DataError(f"no voice for {accents}")


def test_what_an_engine_lacks_is_given_with_it() -> None:
    answers = {engine.kind: answer for engine, answer in engines.engines()}
    assert "command" not in answers  # it needs settings
    assert "accents" in str(answers["espeak"])
    assert all(isinstance(a, str | DataError | MissingPartError) for a in answers.values())
