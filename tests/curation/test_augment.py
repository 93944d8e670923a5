"""Augmenting: the same bytes every time, also when stopped; nothing half done looks whole."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import edgekws.curation.augment as room
from edgekws.core.events import Event, quiet
from edgekws.curation.augment import Augmented, augment
from edgekws.curation.source import data_source
from edgekws.datasets.synthesis.spoken_sentences import SpokenSentences
from edgekws.errors import DataError, UsageError
from edgekws.runtime.front_end import FrontEnd

RATE = 8_000
SPEAKERS = tuple(f"s{n}" for n in range(12))
OVERRIDES = ("front_end.sample_rate=8000", "augment.noise.probability=1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two words of 12 speakers, 0.3 s each, and a noise recording."""
    root, random = tmp_path / "слова", np.random.default_rng(0)
    for word in ("да", "нет"):
        (root / word).mkdir(parents=True)
        for speaker in SPEAKERS:
            wave = random.normal(0, 0.1, 2_400)
            soundfile.write(root / word / f"{speaker}_nohash_0.wav", wave, RATE)
    (root / "_background_noise_").mkdir()
    soundfile.write(root / "_background_noise_" / "hum.wav", random.normal(0, 0.1, 9_000), RATE)
    return root


def run(folder: Path, output: Path, copies: int = 2, *overrides: str, **more: Any) -> Augmented:
    given = data_source(str(folder), (*OVERRIDES, *overrides))
    return augment(given, output, copies, more.get("form", "wav"), more.get("seed", 3), quiet)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_originals_are_kept_and_train_is_augmented(folder: Path, tmp_path: Path) -> None:
    result = run(folder, tmp_path / "more")
    cells = rows(tmp_path / "more")
    originals = [row for row in cells if row["made"] == "original"]
    augmented = [row for row in cells if row["made"] == "augmented"]
    assert (result.originals, result.augmented) == (len(originals), len(augmented)) == (24, 2 * 18)
    assert {row["split"] for row in augmented} == {"train"}
    for row in originals:
        before, _ = soundfile.read(folder / row["source"], dtype="int16")
        after, _ = soundfile.read(tmp_path / "more" / row["path"], dtype="int16")
        np.testing.assert_array_equal(before, after)
    assert {row["noise"] for row in augmented} == {"hum.wav"}
    assert all(0 <= float(row["snr_db"]) <= 20 for row in augmented)
    clips = {p for p in contents(tmp_path / "more") if p.endswith(".wav")}
    assert clips == {row["path"] for row in cells}


def test_sentences_without_a_keyword_are_not_spoken_for_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(SpokenSentences, "list_sentences")
    run(folder, tmp_path / "more", 2, 'dataset.spoken={ language = "ru" }')
    run(folder, tmp_path / "same", 2)
    assert rows(tmp_path / "more") == rows(tmp_path / "same")


def test_the_manifest_is_a_dataset(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "more", form="flac")
    given = data_source(str(tmp_path / "more" / "manifest.csv"))
    listing = given.dataset.list_clips(FrontEnd(), 0, tmp_path, quiet)
    assert len(listing.clips) == 24 + 2 * 18
    before = data_source(str(folder)).dataset.list_clips(FrontEnd(), 0, tmp_path, quiet)
    split = {(clip.label, clip.speaker): clip.split for clip in before.clips}
    assert {(c.label, c.speaker): c.split for c in listing.clips} == split


def test_the_same_bytes_also_when_stopped(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, tmp_path / "whole")
    monkeypatch.setattr(room, "BLOCK", 5)
    record, calls = room._write_clip, []

    def stop(order: Any, i: int, *given: Any) -> Any:
        calls.append(i)
        if i == 12:
            raise KeyboardInterrupt
        return record(order, i, *given)

    monkeypatch.setattr(room, "_write_clip", stop)
    with pytest.raises(KeyboardInterrupt):
        run(folder, tmp_path / "stopped")
    assert not (tmp_path / "stopped").exists()
    assert not (tmp_path / ".stopped.partial" / "manifest.csv").exists()
    calls.clear()

    def noted(order: Any, i: int, *given: Any) -> Any:
        calls.append(i)
        return record(order, i, *given)

    monkeypatch.setattr(room, "_write_clip", noted)
    run(folder, tmp_path / "stopped")
    assert sorted(calls) == list(range(10, 24))
    assert contents(tmp_path / "whole") == contents(tmp_path / "stopped")
    assert not (tmp_path / ".stopped.partial").exists()


def test_another_seed_gives_other_clips_and_the_same_call_nothing_new(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, tmp_path / "a", 1)
    run(folder, tmp_path / "b", 1, seed=4)
    one, other = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert one.keys() == other.keys()
    assert {p for p in one if one[p] != other[p]} >= {p for p in one if "-aug1" in p}
    assert all(one[p] == other[p] for p in one if p.endswith("_0.wav"))
    monkeypatch.setattr(room, "_write_clip", None)
    assert run(folder, tmp_path / "a", 1) == Augmented(tmp_path / "a", 24, 18, ())


def test_what_was_begun_for_others_is_begun_anew(folder: Path, tmp_path: Path) -> None:
    partial = tmp_path / ".more.partial"
    (partial / "да").mkdir(parents=True)
    (partial / "да" / "old.wav").write_bytes(b"")
    (partial / ".manifest.csv.part").write_text('{"of": "other"}\n{"rows": []}\n')
    run(folder, tmp_path / "more", 1)
    assert not (tmp_path / "more" / "да" / "old.wav").exists()


def test_it_refuses_to_write_where_something_is(folder: Path, tmp_path: Path) -> None:
    for inside in (folder, folder / "new", tmp_path):
        with pytest.raises(UsageError, match="is, is in, or holds the source"):
            run(folder, inside)
    full = tmp_path / "full"
    full.mkdir()
    (full / "a.txt").touch()
    with pytest.raises(UsageError, match="is not empty"):
        run(folder, full)
    run(folder, tmp_path / "done", 1)
    with pytest.raises(UsageError, match="is the result of other options or other data"):
        run(folder, tmp_path / "done", 2)
    (tmp_path / "empty").mkdir()
    assert run(folder, tmp_path / "empty", 1).originals == 24
    with pytest.raises(UsageError, match="is a file"):
        run(folder, full / "a.txt")


def test_files_that_cannot_be_read_are_told_and_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "да" / "s1_nohash_0.wav").write_bytes(b"no audio")
    events: list[Event] = []
    given = data_source(str(folder), OVERRIDES)
    result = augment(given, tmp_path / "more", 1, "wav", 0, events.append)
    assert [name for name, _ in result.unreadable] == ["да/s1_nohash_0.wav"]
    assert result.originals == 23
    assert any("cannot be read as audio" in e.text for e in events if e.kind == "warning")


def test_a_speaker_in_two_splits_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "validation_list.txt").write_text("да/s1_nohash_0.wav\nнет/s2_nohash_0.wav\n")
    (folder / "testing_list.txt").write_text("да/s3_nohash_0.wav\nнет/s4_nohash_0.wav\n")
    with pytest.raises(DataError, match="is in two splits"):
        run(folder, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_clips_of_the_same_name_keep_apart(folder: Path, tmp_path: Path) -> None:
    table = folder / "clips.csv"
    lines = [
        f"{word}/{who}_nohash_0.wav,a,{who},{start},{start + 0.1}"
        for word in ("да", "нет") for who in SPEAKERS for start in (0.0, 0.1)
    ]  # fmt: skip
    table.write_text("\n".join(["path,label,speaker,start_s,end_s", *lines]), encoding="utf-8")
    run(table, tmp_path / "more", 1)
    cells = rows(tmp_path / "more")
    assert len({row["path"] for row in cells}) == len(cells) > 48
    row = next(row for row in cells if row["path"] == "a/s1_nohash_0-2.wav")
    assert (row["source_start_s"], row["source_end_s"]) == ("0.1", "0.2")
    cut, _ = soundfile.read(folder / row["source"], dtype="int16", start=800, stop=1_600)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "more" / row["path"],
                                                 dtype="int16")[0], cut)  # fmt: skip


def test_what_was_augmented_before_can_be_augmented_again(folder: Path, tmp_path: Path) -> None:
    run(folder, tmp_path / "once", 1)
    result = run(tmp_path / "once" / "manifest.csv", tmp_path / "twice", 1)
    cells = rows(tmp_path / "twice")
    assert len({row["path"] for row in cells}) == len(cells) == result.originals + result.augmented
    assert (result.originals, result.augmented) == (24 + 18, 36)
