"""Speech without a keyword: from files, folders and tables, for every kind of dataset."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.core.corpus import SPLITS, Listing
from edgekws.core.events import quiet
from edgekws.core.family import load
from edgekws.errors import DataError
from edgekws.runtime.detect import Event
from edgekws.runtime.front_end import FrontEnd
from edgekws.spotting.event_audio import EventAudio
from tests.contracts.test_datasets import KINDS, SAMPLE_FIELDS, record, record_commands


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with small datasets of every kind, and speech of nine people beside them."""
    rows = ["file,label"]
    for word in ("left", "right"):
        for speaker in range(4):
            record(tmp_path / "words" / word / f"s{speaker}_{word}.wav", speaker + len(word))
            rows.append(f"{word}/s{speaker}_{word}.wav,{word}")
    (tmp_path / "words" / "clips.csv").write_text("\n".join(rows))
    record_commands(tmp_path / "commands")
    for n in range(9):
        talk = tmp_path / "talk" / f"p{n}" / "a.flac"
        talk.parent.mkdir(parents=True)
        wave = np.random.default_rng(n).uniform(-0.1, 0.1, 40_000)
        soundfile.write(talk, wave, 16_000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(kind: str, negatives: list[str], seed: int = 3, **fields: Any) -> Listing:
    given = {"kind": kind, **SAMPLE_FIELDS[kind], "negatives": negatives, **fields}
    if kind == "synthetic":
        given |= dict.fromkeys(("speech_minutes", "dev_speech_minutes", "test_speech_minutes"), 0)
    dataset: Any = load("Dataset", kind).model_validate(given)
    listing: Listing = dataset.list_clips(FrontEnd(), seed, Path("cache"), quiet)
    return listing


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_splits_them_by_speaker(kind: str, home: Path) -> None:
    listing = listed(kind, ["talk"])
    assert {clip.speaker: clip.path.parent.name for clip in listing.negatives} == {
        f"p{n}": f"p{n}" for n in range(9)
    }
    assert {clip.split for clip in listing.negatives} == set(SPLITS)
    assert {clip.label for clip in listing.negatives} == {"_unknown_"}
    assert not set(listing.clips) & set(listing.negatives)


@pytest.mark.parametrize(("fraction", "dev"), [(0.05, 2), (0.6, 4)])
def test_a_quarter_of_the_speakers_or_more_are_held_out(
    fraction: float, dev: int, home: Path
) -> None:
    listing = listed("folder", ["talk"], dev_fraction=fraction, test_fraction=0.05)
    splits = {clip.speaker: clip.split for clip in listing.negatives}
    assert Counter(splits.values()) == {"train": 7 - dev, "dev": dev, "test": 2}


def test_a_rule_for_words_that_finds_one_speaker_splits_by_recording(home: Path) -> None:
    (home / "orders").mkdir()
    for n in range(6):
        shutil.copy(home / "talk" / f"p{n}" / "a.flac", home / "orders" / f"order_{n}.flac")
    listing = listed("folder", ["orders"], speaker_pattern="^([^_]+)_")
    assert {clip.speaker for clip in listing.negatives} == {None}
    assert {clip.split for clip in listing.negatives} == set(SPLITS)


def test_recordings_of_a_speaker_of_the_words_stay_with_it(home: Path) -> None:
    talks = [home / "more" / f"s1_{n}.flac" for n in range(4)]
    talks[0].parent.mkdir()
    for n, talk in enumerate(talks):
        shutil.copy(home / "talk" / f"p{n}" / "a.flac", talk)
    listing = listed("folder", ["more"], speaker_pattern="^([^_]+)_")
    (split,) = {clip.split for clip in listing.clips if clip.speaker == "s1"}
    assert {(clip.speaker, clip.split) for clip in listing.negatives} == {("s1", split)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_file_changes_the_fingerprint(kind: str, home: Path) -> None:
    for source in ("talk", "talk/p1/a.flac"):
        fields = {"kind": kind, **SAMPLE_FIELDS[kind], "negatives": [source]}
        dataset: Any = load("Dataset", kind).model_validate(fields)
        before = dataset.fingerprint()
        assert dataset.fingerprint() == before
        soundfile.write(home / "talk" / "p1" / "a.flac", np.zeros(20_000 + len(source)), 16_000)
        assert dataset.fingerprint() != before


def test_files_and_tables_name_single_recordings_and_parts(home: Path) -> None:
    table = ["file,speaker,start_s,end_s"]
    table += [f"talk/p{n}/a.flac,q{n},0.5,2" for n in range(4)]
    (home / "talk.csv").write_text("\n".join(table))
    listing = listed("folder", ["talk.csv", "talk/p7/a.flac", "talk/p8/a.flac"])
    parts = {clip.speaker: (clip.start_s, clip.end_s) for clip in listing.negatives}
    assert parts == {f"q{n}": (0.5, 2.0) for n in range(4)} | {None: (0.0, None)}
    assert len(listing.negatives) == 6


def test_parts_end_with_their_file(home: Path) -> None:
    rows = [f"talk/p{n}/a.flac,q{n},0.5,{2 + n}" for n in range(4)]  # 2.5 s each
    (home / "talk.csv").write_text("\n".join(["file,speaker,start_s,end_s", *rows]))
    listing = listed("folder", ["talk.csv"])
    assert sorted(clip.end_s or 0 for clip in listing.negatives) == [2.0, 2.5, 2.5, 2.5]
    assert "ignored: 3 values of end_s after the end of their file" in listing.notes


def test_parts_that_overlap_are_in_one_split(home: Path) -> None:
    rows = [f"talk/p0/a.flac,q{n},{0.5 * n},{0.5 * n + 0.6}" for n in range(4)]
    (home / "talk.csv").write_text("\n".join(["file,speaker,start_s,end_s", *rows]))
    with pytest.raises(
        DataError, match=r"a.flac from .* s on would be in .*name each part .* once"
    ):
        listed("folder", ["talk.csv"])


def test_they_are_the_other_words_where_there_are_none(home: Path) -> None:
    """Without `_unknown_`, nothing would be trained on them."""
    listing = listed("folder", ["talk"])
    assert listing.labels == ("left", "right", "_unknown_")
    unknown = [clip for clip in listing.clips if clip.label == "_unknown_"]
    assert {clip.split for clip in unknown} == set(SPLITS)
    assert {clip.path.parent.parent.name for clip in unknown} == {"talk"}


def test_a_speaker_of_the_words_keeps_the_split(home: Path) -> None:
    for speaker in range(4):
        folder = home / "talk" / f"s{speaker}"
        folder.mkdir()
        (home / "talk" / f"p{speaker}" / "a.flac").rename(folder / "b.flac")
    listing = listed("folder", ["talk"])
    split_of = {clip.speaker: clip.split for clip in listing.clips if clip.label != "_unknown_"}
    own = {clip.speaker: clip.split for clip in listing.negatives if clip.speaker in split_of}
    assert len(own) == 4
    assert own == {speaker: split_of[speaker] for speaker in own}


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        (["missing"], "missing: no such folder"),
        (["empty"], "empty: holds no recordings; remove it from dataset.negatives"),
        (["talk/p1", "talk/p2"], "dataset.negatives: 1 speaker .* but 3 are needed"),
        (["bad.csv"], r"bad\.csv:1: .*file"),
    ],
)
def test_what_cannot_be_used_is_refused(negatives: list[str], message: str, home: Path) -> None:
    (home / "empty").mkdir()
    (home / "bad.csv").write_text("name\nx\n")
    with pytest.raises(DataError, match=message):
        listed("folder", negatives)


def test_a_copy_of_a_word_is_refused(home: Path) -> None:
    shutil.copy(home / "words" / "left" / "s1_left.wav", home / "talk" / "p3" / "cough.wav")
    with pytest.raises(
        DataError, match=r"cough\.wav: is a copy of .*s1_left\.wav, which is in words"
    ):
        listed("folder", ["talk"])


def test_copies_in_two_splits_are_refused_and_in_one_are_not(home: Path) -> None:
    split_of = {str(clip.speaker): clip.split for clip in listed("folder", ["talk"]).negatives}
    first = next(speaker for speaker, split in split_of.items() if split == "dev")
    shutil.copy(home / "talk" / first / "a.flac", home / "talk" / first / "b.flac")
    assert len(listed("folder", ["talk"]).negatives) == 10
    other = next(speaker for speaker, split in split_of.items() if split == "train")
    shutil.copy(home / "talk" / first / "a.flac", home / "talk" / other / "c.flac")
    with pytest.raises(DataError, match=r"is a copy of .*, which is in dataset\.negatives \("):
        listed("folder", ["talk"])


def test_the_folder_of_saved_events_holds_negatives(home: Path) -> None:
    stream = np.random.default_rng(0).uniform(-0.1, 0.1, 20 * 16_000).astype(np.float32)
    saved = EventAudio(home / "events", 16_000)
    for _ in saved.through(np.split(stream, 20)):
        pass
    for start_s in (2.0, 7.0, 12.0, 17.0):
        saved.add("talk.wav", Event(start_s, start_s + 0.5, "left", 0.9))
    saved.end()
    (home / "events" / "00004_left.partial").write_bytes(b"RIFF")  # of a run that was killed
    listing = listed("folder", ["events", "talk"])
    events = [clip for clip in listing.negatives if clip.path.parent.name == "events"]
    assert sorted(clip.path.name for clip in events) == sorted(
        path.name for path in (home / "events").glob("*.wav")
    )
    assert len(events) == 4
    assert {clip.label for clip in events} == {"_unknown_"}
    assert {(clip.start_s, clip.end_s) for clip in events} == {(0.0, None)}
