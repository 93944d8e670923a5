"""Word folders: splits by lists, tables or speakers, noise apart, and every error by name."""

import os
import signal
import time
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from edgekws.core.corpus import SPLITS, Listing
from edgekws.core.events import quiet
from edgekws.datasets.folder import Dataset
from edgekws.errors import DataError
from edgekws.runtime.front_end import FrontEnd


def write(path: Path, seconds: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(seconds * 8000)) * 0.2), 8000)
    return path


def listed(root: Path, seed: int = 7, **fields: Any) -> Listing:
    return Dataset(root=root, **fields).list_clips(FrontEnd(), seed, root, quiet)


def counts(listing: Listing) -> dict[tuple[str, str], int]:
    pairs = [(clip.split, clip.label) for clip in listing.clips]
    return {pair: pairs.count(pair) for pair in sorted(set(pairs))}


def speakers(listing: Listing, split: str) -> set[str | None]:
    return {clip.speaker for clip in listing.clips if clip.split == split and clip.speaker}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "речь"
    for word in ("да", "нет", "вода", "zoom in"):
        for speaker in range(10):
            for take in range(2):
                write(root / word / f"s{speaker}_nohash_{take}.wav")
    return root


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    for i in range(6):
        write(tmp_path / "шум" / f"n{i}.wav", seconds=3)
    return tmp_path / "шум"


def test_without_lists_speakers_are_held_out(tree: Path) -> None:
    listing = listed(tree)
    assert listing.labels == ("zoom in", "вода", "да", "нет")
    split = [speakers(listing, s) for s in SPLITS]
    assert [len(s) for s in split] == [8, 1, 1]
    assert set().union(*split) == {f"s{i}" for i in range(10)}
    assert len(listing.clips) == 80
    assert "splits: dev and test held out by speaker; speakers: train 8, dev 1, test 1" in (
        listing.notes
    )
    assert any("no _silence_ can be cut" in note for note in listing.notes)
    other_seeds = [listed(tree, seed) for seed in range(8)]
    assert {frozenset(speakers(other, "test")) for other in other_seeds} == {frozenset(split[2])}
    assert len({frozenset(speakers(other, "dev")) for other in other_seeds}) > 1


def test_keywords_keep_their_order_and_other_words_are_unknown(tree: Path, noise: Path) -> None:
    listing = listed(tree, keywords=("нет", "да"), noise=noise)
    assert listing.labels == ("нет", "да", "_unknown_", "_silence_")
    assert counts(listing)["train", "_unknown_"] == 32
    assert counts(listing)["train", "_silence_"] == round(0.4 * 16)
    assert counts(listing)["test", "_silence_"] == 1
    two = listed(tree, keywords=("нет", "да"), unknown=False)
    assert two.labels == ("нет", "да")
    assert len(two.clips) == 40
    assert "unknown = false leaves out: zoom in, вода" in two.notes


def test_a_keyword_is_found_however_its_letters_are_composed(tmp_path: Path) -> None:
    for speaker in range(4):
        write(tmp_path / unicodedata.normalize("NFD", "йод") / f"s{speaker}_1.wav")
    assert listed(tmp_path, keywords=(unicodedata.normalize("NFC", "йод"),)).labels == ("йод",)


def test_unknown_is_capped_in_train_only(tree: Path) -> None:
    listing = listed(tree, keywords=("да",), max_unknown_ratio=1.5)
    assert counts(listing)["train", "_unknown_"] == 24
    assert counts(listing)["dev", "_unknown_"] == 6
    assert "_unknown_ in train: 24 of 48, by max_unknown_ratio" in listing.notes
    assert listing == listed(tree, keywords=("да",), max_unknown_ratio=1.5)


def test_a_folder_called_unknown_is_that_class(tree: Path) -> None:
    (tree / "вода").rename(tree / "_unknown_")
    listing = listed(tree)
    assert listing.labels == ("zoom in", "да", "нет", "_unknown_")
    assert counts(listing)["train", "_unknown_"] == 16


def test_noise_recordings_are_in_one_split_only(tree: Path, noise: Path) -> None:
    listing = listed(tree, noise=noise)
    used = {s: {c.path for c in listing.clips if c.split == s and c.label == "_silence_"}
            for s in SPLITS}  # fmt: skip
    assert used["train"] <= set(listing.noise)
    assert not set(listing.noise) & (used["dev"] | used["test"])
    assert not used["dev"] & used["test"]
    assert len(listing.noise) == 4
    assert "noise recordings per split: train 4, dev 1, test 1; no recording is in two" in (
        listing.notes
    )
    assert len(listed(tree, noise=noise, silence=False).noise) == 6


def test_background_noise_in_the_root_is_the_noise(tree: Path, noise: Path) -> None:
    noise.rename(tree / "_background_noise_")
    listing = listed(tree)
    assert listing.labels[-1] == "_silence_"
    assert {path.parent.name for path in listing.noise} == {"_background_noise_"}
    assert not any("ignored" in note for note in listing.notes)


def test_noise_beside_the_words_is_no_word(tree: Path, noise: Path) -> None:
    noise.rename(tree / "шум")
    assert listed(tree, noise=tree / "шум").labels == ("zoom in", "вода", "да", "нет", "_silence_")


def test_a_link_to_itself_is_no_trap(tree: Path, noise: Path) -> None:
    (tree / "да" / "self").symlink_to(".")
    assert Dataset(root=tree).fingerprint()
    assert "ignored: 1 folder inside a folder" in listed(tree).notes


def test_what_systems_leave_is_no_word(tree: Path, noise: Path) -> None:
    (tree / "lost+found").mkdir()
    (noise / "call.m4a").touch()
    listing = listed(tree, noise=noise)
    assert listing.labels == ("zoom in", "вода", "да", "нет", "_silence_")
    assert "ignored: 1 .m4a, 1 folder lost+found" in listing.notes


def test_what_is_no_recording_is_counted(tree: Path) -> None:
    (tree / "да" / ".DS_Store").write_text("x")
    (tree / "да" / "readme.txt").write_text("x")
    (tree / "нет" / "more").mkdir()
    (tree / "_old").mkdir()
    assert "ignored: 1 .txt, 1 folder _old, 1 folder inside a folder, 1 hidden" in (
        listed(tree).notes
    )


def test_lists_give_dev_and_test(tree: Path) -> None:
    (tree / "validation_list.txt").write_text(
        "".join(f"{w.name}/s1_nohash_{t}.wav\n" for w in tree.iterdir() for t in range(2)), "utf-8"
    )
    (tree / "testing_list.txt").write_text(
        "".join(f"{w}/s2_nohash_0.wav\n\n" for w in ("да", "нет", "вода", "zoom in")), "utf-8"
    )
    for word in ("да", "нет", "вода", "zoom in"):
        (tree / word / "s2_nohash_1.wav").unlink()
    listing = listed(tree)
    assert speakers(listing, "dev") == {"s1"}
    assert speakers(listing, "test") == {"s2"}
    assert len(speakers(listing, "train")) == 8
    assert listing.notes[0].startswith("splits: given by validation_list.txt, testing_list.txt; sp")


def table(root: Path, name: str, chosen: range) -> None:
    rows = [f"{w}/s{s}_nohash_0.wav,{w}\n" for w in ("да", "нет") for s in chosen]
    (root / name).write_text("file,class\n" + "".join(rows), "utf-8")


def test_tables_give_test_and_dev_is_held_out(tree: Path) -> None:
    table(tree, "train.csv", range(7))
    table(tree, "val.csv", range(7, 10))
    listing = listed(tree)
    assert listing.labels == ("да", "нет")
    assert speakers(listing, "test") == {"s7", "s8", "s9"}
    assert len(speakers(listing, "dev")) == 1
    assert len(listing.clips) == 20
    assert "ignored: 60 in none of train.csv, val.csv" in listing.notes
    table(tree, "val.csv", range(7, 8))
    table(tree, "test.csv", range(8, 10))
    assert speakers(listed(tree), "dev") == {"s7"}
    assert speakers(listed(tree), "test") == {"s8", "s9"}


def test_real_recordings_are_split_as_their_tables_say(shared_data: Path) -> None:
    fields: dict[str, Any] = {"keywords": ("yes", "no"), "noise": shared_data / "noise"}
    listing = listed(shared_data / "asc", **fields)
    assert [len(speakers(listing, s)) for s in SPLITS] == [15, 3, 6]
    assert counts(listing)["test", "yes"] == 60
    assert counts(listing)["train", "_unknown_"] == 38 * 150
    assert len({c.speaker for c in listing.clips if c.speaker}) == 24
    assert {c.speaker for c in listing.clips if c.speaker} >= {"00000001", "00000002"}


def test_files_without_a_speaker_count_one_by_one(tmp_path: Path) -> None:
    for word in ("a", "b"):
        for take in range(20):
            write(tmp_path / word / f"{take}.wav")
    listing = listed(tmp_path)
    assert {clip.speaker for clip in listing.clips} == {None}
    assert any(note.startswith("40 of 40 clips have no speaker") for note in listing.notes)


def test_the_fingerprint_follows_files_and_fields_not_the_place(tree: Path, noise: Path) -> None:
    dataset = Dataset(root=tree, noise=noise)
    before = dataset.fingerprint()
    assert before == dataset.fingerprint()
    assert before != Dataset(root=tree).fingerprint()
    assert before != Dataset(root=tree, noise=noise, dev_fraction=0.2).fingerprint()
    moved = tree.rename(tree.with_name("elsewhere"))
    assert before == Dataset(root=moved, noise=noise).fingerprint()
    os.utime(noise / "n0.wav", ns=(1, 1))
    assert before != Dataset(root=moved, noise=noise).fingerprint()
    (moved / "да" / "link.wav").symlink_to(moved / "nowhere.wav")
    Dataset(root=moved).fingerprint()


@pytest.mark.parametrize("name", ["{take}.wav", "{word}_{take}.wav", "{word}-{take}.wav"])
@pytest.mark.parametrize("takes", [3, 5, 20])
def test_small_sets_without_speakers_are_split_by_recording(
    tmp_path: Path, name: str, takes: int
) -> None:
    for word in ("yes", "no", "turn on", "rest", "more"):
        for take in range(takes):
            write(tmp_path / word / name.format(word=word, take=take))
    for seed in range(5):
        listing = listed(tmp_path, seed=seed, keywords=["yes", "no", "turn on"])
        by_label = counts(listing)
        for label in ("yes", "no", "turn on"):
            shares = [by_label[split, label] for split in SPLITS]
            assert min(shares) >= 1
            assert sum(shares) == takes
        assert any("held out by recording" in note for note in listing.notes)
        assert listing.caveats == tuple(n for n in listing.notes if "have no speaker" in n)
        assert len(listing.caveats) == 1


def test_fewer_than_three_recordings_of_no_speaker_are_refused_with_advice(tmp_path: Path) -> None:
    for take in range(3):
        write(tmp_path / "yes" / f"{take}.wav")
    for take in range(2):
        write(tmp_path / "no" / f"{take}.wav")
    message = r"'no' has no clips in \w+; it has 2 recordings of unknown speakers, but 3 are needed"
    with pytest.raises(DataError, match=message):
        listed(tmp_path)
    assert listed(tmp_path, keywords=["yes"]).labels == ("yes", "_unknown_")


def test_named_speakers_have_no_caveat(tree: Path) -> None:
    assert listed(tree).caveats == ()
    write(tree / "да" / "alone.wav")
    (caveat,) = listed(tree).caveats
    assert caveat.startswith("1 of 81 clips have no speaker")


def test_a_pattern_that_never_ends_is_stopped(tree: Path) -> None:
    write(tree / "да" / f"{'a' * 60}.wav")
    start = time.monotonic()
    with pytest.raises(DataError, match=rf"within 1 s on the name '{'a' * 60}\.wav'"):
        listed(tree, speaker_pattern=r"^((a+)+)_")
    assert time.monotonic() - start < 5
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert listed(tree, speaker_pattern=r"^(s\d)_").labels


@pytest.mark.parametrize(
    ("folder", "meant"),
    [
        ("unknown", "_unknown_"),
        ("_Unknown_", "_unknown_"),
        ("Silence", "_silence_"),
        ("noise", "_background_noise_"),
        ("_noise_", "_background_noise_"),
        ("Background", "_background_noise_"),
        ("background_noise", "_background_noise_"),
    ],
)
def test_a_folder_that_is_no_word_does_not_become_one(tree: Path, folder: str, meant: str) -> None:
    write(tree / folder / "s1_1.wav")
    with pytest.raises(DataError, match=f"'{folder}' would be a word to spot; call it {meant}"):
        listed(tree)
    if not folder.startswith("_"):
        for speaker in range(10):
            write(tree / folder / f"s{speaker}_nohash_0.wav")
        assert listed(tree, keywords=[folder]).labels[0] == folder
        assert folder not in listed(tree, noise=tree / folder).labels


def test_a_label_that_nobody_can_read_is_refused(tree: Path) -> None:
    write(tree / "a\x1b[31m" / "s1_1.wav")
    with pytest.raises(DataError, match="holds characters that cannot be shown") as error:
        listed(tree)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"root": "missing"}, "missing: no such folder; dataset.root is relative to"),
        ({"keywords": ["даа"]}, "keyword 'даа' has no recordings; did you mean да.*; known: zoom"),
        ({"keywords": ["xyz"]}, "keyword 'xyz' has no recordings; known: zoom in, вода, да, нет$"),
        ({"root": "missing", "silence": True}, "missing: no such folder; dataset.root"),
        ({"noise": "missing"}, "missing: no such folder, relative to"),
        ({"silence": True}, "_silence_ needs noise recordings; give dataset.noise, put them in"),
        (
            {"speaker_pattern": "nohash(_)"},
            "finds 1 of the 3 speakers needed to hold out dev and test",
        ),
        ({"speaker_pattern": "(_|nohash)"}, "finds 1 of the 3 speakers needed"),
    ],
)
def test_wrong_fields_are_reported(tree: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(**{"root": tree, **fields})


def test_empty_folders_are_reported(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"empty: holds no word folders; expected .*/<word>/<rec"):
        listed(empty)
    write(tmp_path / "only" / "_unknown_" / "s1_1.wav")
    with pytest.raises(DataError, match="only: holds no word folders"):
        listed(tmp_path / "only")
    with pytest.raises(DataError, match="empty: holds no noise recordings"):
        listed(tree, noise=empty)
    (tree / "пусто").mkdir()
    with pytest.raises(DataError, match="пусто: holds no recordings; fill the folder or remove"):
        listed(tree)


def test_a_keyword_that_one_split_lacks_is_reported(tmp_path: Path) -> None:
    for speaker in range(10):
        write(tmp_path / "a" / f"s{speaker}_1.wav")
    write(tmp_path / "b" / "s1_1.wav")
    with pytest.raises(DataError, match=r"keyword 'b' has no clips in \w+; its speakers: \w+ [01]"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.csv", "path,class\n", r"train\.csv:1: has no column 'file', but path, class"),
        ("train.csv", "", r"train\.csv:1: has no column 'file', but nothing"),
        ("train.csv", "file,class\nда/x.wav,да\n", r"train\.csv:2: there is no file .*x\.wav"),
        ("train.csv", "file,class\n../да/x.wav,да\n", r"train\.csv:2: \.\./да/x\.wav is outside"),
        ("train.csv", "file,class\n/да/x.wav,да\n", r"train\.csv:2: /да/x\.wav is outside"),
        ("train.csv", "file,class\nда/s1_nohash_0.wav,\n", r"train\.csv:2: file or class is empty"),
        ("train.csv", "file,class\nда/s1_nohash_0.wav\n", r"train\.csv:2: 1 cells, but 2 columns"),
        ("train.csv", "file,class\n" + 2 * "да/s1_nohash_0.wav,да\n", r":3: .* is listed twice"),
        ("val.csv", "file,class\n", r"has val\.csv but no train\.csv"),
        ("testing_list.txt", "да/x.wav\n", r"testing_list\.txt:1: да/x\.wav is not among"),
        ("testing_list.txt", "x", r"testing_list\.txt:1: x is not among the recordings"),
    ],
)
def test_wrong_tables_and_lists_are_reported(
    tree: Path, name: str, text: str, message: str
) -> None:
    (tree / name).write_text(text, "utf-8")
    with pytest.raises(DataError, match=message):
        listed(tree)


def test_contradicting_lists_are_reported(tree: Path) -> None:
    for name in ("validation_list.txt", "testing_list.txt"):
        (tree / name).write_text("да/s1_nohash_0.wav\n", "utf-8")
    with pytest.raises(DataError, match=r"testing_list\.txt:1: .* is in both lists"):
        listed(tree)
    table(tree, "train.csv", range(5))
    with pytest.raises(DataError, match=r"given twice, by train\.csv and validation_list\.txt"):
        listed(tree)
    (tree / "validation_list.txt").unlink()
    (tree / "train.csv").unlink()
    (tree / "testing_list.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"testing_list\.txt: is not UTF-8: .* at byte 0"):
        listed(tree)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keywords": ["a", "a"]}, "'a' is named 2 times"),
        ({"keywords": ["_silence_"]}, "'_silence_' is a filler class, not a keyword"),
        ({"speaker_pattern": "("}, "is not a regular expression"),
        ({"speaker_pattern": "(a{99999999999})"}, "is not a regular expression"),
        ({"speaker_pattern": f"({'a' * 600})"}, "at most 500"),
        ({"speaker_pattern": "abc"}, "has no group; put the speaker in parentheses"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dataset(root=Path(), **fields)
