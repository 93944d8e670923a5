"""Synthesis: a folder in the layout of Speech Commands, the same bytes every time."""

import csv
from pathlib import Path

import pytest
import soundfile

from edgekws.core.corpus import NEVER_ON_PEOPLE, SPLITS
from edgekws.core.events import quiet
from edgekws.curation.source import data_source
from edgekws.curation.synth import Spoken, synth, words_of
from edgekws.errors import DataError, RecipeError, UsageError
from edgekws.runtime.front_end import FrontEnd

WORDS = ("да", "нет")


def run(
    output: Path,
    *,
    clips: int = 7,
    voices: str = "ru+f1,ru+f2,ru+m1,ru+m2,ru+m3",
    language: str = "ru",
    words: tuple[str, ...] = WORDS,
    overrides: tuple[str, ...] = (),
) -> Spoken:
    return synth(words, output, language, clips, voices, 3, overrides, quiet)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("речь") / "words"
    result = run(folder)
    assert (result.clips, result.voices, result.words) == (14, 5, WORDS)
    assert result.splits == {"train": 10, "dev": 2, "test": 2}
    return folder


def test_the_layout_is_that_of_speech_commands(spoken: Path) -> None:
    with (spoken / "manifest.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    files = {str(p.relative_to(spoken)) for p in spoken.glob("*/*_nohash_*.wav")}
    assert {row["path"] for row in cells} == files
    assert len(files) == 14
    for row in cells:
        word, _, name = row["path"].partition("/")
        assert word == row["label"] == row["text"]
        assert name.startswith(f"{row['speaker']}_nohash_")
        assert row["speaker"] == f"{row['accent']}+{row['variant']}"
        info = soundfile.info(spoken / row["path"])
        assert (info.samplerate, info.frames, info.channels) == (16_000, 16_000, 1)
        assert (info.format, info.subtype) == ("WAV", "PCM_16")


def test_it_is_a_dataset_as_folder_and_as_manifest(spoken: Path, tmp_path: Path) -> None:
    clips = []
    for source in (spoken, spoken / "manifest.csv"):
        given = data_source(str(source))
        listing = given.dataset.list_clips(FrontEnd(), 0, tmp_path, quiet)
        clips.append({(c.path.name, c.label, c.speaker, c.split) for c in listing.clips})
        assert listing.kind_of_test == "same engine, held-out voices (espeak)"
        assert listing.test_caveats == (NEVER_ON_PEOPLE,)
    assert clips[0] == clips[1]
    assert len(clips[0]) == 14
    where: dict[str, set[str]] = {}
    for _, _, speaker, split in clips[0]:
        where.setdefault(str(speaker).rpartition("+")[2], set()).add(split)
    assert all(len(splits) == 1 for splits in where.values())
    assert {split for splits in where.values() for split in splits} == set(SPLITS)


def test_the_same_bytes_again(spoken: Path, tmp_path: Path) -> None:
    run(tmp_path / "again")
    assert contents(spoken) == contents(tmp_path / "again")
    before = (spoken / "manifest.csv").stat().st_mtime_ns
    run(spoken)
    assert (spoken / "manifest.csv").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="is the result of other options"):
        run(spoken, clips=8)


def test_named_voices_and_another_rate(tmp_path: Path) -> None:
    result = run(tmp_path / "two", voices="ru+f1, ru+m3, ru-lv+m3", clips=4,
               overrides=("front_end.sample_rate=8000",))  # fmt: skip
    assert result.splits == {"not split": 8}
    files = sorted((tmp_path / "two").glob("*/*.wav"))
    assert {p.name.partition("_")[0] for p in files} >= {"ru+f1", "ru+m3"}
    assert {soundfile.info(p).samplerate for p in files} == {8_000}
    assert not (tmp_path / "two" / "testing_list.txt").exists()


def test_a_number_of_voices_is_drawn(tmp_path: Path) -> None:
    result = run(tmp_path / "drawn", voices="2", clips=2, words=("да",))
    assert (result.voices, result.clips) == (2, 2)
    with pytest.raises(UsageError, match="--voices 0: from 1 to the"):
        run(tmp_path / "none", voices="0")


def test_words_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    assert words_of("on, off,turn left") == ("on", "off", "turn left")
    file = tmp_path / "words.txt"
    file.write_text("# lamps\non\n\nturn left\n", encoding="utf-8")
    assert words_of(str(file)) == ("on", "turn left")
    with pytest.raises(UsageError, match="name words separated by commas"):
        words_of(" ,")
    with pytest.raises(UsageError, match=r"'\.\./x' cannot name a folder"):
        words_of("on,../x")
    file.write_bytes(b"\xff")
    with pytest.raises(DataError, match="is not UTF-8"):
        words_of(str(file))


def test_what_cannot_be_spoken(tmp_path: Path) -> None:
    out = tmp_path / "x"
    with pytest.raises(DataError, match="does not speak language 'xx'"):
        run(out, language="xx")
    with pytest.raises(UsageError, match="--voices nobody: there is no such voice"):
        run(out, voices="nobody")
    with pytest.raises(RecipeError, match="'да' is named 2 times"):
        run(out, words=("да", "да"))
    with pytest.raises(DataError, match="set a longer"):
        run(out, words=("превысокомногорассмотрительствующий",), voices="ru+f1", clips=1)
    assert list(tmp_path.iterdir()) == []
