"""Synthetic speech: voices apart, audible, no two alike, and the same bytes again."""

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np
import pytest
import soundfile

from edgekws.core.corpus import SPLITS, Clip, Listing
from edgekws.core.events import Event, quiet
from edgekws.core.family import load
from edgekws.core.protocols import SYNTHESIZER
from edgekws.core.speech import Cast, Voice
from edgekws.datasets.synthesis import identity, rendering
from edgekws.datasets.synthesis.filler_words import filler_words, sentence
from edgekws.datasets.synthesis.rendering import Format, Utterance, VoiceTask, speak
from edgekws.datasets.synthesis.vocabulary import vocabulary
from edgekws.datasets.synthesis.voices import voices_per_split
from edgekws.datasets.synthetic import Dataset
from edgekws.errors import DataError, MachineError, MissingPartError
from edgekws.runtime.front_end import FrontEnd
from edgekws.synthesizers.speaking.espeak_ng import Espeak, accents_of
from edgekws.synthesizers.speaking.variants import correlation, distinct_variants
from edgekws.synthesizers.speaking.voice_families import families

ESPEAK = SYNTHESIZER.validate_python({"kind": "espeak"})
DATA = Path(espeakng_loader.get_data_path())
FRONT_END = FrontEnd(sample_rate=8000, f_max=4000)
SMALL = Dataset(
    keywords=("свет", "стоп"),
    language="ru",
    unknown_words=("вода", "город", "дом", "лес", "снег"),
    near_sounding=2,
    clips_per_keyword=6,
    dev_clips_per_keyword=3,
    test_clips_per_keyword=3,
    speech_minutes=0.3,
    dev_speech_minutes=0.1,
    test_speech_minutes=0.1,
)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Listing, list[Event]]:
    cache, events = tmp_path_factory.mktemp("кэш"), list[Event]()
    return cache, SMALL.list_clips(FRONT_END, 7, cache, events.append), events


def cast(families: tuple[tuple[str, ...], ...], codes: tuple[str, ...] = ("en",)) -> Cast:
    """Return timbres that speak `codes`."""
    timbres = [name for family in families for name in family]
    return Cast(families, {n: tuple(Voice(c, f"gmw/{c}", n) for c in codes) for n in timbres}, "")


def wave_of(clip: Clip) -> np.ndarray:
    samples, rate = soundfile.read(clip.path, dtype="int16")
    assert rate == FRONT_END.sample_rate
    start = int(clip.start_s * rate)
    return np.asarray(samples[start : int(clip.end_s * rate) if clip.end_s else None])


def test_labels_and_counts_are_what_the_fields_say(
    generated: tuple[Path, Listing, list[Event]],
) -> None:
    _, listing, events = generated
    assert listing.labels == ("свет", "стоп", "_unknown_", "_silence_")
    counts = {
        (split, label): sum((c.split, c.label) == (split, label) for c in listing.clips)
        for split in SPLITS
        for label in listing.labels
    }
    assert counts == {
        (split, label): SMALL.clips(label, split) for split in SPLITS for label in listing.labels
    }
    assert counts["train", "_unknown_"] == 9
    spoken = [event for event in events if event.text == "speaking"]
    assert (
        spoken[-1].done
        == spoken[-1].total
        == sum(count for (_, label), count in counts.items() if label != "_silence_")
        + len(listing.negatives)
    )


def test_sentences_are_as_long_as_asked_for(
    generated: tuple[Path, Listing, list[Event]],
) -> None:
    _, listing, _ = generated
    for split, wanted_s in zip(SPLITS, (18, 6, 6), strict=True):
        sentences = [clip for clip in listing.negatives if clip.split == split]
        lengths = [len(wave_of(clip)) / FRONT_END.sample_rate for clip in sentences]
        assert 0.7 * wanted_s < sum(lengths) < 1.5 * wanted_s + 3
        assert min(lengths) >= FRONT_END.window_s
        assert {clip.label for clip in sentences} == {"_unknown_"}
    assert len({wave_of(clip).tobytes() for clip in listing.negatives}) == len(listing.negatives)


def test_no_word_of_unknown_is_in_two_splits() -> None:
    wanted = Dataset(keywords=("music", "one"), near_sounding=6)
    with Espeak() as espeak:
        spoken = vocabulary(wanted, espeak, accents_of("en", espeak.accents()), 7)
    fillers = [set(spoken.fillers[split]) for split in SPLITS]
    near = [{t for ts in spoken.near[split].values() for t in ts} for split in SPLITS]
    for parts in (fillers, near):
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts))
    assert {"music", "one"} <= spoken.avoided


def test_no_sentence_holds_a_keyword() -> None:
    rng = np.random.default_rng(0)
    words = filler_words("en")
    texts = [sentence("en", words, {"the", "at that moment"}, rng) for _ in range(200)]
    assert not any({"the"} & set(text.replace(",", "").split()) for text in texts)
    assert not any("at that moment" in text for text in texts)
    assert len(set(texts)) == 200
    assert {len(sentence("ru", ("1", "2"), (), rng).split()) for _ in range(99)} == set(
        range(4, 10)
    )


def test_no_voice_no_timbre_and_no_noise_is_in_two_splits(
    generated: tuple[Path, Listing, list[Event]],
) -> None:
    _, listing, _ = generated
    parts: tuple[Callable[[str | None], str | None], ...]
    parts = (lambda speaker: speaker, lambda speaker: speaker and speaker.split("+")[1])
    for of in parts:
        every = (*listing.clips, *listing.negatives)
        groups = [{of(c.speaker) for c in every if c.split == s} - {None} for s in SPLITS]
        assert all(groups)
        assert sum(map(len, groups)) == len(set().union(*groups))
    noise = {s: {c.path for c in listing.clips if c.split == s and not c.speaker} for s in SPLITS}
    assert noise["train"] <= set(listing.noise)
    assert not set(listing.noise) & (noise["dev"] | noise["test"])
    assert {path.stem for path in listing.noise} == {"white", "pink", "brown", "hum", "babble"}


def test_every_clip_is_audible_fills_the_window_and_is_no_copy(
    generated: tuple[Path, Listing, list[Event]],
) -> None:
    _, listing, _ = generated
    waves = [wave_of(clip) for clip in listing.clips]
    assert {len(wave) for wave in waves} == {FRONT_END.window_samples}
    assert len({wave.tobytes() for wave in waves}) == len(waves) == len(listing.clips)
    for clip, wave in zip(listing.clips, waves, strict=True):
        rms_db = 20 * np.log10(np.sqrt(np.mean(np.square(wave / 32768))))
        assert rms_db > (-45 if clip.speaker else -60), clip


def test_the_bytes_are_reproducible(
    generated: tuple[Path, Listing, list[Event]], tmp_path: Path
) -> None:
    cache, listing, _ = generated
    again = SMALL.list_clips(FRONT_END, 7, tmp_path, quiet)
    bytes_of = {p.relative_to(cache): p.read_bytes() for p in cache.rglob("*") if p.is_file()}
    assert bytes_of == {
        p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()
    }
    assert again.notes == listing.notes


def test_a_second_call_finds_the_clips_in_the_cache(
    generated: tuple[Path, Listing, list[Event]],
) -> None:
    cache, listing, _ = generated
    events: list[Event] = []
    assert SMALL.list_clips(FRONT_END, 7, cache, events.append) == listing
    assert not events
    assert all(clip.path.is_relative_to(cache / "synthetic") for clip in listing.clips)


def test_notes_report_voices_words_and_noise(generated: tuple[Path, Listing, list[Event]]) -> None:
    notes = "\n".join(generated[1].notes)
    assert "voices (accent+variant) per split: train 2" in notes
    assert "accents: ru, ru-cl, ru-lv" in notes
    assert "words of _unknown_ per split: train 3, dev 1, test 1, and near-sounding" in notes
    assert "minutes of sentences without a keyword: train 0, dev 0, test 0; no sentence" in notes


def test_words_are_composed_as_espeak_reads_them() -> None:
    fields = {"keywords": ("e\u0301te\u0301",), "unknown_words": ("nai\u0308f",)}
    dataset = Dataset.model_validate({**fields, "language": "fr"})
    assert dataset.keywords == ("\u00e9t\u00e9",)
    assert dataset.unknown_words == ("na\u00eff",)
    with pytest.raises(ValueError, match="is named 2 times"):
        Dataset(keywords=("\u00e9", "e\u0301"))


def test_the_fingerprint_follows_the_fields() -> None:
    assert SMALL.fingerprint() == SMALL.model_copy().fingerprint()
    assert SMALL.fingerprint() != SMALL.model_copy(update={"near_sounding": 3}).fingerprint()


def test_variants_that_are_copies_are_left_out() -> None:
    with Espeak() as espeak:
        data = espeak.data
    variants = distinct_variants(data, "gmw/en-US", "lights")
    names = {path.name for path in (data / "voices" / "!v").iterdir()}
    assert sorted(variants.kept + variants.inaudible + variants.alike) == sorted(names)
    assert len(variants.kept) > 80
    assert "adam" in variants.kept
    assert {"benjamin", "klatt6", "steph2"} <= set(variants.alike)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_family_of_voices_is_in_two_splits(seed: int) -> None:
    kept = families(DATA, (path.name for path in (DATA / "voices" / "!v").iterdir()))
    voices = voices_per_split(cast(kept, ("en-us", "en")), seed)
    split_of = {voice.variant: split for split, of in voices.items() for voice in of}
    assert [{split_of[variant] for variant in family} for family in kept] == [
        {split_of[family[0]]} for family in kept
    ]
    assert len(split_of) == sum(map(len, kept)) == 104
    assert all(len(voices[split]) == 2 * 16 for split in ("dev", "test"))  # 15 % in two accents


def test_a_split_is_left_for_dev_where_families_are_few() -> None:
    voices = voices_per_split(cast((tuple("abcdefghijklmnop"), ("y",), ("z",))), 1)
    assert {split: len(of) for split, of in voices.items()} == {"train": 16, "dev": 1, "test": 1}


def test_correlation_is_one_for_a_louder_copy_only() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(1000).astype(np.float32) for _ in range(2))
    assert correlation(a, 3 * a) == pytest.approx(1, abs=1e-5)
    assert abs(correlation(a, b)) < 0.2
    assert correlation(a, np.zeros(1000, np.float32)) == 0


def test_a_breathy_and_a_klatt_voice_speak_the_same_twice() -> None:
    def once(variant: str) -> bytes:
        with Espeak() as espeak:
            espeak.use(f"gmw/en-US+{variant}")
            return espeak.say("six fish").tobytes()

    for variant in ("whisper", "Reed", "f2"):
        assert once(variant) == once(variant)
        assert len(once(variant)) > 20_000


def test_speech_depends_on_the_seed_and_not_on_other_voices(tmp_path: Path) -> None:
    def task(variant: str) -> VoiceTask:
        utterance = Utterance("lights", f"{variant}.flac", 1, fit="whole")
        return VoiceTask(ESPEAK, Voice("en-us", "gmw/en-US", variant), (utterance,))

    clips = Format(16_000, 16_000)
    speak(task("f1"), clips, 1, tmp_path / "first")
    speak(task("whisper"), clips, 1, tmp_path / "second")
    speak(task("f1"), clips, 1, tmp_path / "second")
    first, second = (tmp_path / name / "f1.flac" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    speak(task("f1"), clips, 2, tmp_path / "second")
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keywords": ["..."]}, r"cannot speak '\.\.\.' in language 'en'"),
        ({"keywords": ["two", "too"]}, "'two' and 'too' sound the same"),
        ({"keywords": ["a"], "language": "en-uk"}, "does not speak language 'en-uk'; did you mean"),
        (
            {"keywords": ["two"], "unknown_words": ["too"]},
            "unknown_words: all sound like a keyword",
        ),
        ({"keywords": ["two"], "unknown_words": ["-"]}, "cannot speak '-' in language 'en'"),
        ({"keywords": ["two", "включи"]}, "'включи' is in Cyrillic letters, which espeak-ng does"),
        ({"keywords": ["你好"]}, "'你好' is in Chinese letters"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        Dataset(**fields).list_clips(FRONT_END, 7, tmp_path, quiet)


def test_homophones_and_spelt_words_are_reported() -> None:
    with Espeak() as espeak:
        wanted = Dataset(keywords=("two", "hmph"), unknown_words=("too", "water"))
        spoken = vocabulary(wanted, espeak, accents_of("en", espeak.accents()), 7)
    assert spoken.fillers == dict.fromkeys(SPLITS, ("water",))
    assert spoken.avoided == {"two", "too", "to", "hmph"}
    assert "left out, sounding like a keyword: to, too" in spoken.notes
    assert "_unknown_: the same 1 words in every split; 3 are needed to split" in spoken.notes
    assert "espeak-ng reads letter by letter: hmph; respell what is said as a word" in spoken.notes


def test_accents_of_a_language_leave_other_scripts_out() -> None:
    with Espeak() as espeak:
        everything = espeak.accents()
    english = [code for code, _ in accents_of("en", everything)]
    assert len(english) == 8
    assert "en-us" in english
    assert "en-shaw" not in english
    assert [code for code, _ in accents_of("en-shaw", everything)] == ["en-shaw"]
    assert [voice for _, voice in accents_of("yue", everything)] == ["sit/yue"]


def test_a_keyword_longer_than_the_window_is_refused(tmp_path: Path) -> None:
    utterance = Utterance("extraordinarily", "a.flac", 1, fit="whole")
    task = VoiceTask(ESPEAK, Voice("en-us", "gmw/en-US", "f1"), (utterance,))
    with pytest.raises(DataError, match=r"'extraordinarily' takes 0\.\d+ s .* window is 0\.20 s"):
        speak(task, Format(16_000, 3200), 1, tmp_path)
    cut = VoiceTask(ESPEAK, task.voice, (Utterance("extraordinarily", "a.flac", 1, fit="cut"),))
    assert speak(cut, Format(16_000, 3200), 1, tmp_path) == 1
    assert soundfile.info(tmp_path / "a.flac").frames == 3200


def test_a_text_without_sound_is_refused(tmp_path: Path) -> None:
    task = VoiceTask(
        ESPEAK, Voice("en-us", "gmw/en-US", "f1"), (Utterance(" ", "a.flac", 1, "cut"),)
    )
    with pytest.raises(DataError, match=r"' ' gives no sound in espeak's voice en-us\+f1"):
        speak(task, Format(16_000, 16_000), 1, tmp_path)


def test_an_unknown_voice_and_too_few_variants_are_refused() -> None:
    with Espeak() as espeak, pytest.raises(DataError, match="has no voice 'xx'"):
        espeak.use("xx")
    with pytest.raises(DataError, match=r"only 3 voices, in 2 families .* 3 families are needed"):
        voices_per_split(cast((("a", "b"), ("c",))), 1)


def test_a_missing_espeak_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(espeakng_loader, "get_library_path", lambda: "/nowhere/lib.so")
        with pytest.raises(MissingPartError, match=r"does not load: .*pip install espeakng-loader"):
            Espeak()
    with monkeypatch.context() as patch:
        patch.setattr(espeakng_loader, "get_data_path", lambda: "/nowhere")
        with pytest.raises(MissingPartError, match=r"/nowhere: .*cannot read its voices; pip"):
            Espeak()
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "espeakng_loader", None)
        with pytest.raises(MissingPartError, match=r"not installed: .*pip install espeakng-loader"):
            Espeak()

    def absent(module: str, names: tuple[str, ...]) -> str:
        raise PackageNotFoundError(names[0])

    monkeypatch.setattr(identity, "fingerprint", absent)
    with pytest.raises(MissingPartError, match="espeakng-loader is not installed; pip install"):
        SMALL.fingerprint()


def test_a_process_that_dies_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Dying:
        def __init__(self, *args: object) -> None:
            pass

        def submit(self, *args: object) -> None:
            raise BrokenProcessPool

        def shutdown(self, cancel_futures: bool) -> None:
            pass

    monkeypatch.setattr(rendering, "ProcessPoolExecutor", Dying)
    task = VoiceTask(ESPEAK, Voice("en-us", "gmw/en-US", "f1"), ())
    with pytest.raises(MachineError, match="a process that speaks died"):
        rendering.render([task], Format(16_000, 16_000), 1, tmp_path, quiet)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (("a", "a"), "'a' is named 2 times"),
        (("_unknown_",), "'_unknown_' is a filler class, not a keyword"),
        ((" ",), "a label cannot be empty"),
    ],
)
def test_keywords_that_are_no_labels_are_refused(keywords: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load("Dataset", "synthetic")(keywords=keywords)
