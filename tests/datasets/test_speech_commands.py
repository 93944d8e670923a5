"""Speech Commands: layout, official splits, filler classes, the official test set, errors."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgekws.core.corpus import SPLITS, Listing
from edgekws.core.events import quiet
from edgekws.datasets.speech_commands import WORDS, Dataset, which_set
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd
from tests.datasets.conftest import SPEAKERS, put, sound

TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def listed(root: Path, seed: int = 7, **fields: Any) -> Listing:
    return Dataset(root=root, **fields).list_clips(FrontEnd(), seed, root, quiet)


def counts(listing: Listing, split: str) -> Counter[str]:
    return Counter(clip.label for clip in listing.clips if clip.split == split)


def test_labels_need_no_data() -> None:
    assert Dataset(root=Path("none")).labels() == (*TEN, "_unknown_", "_silence_")
    every = Dataset(root=Path("none"), preset="35").labels()
    assert len(every) == len(set(every)) == 35
    assert every[:10] == TEN
    assert len(Dataset(root=Path("none"), version="v1", preset="30").labels()) == 30
    as_number: Any = 35
    assert Dataset(root=Path("none"), preset=as_number).labels() == every
    with pytest.raises(ValidationError, match="Input should be '12', '30' or '35'"):
        Dataset.model_validate({"root": "none", "preset": True})


def test_the_hash_keeps_speakers_together_and_gives_tenths() -> None:
    splits = Counter(which_set(f"{hashlib.md5(str(i).encode()).hexdigest()[:8]}_nohash_0.wav")
                     for i in range(20_000))  # fmt: skip
    assert splits["dev"] == pytest.approx(2000, rel=0.1)
    assert splits["test"] == pytest.approx(2000, rel=0.1)
    for speaker in SPEAKERS:
        assert len({which_set(f"{speaker}_nohash_{take}.wav") for take in range(5)}) == 1


@pytest.mark.parametrize("inner", ["SpeechCommands/speech_commands_v0.02", "speech_commands_v0.02"])
def test_every_layout_gives_the_same(small_version_2: Path, tmp_path: Path, inner: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(small_version_2, other / inner)
    names = [(c.path.name, c.label, c.split) for c in listed(tmp_path / "root").clips]
    assert [(c.path.name, c.label, c.split) for c in listed(other).clips] == names
    assert [(c.path.name, c.label, c.split) for c in listed(other / inner).clips] == names


def test_lists_and_the_hash_agree_and_lists_go_first(small_version_2: Path) -> None:
    by_lists = listed(small_version_2)
    assert by_lists.notes[0] == "splits: given by validation_list.txt, testing_list.txt"
    expected = {s: {n for n in SPEAKERS if which_set(f"{n}_nohash_0.wav") == s} for s in SPLITS}
    assert [len(expected[split]) for split in SPLITS] == [8, 4, 4]
    for split in SPLITS:
        speakers = {clip.speaker for clip in by_lists.clips if clip.split == split} - {None}
        assert speakers == expected[split]
    for name in ("validation_list.txt", "testing_list.txt"):
        (small_version_2 / name).rename(small_version_2 / f"{name}.old")
    by_hash = listed(small_version_2)
    assert by_hash.clips == by_lists.clips
    assert by_hash.notes[0] == "splits: by the hash of the speaker's name"
    moved = next(iter(expected["train"]))
    words = [*TEN, "bed"]
    text = "\n".join(f"{word}/{moved}_nohash_0.wav" for word in words)
    (small_version_2 / "validation_list.txt").write_text(text)
    (small_version_2 / "testing_list.txt.old").rename(small_version_2 / "testing_list.txt")
    listing = listed(small_version_2)
    assert {c.speaker for c in listing.clips if c.split == "dev"} - {None} == {moved}


def test_fillers_have_the_mean_count_of_a_command(small_version_2: Path) -> None:
    put(small_version_2, {f"cat/{s}_nohash_1.wav": sound(pitch=0.7) for s in SPEAKERS})
    (small_version_2 / "yes" / f"{SPEAKERS[0]}_nohash_0.wav").unlink()
    for name in ("validation_list.txt", "testing_list.txt"):
        (small_version_2 / name).unlink()
    listing = listed(small_version_2)
    assert listing.labels == (*TEN, "_unknown_", "_silence_")
    for split in SPLITS:
        by_label = counts(listing, split)
        mean = -(-sum(by_label[word] for word in TEN) // 10)
        assert by_label["_unknown_"] == by_label["_silence_"] == mean >= 2
    assert {c.path.parent.name for c in listing.clips if c.label == "_unknown_"} == {"bed", "cat"}
    silence = {s: {c.path for c in listing.clips if c.split == s and c.label == "_silence_"}
               for s in SPLITS}  # fmt: skip
    assert not silence["train"] & (silence["dev"] | silence["test"])
    assert not set(listing.noise) & (silence["dev"] | silence["test"])
    unknown = [c for c in listing.clips if c.label == "_unknown_"]
    other_seed = listed(small_version_2, seed=8)
    assert unknown == [c for c in other_seed.clips if c.label == "_unknown_"]


@pytest.fixture
def official(small_version_2: Path) -> Path:
    """The official test set: other names for `_unknown_`, and `_silence_` without speakers."""
    tested = [name for name in SPEAKERS if which_set(f"{name}_nohash_0.wav") == "test"][:2]
    files = {f"{word}/{s}_nohash_0.wav": sound() for word in TEN for s in tested}
    files |= {f"_unknown_/bed_{s}_nohash_0.wav.wav": sound() for s in tested}
    files |= {f"_silence_/{i}.wav": sound() for i in range(3)}
    return put(small_version_2.with_name("speech_commands_test_set_v0.02"), files)


def test_the_official_test_set_is_the_test_split(official: Path, tmp_path: Path) -> None:
    listing = listed(tmp_path / "root")
    by_label = counts(listing, "test")
    assert all(by_label[word] == 2 for word in (*TEN, "_unknown_"))
    assert by_label["_silence_"] == 3
    tested = [clip for clip in listing.clips if clip.split == "test"]
    assert all(clip.path.is_relative_to(official) for clip in tested)
    speakers = {clip.speaker for clip in tested} - {None}
    assert speakers
    assert all(which_set(f"{speaker}_nohash_0.wav") == "test" for speaker in speakers)
    assert {clip.speaker for clip in tested if clip.label == "_silence_"} == {None}
    others = {clip.speaker for clip in listing.clips if clip.split != "test"}
    assert not others & speakers
    assert counts(listing, "dev")["_unknown_"] == counts(listing, "dev")["yes"]
    assert any(note.startswith("test: the 25 clips of speech_commands_test") for note in
               listing.notes)  # fmt: skip
    assert Dataset(root=tmp_path / "root").fingerprint() != (
        Dataset(root=official.with_name("speech_commands_v0.02")).fingerprint()
    )
    (official / "stop").rename(official / "stopp")
    with pytest.raises(DataError, match=r"test_set_v0\.02: has no folder stop; unpack the archive"):
        listed(tmp_path / "root")


def test_preset_35_is_every_word_without_fillers(small_version_2: Path) -> None:
    for number, word in enumerate(WORDS["35"]):
        clip = {f"{word}/{s}_nohash_0.wav": sound(pitch=0.3 + number / 100) for s in SPEAKERS}
        put(small_version_2, clip)
    put(small_version_2, {f"extra/{SPEAKERS[0]}_nohash_0.wav": sound()})
    listing = listed(small_version_2, preset="35")
    assert set(counts(listing, "train")) == set(listing.labels) == set(WORDS["35"])
    assert len(listing.noise) == 6
    assert "left out: 1 clips of other words (extra)" in listing.notes


def test_the_fingerprint_follows_files_not_the_place(small_version_2: Path, tmp_path: Path) -> None:
    before = Dataset(root=tmp_path / "root").fingerprint()
    assert before == Dataset(root=small_version_2).fingerprint()
    assert before != Dataset(root=small_version_2, preset="35").fingerprint()
    (small_version_2 / "yes" / f"{SPEAKERS[0]}_nohash_0.wav").unlink()
    assert before != Dataset(root=small_version_2).fingerprint()


def test_data_that_is_not_there_is_reported(small_version_2: Path, tmp_path: Path) -> None:
    message = (
        r"nowhere: holds no SpeechCommands/speech_commands_v0\.02; set dataset\.root to the "
        r"folder that does, or download it there with edgekws compress --download"
    )
    with pytest.raises(DataError, match=message):
        listed(tmp_path / "nowhere")
    with pytest.raises(DataError, match=message):
        Dataset(root=tmp_path / "nowhere").fingerprint()
    with pytest.raises(DataError, match=r"has no recordings of zero, one, two, .*; unpack the arc"):
        listed(small_version_2, preset="35")
    (small_version_2 / "testing_list.txt").unlink()
    with pytest.raises(DataError, match=r"has validation_list\.txt but no testing_list\.txt; rest"):
        listed(small_version_2)
    shutil.rmtree(small_version_2 / "_background_noise_")
    (small_version_2 / "validation_list.txt").unlink()
    few = "_background_noise_: holds 0 recordings, but _silence_ needs"
    with pytest.raises(DataError, match=few):
        listed(small_version_2)


@pytest.mark.parametrize(("version", "preset", "right"), [("v1", "35", "30"), ("v2", "30", "35")])
def test_presets_belong_to_versions(version: Any, preset: Any, right: str) -> None:
    with pytest.raises(ValueError, match=f"{version} has no preset {preset}; choose 12 or {right}"):
        Dataset(root=Path(), version=version, preset=preset)
