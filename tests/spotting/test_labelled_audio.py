"""Tables and folders of labelled recordings: what is read, and what is said of what is wrong."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from edgekws.core.events import quiet
from edgekws.errors import DataError, UsageError
from edgekws.spotting.labelled_audio import (
    Label,
    Labelled,
    list_negatives,
    list_positives,
    parse_where,
)

WORDS = ("да", "нет")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    for name in ("да/1.wav", "нет/1.wav", "другое/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.zeros(1600), 16_000)
    return tmp_path


def table(folder: Path, *rows: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_recording_may_hold_several_keywords(audio: Path) -> None:
    rows = ("file,keyword,start_s,end_s", "да/1.wav,да,0.01,0.04", "да/1.wav,нет,0.05,0.09")
    path = table(audio, *rows, "нет/1.wav,прочее,,", "другое/1.wav,нет,,")
    assert list_positives(path, {}, WORDS, quiet) == [
        Labelled(audio / "да/1.wav", (Label("да", 0.01, 0.04), Label("нет", 0.05, 0.09))),
        Labelled(audio / "нет/1.wav"),
        Labelled(audio / "другое/1.wav", (Label("нет"),)),
    ]


def test_the_speaker_of_a_recording_is_known_from_the_table_or_the_folder(audio: Path) -> None:
    rows = ("file,keyword,speaker", "да/1.wav,да,zoe", "да/1.wav,нет,ann", "да/1.wav,да,zoe")
    path = table(audio, *rows, "нет/1.wav,нет,", "другое/1.wav,прочее,bob")
    assert [one.speaker for one in list_positives(path, {}, WORDS, quiet)] == [
        "ann & zoe",
        "",
        "bob",
    ]
    assert [one.speaker for one in list_negatives([path], quiet)] == [
        "zoe",
        "ann",
        "zoe",
        "",
        "bob",
    ]
    assert {one.speaker for one in list_positives(audio, {}, WORDS, quiet)} == {""}
    soundfile.write(audio / "noise.wav", np.zeros(1600), 16_000)
    result = list_negatives([audio], quiet)
    assert [one.speaker for one in result] == ["", "да", "другое", "нет"]


def test_rows_are_chosen_by_column(audio: Path) -> None:
    rows = ("path,label,split", "да/1.wav,да,dev", "нет/1.wav,нет,test", "другое/1.wav,да,train")
    path = table(audio, *rows)
    result = list_positives(path, parse_where(["split=dev, test", "label=нет"]), WORDS, quiet)
    assert [one.path.parent.name for one in result] == ["нет"]


def test_folders_are_keywords(audio: Path) -> None:
    result = list_positives(audio, {}, WORDS, quiet)
    assert {one.path.parent.name: one.labels for one in result} == {
        "да": (Label("да"),), "нет": (Label("нет"),), "другое": (),
    }  # fmt: skip
    assert list_negatives([audio / "да", audio / "нет"], quiet) == [
        Labelled(audio / "да/1.wav"), Labelled(audio / "нет/1.wav"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "where", "message"),
    [
        (["file,split", "да/1.wav,dev"], [], r":1: a column keyword or label or class is needed"),
        (["file,keyword", "x.wav,да"], [], r":2: file: there is no file .*x\.wav; correct it"),
        (["file,keyword", "да/1.wav,слово"], [], r"none of the bundle's keywords in it \(да, нет"),
        (["file,keyword", "да/1.wav,да"], ["spl=dev"], r"--where names it"),
        (["file,keyword,s", "да/1.wav,да,dev"], ["s=dv"], r"--where asks for 'dv', no row has it"),
        (
            ["file,keyword,end_s", "да/1.wav,да,x"],
            [],
            r":2: end_s: expected seconds of at least 0, not 'x'",
        ),
        (
            ["file,keyword,start_s,end_s", "да/1.wav,да,2,1"],
            [],
            r":2: end_s: 1 is not after the start, 2; correct one",
        ),
    ],
)
def test_what_is_wrong_is_told(
    audio: Path, rows: list[str], where: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list_positives(table(audio, *rows), parse_where(where), WORDS, quiet)


def test_sources_that_are_none(audio: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such file or folder; give a table"):
        list_positives(audio / "nowhere", {}, WORDS, quiet)
    with pytest.raises(DataError, match=r"1\.wav: is neither a folder nor a table"):
        list_positives(audio / "да/1.wav", {}, WORDS, quiet)
    with pytest.raises(UsageError, match=r"--where chooses rows of a table, and this is a folder"):
        list_positives(audio, parse_where(["a=b"]), WORDS, quiet)
    (audio / "leer").mkdir()
    with pytest.raises(DataError, match=r"leer holds no audio"):
        list_positives(audio / "leer", {}, WORDS, quiet)
    for wrong in ("split", "=dev", "split="):
        with pytest.raises(UsageError, match=rf"--where {wrong}: expected COLUMN=VALUE"):
            parse_where([wrong])
