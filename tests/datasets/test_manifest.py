"""Manifests: every kind of table and column, splits, windows, and every problem by its line."""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.audio.decoding import decode, to_float32
from edgekws.audio.reading import read_audio
from edgekws.core.corpus import SPLITS, Listing
from edgekws.core.events import quiet
from edgekws.datasets.listing.manifest_rows import Columns
from edgekws.datasets.manifest import Dataset
from edgekws.errors import DataError
from edgekws.runtime.detect import fit_window
from edgekws.runtime.front_end import FrontEnd

RATE = 8000
WORDS = ("да", "нет", "вода")
Rows = list[dict[str, str]]


def write(path: Path, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(seconds * RATE)) * 0.2), RATE)
    return path


def save(path: Path, rows: Iterable[dict[str, str]], delimiter: str = ",") -> Path:
    rows = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
    return path


def listed(path: Path, seed: int = 7, **fields: Any) -> Listing:
    return Dataset(path=path, **fields).list_clips(FrontEnd(), seed, path.parent, quiet)


def speakers(listing: Listing, split: str) -> set[str | None]:
    return {clip.speaker for clip in listing.clips if clip.split == split}


def with_splits(rows: Rows, names: Sequence[str]) -> Rows:
    """Give the first eight speakers the first name, the others a name each."""
    split_of = {f"г{i}": names[max(0, i - 7)] for i in range(10)}
    return [row | {"split": split_of[row["speaker"]]} for row in rows]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Three words of ten speakers, in files without the speaker in their names."""
    return [
        {
            "path": write(tmp_path / "аудио" / f"{i}-{word}.wav").relative_to(tmp_path).as_posix(),
            "label": word,
            "speaker": f"г{i}",
        }
        for word in WORDS
        for i in range(10)
    ]


@pytest.fixture
def table(tmp_path: Path, rows: Rows) -> Path:
    return save(tmp_path / "clips.csv", rows)


def test_speakers_are_held_out_where_no_split_is_given(table: Path) -> None:
    listing = listed(table)
    assert listing.labels == ("вода", "да", "нет")
    split = [speakers(listing, s) for s in SPLITS]
    assert [len(s) for s in split] == [8, 1, 1]
    assert set().union(*split) == {f"г{i}" for i in range(10)}
    others = [listed(table, seed) for seed in range(8)]
    assert {frozenset(speakers(other, "test")) for other in others} == {frozenset(split[2])}
    assert len({frozenset(speakers(other, "dev")) for other in others}) > 1
    assert listing.notes[0].startswith("splits: dev and test held out by speaker; speakers: train")


def test_other_columns_and_other_kinds_of_table(tmp_path: Path, rows: Rows, table: Path) -> None:
    expected = listed(table).clips
    assert listed(save(tmp_path / "clips.tsv", rows, "\t")).clips == expected
    names = {"path": "file", "label": "keyword", "speaker": "who"}
    renamed = [{names[key]: value for key, value in row.items()} for row in rows]
    other = Dataset(path=save(tmp_path / "other.csv", renamed), columns=Columns(**names))
    again = Dataset.model_validate_json(other.model_dump_json())
    for dataset in (other, again):
        assert dataset.list_clips(FrontEnd(), 7, tmp_path, quiet).clips == expected
    lines = [json.dumps(row | {"start_s": 0, "end_s": None, "take": 1}) for row in rows]
    (tmp_path / "clips.jsonl").write_text("\ufeff" + "\n\n".join(lines), "utf-8")
    listing = listed(tmp_path / "clips.jsonl")
    assert listing.clips == expected
    assert "ignored: 1 unused columns (take)" in listing.notes


def test_given_splits_are_kept_and_missing_ones_carved(tmp_path: Path, rows: Rows) -> None:
    path = tmp_path / "given.csv"
    given = listed(save(path, with_splits(rows, ("training", "Val", "testing"))))
    assert [sorted(speakers(given, s), key=str) for s in SPLITS[1:]] == [["г8"], ["г9"]]
    assert given.notes[0].startswith("splits: given by given.csv; speakers: train 8, dev 1, test 1")
    two = listed(save(path, with_splits(rows, ("train", "train", "test"))))
    assert speakers(two, "test") == {"г9"}
    assert [len(speakers(two, s)) for s in SPLITS] == [8, 1, 1]
    constant = listed(save(path, with_splits(rows, ("train", "train", "train"))))
    assert constant.clips == listed(save(path, rows)).clips


def test_without_a_speaker_column_names_tell(tmp_path: Path, rows: Rows) -> None:
    bare = [{"path": row["path"], "label": row["label"]} for row in rows]
    listing = listed(save(tmp_path / "bare.csv", bare), speaker_pattern=r"^(\d+)-")
    assert set().union(*(speakers(listing, s) for s in SPLITS)) == {str(i) for i in range(10)}
    nameless = listed(tmp_path / "bare.csv", speaker_pattern="")
    assert any("30 of 30 clips have no speaker by column" in note for note in nameless.notes)


def test_keywords_where_and_fillers(tmp_path: Path, rows: Rows) -> None:
    for i in range(3):
        write(tmp_path / "шум" / f"{i}.wav", 3)
    kinds = [row | {"kind": "b" if row["label"] == "вода" else "a"} for row in rows]
    path = save(tmp_path / "kinds.csv", kinds)
    listing = listed(path, keywords=("нет", "да"), noise=tmp_path / "шум", max_unknown_ratio=0.5)
    assert listing.labels == ("нет", "да", "_unknown_", "_silence_")
    train = [clip.label for clip in listing.clips if clip.split == "train"]
    assert [train.count(label) for label in listing.labels] == [8, 8, 4, 3]
    only = Dataset(path=path, keywords=("нет", "да"), where={"kind": ("a",)})
    listing = only.list_clips(FrontEnd(), 7, tmp_path, quiet)
    assert listing.labels == only.labels() == ("нет", "да")
    assert "ignored: 10 rows by dataset.where" in listing.notes
    absent = Dataset(path=tmp_path / "none.csv", keywords=("нет",), noise=tmp_path)
    assert absent.labels() == ("нет", "_unknown_", "_silence_")


def test_rows_may_be_unknown_or_silence(tmp_path: Path, rows: Rows) -> None:
    for i in range(3):
        write(tmp_path / "_background_noise_" / f"{i}.wav", 3)
    names = {"да": "да", "нет": "_unknown_", "вода": "_silence_"}
    path = save(tmp_path / "f.csv", [row | {"label": names[row["label"]]} for row in rows])
    listing = listed(path)
    assert listing.labels == ("да", "_unknown_", "_silence_")
    assert len(listing.clips) == 30
    assert len(listing.noise) == 3
    more = listed(path, silence=True)
    assert len(more.clips) == 30 + 3 + 1 + 1
    less = listed(path, silence=False, unknown=False)
    assert less.labels == ("да",)
    assert "unknown = false leaves out: _unknown_" in less.notes
    assert "silence = false leaves out the recordings of _silence_" in less.notes


def test_windows_are_cut_where_the_rows_say(shared_data: Path, tmp_path: Path) -> None:
    """Sentences of telephone speech, with the place of the keyword in each."""
    source = shared_data / "wuw2"
    with (source / "manifest.csv").open(encoding="utf-8", newline="") as file:
        chosen = [row for row in csv.DictReader(file) if row["speaker"] <= "spk012"]
    for row in chosen:
        target = tmp_path / "звук" / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source / row["file"])
    path = save(tmp_path / "манифест.csv", chosen)
    listing = listed(
        path,
        root=tmp_path / "звук",
        columns={"path": "file", "label": "keyword"},
        where={"kind": ["sentence"]},
        keywords=("operator", "wildfire"),
    )
    assert listing.labels == ("operator", "wildfire", "_unknown_")
    sentences = {row["file"]: row for row in chosen if row["kind"] == "sentence"}
    assert len(listing.clips) == len(sentences) > 30
    corpus = decode(listing, FrontEnd(), tmp_path / "cache", quiet)
    assert not corpus.rejected
    checked = 0
    for split in SPLITS:
        for clip, wave in zip(corpus.splits[split], corpus.waveforms(split), strict=True):
            row = sentences[clip.path.relative_to(tmp_path / "звук").as_posix()]
            assert (clip.start_s, clip.end_s) == (float(row["start_s"]), float(row["end_s"]))
            assert clip.speaker == row["speaker"]
            whole, rate = soundfile.read(clip.path, dtype="float32")
            first, last = round(clip.start_s * rate), round((clip.end_s or 0) * rate)
            alone = tmp_path / "alone.wav"
            soundfile.write(alone, whole[first:last], rate, "FLOAT")
            expected = fit_window(read_audio(alone, 16_000), 16_000)
            np.testing.assert_allclose(to_float32(wave), expected.clip(-1, 1), atol=2**-15)
            checked += 1
    assert checked == len(sentences)


def test_the_fingerprint_follows_the_table_its_files_and_the_fields(
    tmp_path: Path, rows: Rows, table: Path
) -> None:
    before = Dataset(path=table).fingerprint()
    assert before == Dataset(path=table).fingerprint()
    assert before == Dataset(path=table, root=tmp_path).fingerprint()
    assert before != Dataset(path=table, keywords=("да",)).fingerprint()
    write(tmp_path / "аудио" / "not in the table.wav")
    assert before == Dataset(path=table).fingerprint()
    os.utime(tmp_path / rows[0]["path"], ns=(1, 1))
    touched = Dataset(path=table).fingerprint()
    assert touched != before
    write(tmp_path / "_background_noise_" / "n.wav")
    assert Dataset(path=table).fingerprint() != touched
    save(table, rows[1:])
    assert Dataset(path=table).fingerprint() not in (before, touched)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": ""}, r"clips\.csv:2: path: is empty; name the audio file"),
        ({"path": "x.wav"}, r"clips\.csv:2: path: there is no file x\.wav in /.*set dataset\.root"),
        ({"path": "../x.wav"}, r":2: path: \.\./x\.wav is outside /.*; set dataset\.root to a"),
        ({"path": "/etc/passwd"}, r":2: path: /etc/passwd is outside /"),
        ({"path": "аудио/1-да.wav"}, r":3: path: .* is already listed in line 2; keep one of them"),
        ({"label": " "}, r":2: label: is empty; write what is spoken"),
        ({"label": "a\x1b[31m"}, r":2: label: 'a\\x1b\[31m' holds characters that cannot"),
        ({"label": "a\u202eb"}, r":2: label: 'a\\u202eb' holds characters that cannot"),
        ({"label": "a" * 201}, r":2: label: a label has at most 200 bytes"),
        ({"label": "Unknown"}, r"'Unknown' would be a word to spot; call it _unknown_, or name"),
        ({"label": "noise"}, r"'noise' would be a word to spot; call it _background_noise_"),
        ({"split": "tset"}, r":2: split: 'tset' is not a split; did you mean test\?"),
        ({"split": "xyz"}, r":2: split: 'xyz' is not a split; known: train, dev, test"),
        ({"start_s": "1,5"}, r":2: start_s: '1,5' is not a number; give seconds, such as 1\.25"),
        (
            {"start_s": "-1"},
            r":2: start_s: -1 is not a position in a file; give seconds from its start",
        ),
        ({"end_s": "nan"}, r":2: end_s: nan is not a position in a file"),
        ({"start_s": "2", "end_s": "2"}, r":2: end_s: 2 is not after the start, 2; correct one"),
        ({"end_s": "0"}, r":2: end_s: 0 is not after the start, 0; correct one"),
    ],
)
def test_a_wrong_row_is_reported(
    tmp_path: Path, rows: Rows, change: dict[str, str], message: str
) -> None:
    full = [row | {"split": "", "start_s": "", "end_s": ""} for row in rows]
    path = save(tmp_path / "clips.csv", [full[0] | change, *full[1:]])
    with pytest.raises(DataError, match=message) as caught:
        listed(path)
    assert len(str(caught.value).splitlines()) == 1


def test_many_problems_are_reported_at_once(tmp_path: Path, rows: Rows) -> None:
    wrong = [row | {"label": "", "start_s": "x"} for row in rows]
    with pytest.raises(DataError, match=r"start_s: 'x'") as caught:
        listed(save(tmp_path / "wrong.csv", wrong))
    lines = str(caught.value).splitlines()
    assert len(lines) == 11
    assert lines[-1] == "… and 50 more problems"
    assert lines[1].startswith(f"{tmp_path / 'wrong.csv'}:2: start_s: ")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": {"path": "pth"}}, r"csv:1: pth: there is no such column; did you mean path\?"),
        (
            {"columns": {"split": "fold"}},
            r"fold: there is no such column; known: path, label, speaker; dataset\.columns\.split",
        ),
        ({"where": {"speakr": ["a"]}}, r"speakr: there is no such column; did you mean speaker\?"),
        ({"where": {"label": ["водa"]}}, r"dataset\.where asks for 'водa', no row has it; did you"),
        ({"keywords": ["вод"]}, r"keyword 'вод' has no recordings; did you mean вода\?"),
        ({"keywords": ["xyz"]}, r"keyword 'xyz' has no recordings; known: вода, да, нет"),
        ({"noise": "missing"}, "missing: no such folder"),
        ({"silence": True}, "_silence_ needs noise recordings; give dataset.noise"),
        ({"root": "elsewhere"}, r"there is no file .* in /.*elsewhere; correct it, or set"),
    ],
)
def test_wrong_fields_are_reported(table: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(table, **fields)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv:1: path: there is no such column; the file is empty; dataset\.col"),
        ("a.csv", b"path,label\n", r"a\.csv: holds no rows with a word in column 'label'"),
        ("a.csv", b"path,label,path\n", r":1: path: 2 columns have this name; rename all but one"),
        (
            "a.csv",
            b"path,label\na,b,c\n",
            r":2: 3 cells, but 2 columns; quote text that contains a c",
        ),
        ("a.csv", b'path,label\n"a,b\n', r"a\.csv:2: is not valid CSV: unexpected end of data"),
        ("a.csv", b"path,label\n\xff,b\n", r"is not UTF-8: .* at byte 11; save it as UTF-8"),
        ("a.jsonl", b'{"path": 1\n', r"a\.jsonl:1: is not valid JSON: .* at column 11"),
        ("a.jsonl", b"[1]\n", r'a\.jsonl:1: expected an object, \{"path": …, "label": …\}'),
        ("a.jsonl", b'{"path": 1, "label": "a"}', r"a\.jsonl:1: path: there is no file 1 in"),
    ],
)
def test_files_that_are_no_tables_are_reported(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        listed(tmp_path / name)


def test_a_missing_or_foreign_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.csv: no such file, relative to"):
        listed(tmp_path / "no.csv")
    with pytest.raises(ValueError, match=r"a\.xlsx is not a table; use one of \.csv, \.tsv"):
        Dataset(path=Path("a.xlsx"))


def test_clips_that_end_after_their_file_are_reported(tmp_path: Path, rows: Rows) -> None:
    ends = {0: "0.55", 1: "9", 2: "7.5", 3: "3"}  # of half a second; the last is no audio
    timed = [row | {"end_s": ends.get(i, "")} for i, row in enumerate(rows)]
    (tmp_path / rows[3]["path"]).write_bytes(b"")
    (note,) = (n for n in listed(save(tmp_path / "t.csv", timed)).notes if "after the end" in n)
    assert note.startswith(
        "clips with end_s after the end of their file: 2, cut there; the first is "
    )
    assert note.endswith(f"{rows[1]['path']}, 0.5 s long, end_s 9 s")
    on_time = [row | {"end_s": ends[0]} for row in rows]
    assert not any("said" in note for note in listed(save(tmp_path / "t.csv", on_time)).notes)


def test_leaks_are_reported_with_both_lines(tmp_path: Path, rows: Rows) -> None:
    leaky = with_splits(rows, ("train", "dev", "test"))
    leaky[0] |= {"split": "test"}
    path = save(tmp_path / "leaky.csv", leaky)
    with pytest.raises(DataError, match=r":12: speaker г0 is in test in line 2, here in train; ke"):
        listed(path)
    leaky[0] |= {"split": ""}
    with pytest.raises(DataError, match=r":12: speaker г0 is in no split in line 2, here in train"):
        listed(save(path, leaky))
    long = {"path": rows[0]["path"], "label": "да", "speaker": ""}
    windows = [
        long | {"start_s": str(i), "end_s": str(i + 1), "split": split}
        for i, split in enumerate(SPLITS)
    ]
    with pytest.raises(
        DataError, match=r"да\.wav, of an unknown speaker, is in train in line 2, h"
    ):
        listed(save(path, windows), speaker_pattern="")


def test_too_few_speakers_are_reported(tmp_path: Path, rows: Rows) -> None:
    path = save(tmp_path / "one.csv", [row | {"speaker": "г"} for row in rows])
    with pytest.raises(
        DataError, match=r"one\.csv: column 'speaker' or speaker_pattern .* finds 1"
    ):
        listed(path)
