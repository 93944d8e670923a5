"""Streams of a split: keywords where the table says, in speech of that split alone."""

import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.core.contract import UNKNOWN
from edgekws.core.corpus import Clip, Listing, Split
from edgekws.core.events import quiet
from edgekws.errors import DataError
from edgekws.spotting import own_recordings
from edgekws.spotting.held_out import APART_S, TABLE, read_notes, read_streams, write_streams
from edgekws.spotting.labelled_audio import Label, Labelled

RATE = 8000
WORDS = {"да": 900.0, "нет": 2300.0}
SPEAKERS: dict[Split, tuple[str, ...]] = {"train": ("a",), "dev": ("b", "c"), "test": ("d",)}


def sine(hz: float, seconds: float, rms: float = 0.1) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(2**0.5 * rms * np.sin(2 * np.pi * hz * t))


def noise(seconds: float, rms: float, seed: int) -> np.ndarray:
    return rms * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of 0.4 s as words, and hum of 200 Hz as the speech without keywords."""
    folder = tmp_path_factory.mktemp("записи")
    for n, speaker in enumerate("abcd"):
        for word, hz in WORDS.items():
            for take in range(2):
                clip = noise(1.0, 0.001, 10 * n + take)
                clip[2400:5600] += sine(hz + take, 0.4)
                soundfile.write(folder / f"{word}-{speaker}-{take}.wav", clip, RATE)
        other = noise(1.0, 0.05, 100 + n)
        soundfile.write(folder / f"other-{speaker}.wav", other, RATE)
        speech = sine(200, 50.0, 0.05) + noise(50.0, 0.001, 200 + n)
        soundfile.write(folder / f"speech-{speaker}.flac", speech, RATE)
    return folder


def words(folder: Path) -> Iterator[Clip]:
    for split, speakers in SPEAKERS.items():
        for speaker in speakers:
            for word in WORDS:
                for take in range(2):
                    yield Clip(folder / f"{word}-{speaker}-{take}.wav", word, speaker, split)
            yield Clip(folder / f"other-{speaker}.wav", UNKNOWN, speaker, split)


def listing(folder: Path, *, speech: bool = True, **more: Any) -> Listing:
    negatives = [
        Clip(folder / f"speech-{s}.flac", UNKNOWN, s, split, 0.0, 50.0)
        for split, speakers in SPEAKERS.items()
        for s in speakers
    ]
    clips = tuple(words(folder))
    return Listing((*WORDS, UNKNOWN), clips, negatives=tuple(negatives) * speech, **more)


class Decoded:
    """The clips of a listing as they are, without an audit."""

    def __init__(self, listed: Listing) -> None:
        self.splits = {s: tuple(c for c in listed.clips if c.split == s) for s in SPEAKERS}

    def waveforms(self, split: Split) -> np.ndarray:
        return np.stack([soundfile.read(c.path, dtype="int16")[0] for c in self.splits[split]])


def streams(listed: Listing, split: Split, folder: Path) -> list[Labelled]:
    corpus: Any = Decoded(listed)
    target = folder / "streams"
    target.mkdir(parents=True)
    write_streams(corpus, listed, split, RATE, target, quiet)
    return read_streams(target)


def samples(one: Labelled) -> np.ndarray:
    with wave.open(str(one.path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def power_at(wave: np.ndarray, hz: float) -> float:
    """Return the power near a frequency."""
    spectrum = np.abs(np.fft.rfft(wave)) ** 2 / len(wave) ** 2
    at = np.fft.rfftfreq(len(wave), 1 / RATE)
    return float(spectrum[np.abs(at - hz) < 40].sum())


def test_every_word_is_where_the_table_says_and_nowhere_else(folder: Path, tmp_path: Path) -> None:
    detected = streams(listing(folder), "dev", tmp_path)
    labels = [label for one in detected for label in one.labels]
    assert sorted((i.keyword, i.speaker) for i in labels) == sorted(
        (word, speaker) for word in WORDS for speaker in "bc" for _ in range(2)
    )
    assert {one.speaker for one in detected} == {"b", "c"}
    for one in detected:
        wave = samples(one)
        rest = np.ones(len(wave), bool)
        for label in one.labels:
            assert label.end_s is not None
            start, end = (round(RATE * s) for s in (label.start_s, label.end_s))
            assert 0.35 <= label.end_s - label.start_s <= 0.5
            word, hum = (
                power_at(wave[start:end], WORDS[label.keyword]),
                power_at(wave[start:end], 200),
            )
            assert 8 <= 10 * np.log10(word / hum) <= 32
            rest[start : end + round(0.35 * RATE)] = False
        for hz in WORDS.values():
            assert power_at(wave[rest], hz) < 1e-3 * power_at(wave[rest], 200)
    starts = sorted(i.start_s for i in detected[0].labels)
    assert len(starts) == 1 or min(np.diff(starts)) > 1
    (summary,) = read_notes(tmp_path / "streams")
    assert summary == "dev: 1.7 minutes of speech without keywords, 8 keywords in them"


@pytest.mark.parametrize(
    ("speakers", "of"), [("bc", " (spoken by espeak)"), ("c", " (in part spoken by espeak)")]
)
def test_the_notes_say_what_a_synthesizer_spoke(
    speakers: str, of: str, folder: Path, tmp_path: Path
) -> None:
    recorded = listing(folder)
    negatives = tuple(
        replace(clip, synthesizer="espeak" if str(clip.speaker) in speakers else None)
        for clip in recorded.negatives
    )
    streams(replace(recorded, negatives=negatives), "dev", tmp_path)
    (summary,) = read_notes(tmp_path / "streams")
    assert summary == f"dev: 1.7 minutes of speech without keywords{of}, 8 keywords in them"


def test_they_are_the_same_again_and_differ_between_splits(folder: Path, tmp_path: Path) -> None:
    bytes_of = {}
    for name, split in {"a": "dev", "b": "dev", "c": "test"}.items():
        where = tmp_path / name
        streams(listing(folder), split, where)  # type: ignore[arg-type]
        files = sorted((where / "streams").iterdir())
        bytes_of[name] = {path.name: path.read_bytes() for path in files}
    assert bytes_of["a"] == bytes_of["b"]
    assert bytes_of["a"][TABLE] != bytes_of["c"][TABLE]


@pytest.mark.parametrize(("seconds", "each"), [(4 * APART_S, 2), (31.5, 1)])
def test_too_little_speech_takes_as_many_of_each_keyword(
    seconds: float, each: int, folder: Path, tmp_path: Path
) -> None:
    """Of 31.5 s, the last 1.5 s are too short for the third word."""
    listed = listing(folder)
    short = Clip(folder / "speech-b.flac", UNKNOWN, "b", "dev", 0.0, seconds)
    detected = streams(Listing(listed.labels, listed.clips, negatives=(short,)), "dev", tmp_path)
    said = [label.keyword for one in detected for label in one.labels]
    assert sorted(said) == ["да"] * each + ["нет"] * each
    note = f"dev: {8 - 2 * each} of 8 keyword clips find no room"
    assert read_notes(tmp_path / "streams")[1:] == [note]


def test_without_speech_other_words_take_its_place(folder: Path, tmp_path: Path) -> None:
    listed = listing(folder, speech=False)
    more = [Clip(folder / f"other-{s}.wav", UNKNOWN, s, "test") for s in "d"]
    detected = streams(listed, "dev", tmp_path)
    assert sum(len(samples(one)) for one in detected) >= 2 * RATE * len(more)
    notes = read_notes(tmp_path / "streams")
    assert "of other words and silence, joined with pauses" in notes[0]
    assert notes[1] == (
        "dev: the data has no speech without keywords; give recordings of it in "
        "dataset.negatives, or have it spoken by dataset.spoken"
    )


def test_with_nothing_but_keywords_there_is_nothing_to_listen_to(
    folder: Path, tmp_path: Path
) -> None:
    clips = tuple(clip for clip in words(folder) if clip.label in WORDS)
    with pytest.raises(
        DataError,
        match=r"no speech without keywords.* or have it spoken by dataset\.spoken, or take",
    ):
        streams(Listing(tuple(WORDS), clips), "dev", tmp_path)


def test_recordings_with_times_are_the_streams(folder: Path, tmp_path: Path) -> None:
    said = folder / "said.wav"
    wave = noise(6.0, 0.001, 5)
    wave[RATE : RATE + 3200] += sine(900, 0.4)
    soundfile.write(said, wave, RATE)
    recordings = (
        Clip(folder / "speech-b.flac", UNKNOWN, "b", "dev"),
        Clip(said, "да", "c", "dev", 1.0, 1.4),
        Clip(folder / "speech-a.flac", UNKNOWN, "a", "train"),
    )
    first, second = streams(listing(folder, speech=False, recordings=recordings), "dev", tmp_path)
    assert (first.labels, first.speaker) == ((Label("да", 1.0, 1.4),), "c")
    assert np.abs(samples(first) - wave).max() < 2 / 32768
    assert (second.labels, second.speaker) == ((), "b")
    assert len(samples(second)) == 50 * RATE


def test_recordings_with_times_come_with_the_parts_without_a_keyword(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that the table of negatives does not name are not listened to."""
    monkeypatch.setattr(own_recordings, "PIECE_S", 4.0)
    said, speech = folder / "said-and-free.wav", folder / "speech-b.flac"
    soundfile.write(said, noise(6.0, 0.01, 6), RATE)
    recordings = (Clip(said, "да", "c", "dev", 1.0, 1.4),)
    negatives = (
        Clip(said, UNKNOWN, "c", "dev", 1.4, 6.0),
        Clip(speech, UNKNOWN, "b", "dev", 10.0, 15.0),
        Clip(speech, UNKNOWN, "a", "train", 20.0, 28.0),
        Clip(speech, UNKNOWN, "b", "dev", 30.0, 32.0),
    )
    whole = listing(folder, speech=False, recordings=recordings)
    heard = streams(replace(whole, negatives=negatives), "dev", tmp_path)
    assert [len(samples(one)) / RATE for one in heard] == [6, 4, 1, 2]
    assert [one.speaker for one in heard] == ["c", "b", "b", "b"]
    wave = soundfile.read(speech)[0]
    assert np.abs(samples(heard[1]) - wave[10 * RATE : 14 * RATE]).max() < 2 / 32768


def test_a_recording_with_rows_of_two_splits_is_not_listened_to(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("alone", "talk"):
        soundfile.write(folder / f"{name}.wav", noise(6.0, 0.01, 7), RATE)
    recordings = (
        Clip(folder / "talk.wav", "да", "b", "dev", 1.0, 1.4),
        Clip(folder / "talk.wav", "да", "a", "train", 3.0, 3.4),
        Clip(folder / "alone.wav", "да", "b", "dev", 2.0, 2.4),
    )
    heard = streams(listing(folder, speech=False, recordings=recordings), "dev", tmp_path)
    assert [one.labels for one in heard] == [(Label("да", 2.0, 2.4),)]
    assert read_notes(tmp_path / "streams")[1].startswith("dev: 1 recording")
