"""Clips without labels: what a folder and a table list, and what is wrong with a table."""

from pathlib import Path

import pytest

from edgekws.core.events import Event, quiet
from edgekws.datasets.listing.unlabelled import list_unlabelled
from edgekws.errors import DataError


def test_a_folder_lists_audio_by_name(tmp_path: Path) -> None:
    for name in ("b.wav", "a/z.FLAC", "a.txt", "я.ogg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    head, clips = list_unlabelled(tmp_path, quiet)
    assert head == ("file",)
    assert [clip.name for clip in clips] == ["a/z.FLAC", "b.wav", "я.ogg"]
    assert clips[1].path == tmp_path / "b.wav"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "file,end_s\nb.wav,2\na.wav,\n"),
        ("t.tsv", "end_s\tpath\n2\tb.wav\n\ta.wav\n"),
        ("t.jsonl", '{"file": "b.wav", "end_s": 2}\n{"file": "a.wav"}\n'),
    ],
)
def test_a_table_lists_its_rows_in_order(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    head, clips = list_unlabelled(tmp_path / name, quiet)
    assert head == ("file", "end_s")
    assert [(clip.cells, clip.start_s, clip.end_s) for clip in clips] == [
        (("b.wav", "2"), 0.0, 2.0),
        (("a.wav", ""), 0.0, None),
    ]
    assert clips[0].path == tmp_path / "b.wav"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na.wav,x\n", r"t\.csv:1: a column file or path is needed; it has name, label"),
        ("", r"t\.csv:1: a column file or path is needed; the file is empty"),
        ("file\n", r"t\.csv: holds no rows; list one file per row"),
        ("file,end_s\n,1\n", r"t\.csv:2: file: is empty; name an audio file"),
        ("file,end_s\na,x\n", r"t\.csv:2: end_s: expected seconds of at least 0, not 'x'"),
        ("file,start_s\na,-1\n", r"t\.csv:2: start_s: expected seconds of at least 0, not '-1'"),
        ("file,start_s\na,inf\n", r"t\.csv:2: start_s: expected seconds of at least 0, not 'inf'"),
        ("file,start_s,end_s\na,2,2\n", r"t\.csv:2: end_s: 2 is not after start_s = 2"),
        ("file\na,b\n", r"t\.csv:2: 2 cells, but 1 columns"),
    ],
)
def test_what_is_wrong_with_a_table_is_reported_by_line(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        list_unlabelled(tmp_path / "t.csv", quiet)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,start_s\na,x\nb,1\n,2\n")
    with pytest.raises(DataError, match=r"t\.csv:2: start_s.*\n.*t\.csv:4: file: is empty"):
        list_unlabelled(tmp_path / "t.csv", quiet)


def test_what_is_neither_folder_nor_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder; give the folder with the"):
        list_unlabelled(tmp_path / "none", quiet)
    (tmp_path / "a.wav").touch()
    message = (
        r"a\.wav: is neither a folder nor a table; .* or a table \(\.csv, \.tsv, .* a column file"
    )
    with pytest.raises(DataError, match=message):
        list_unlabelled(tmp_path / "a.wav", quiet)
    with pytest.raises(DataError, match=r"none\.csv: no such file"):
        list_unlabelled(tmp_path / "none.csv", quiet)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no audio \(\.aif"):
        list_unlabelled(tmp_path / "empty", quiet)


def test_what_is_ignored_is_reported_and_what_is_linked_is_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("b/1.wav", "a/call.m4a", "a/._1.wav"):
        (tmp_path / name).touch()
    (tmp_path / "a" / "more").symlink_to(tmp_path / "b")
    events: list[Event] = []
    _, clips = list_unlabelled(tmp_path / "a", events.append)
    assert [clip.name for clip in clips] == ["more/1.wav"]
    assert [(event.kind, event.text) for event in events] == [
        ("note", f"{tmp_path / 'a'}: ignored: 1 .m4a, 1 hidden")
    ]
    (tmp_path / "b" / "1.wav").unlink()
    with pytest.raises(DataError, match=r"holds no audio \(.*\.wav; ignored: 1 \.m4a, 1 hidden\)"):
        list_unlabelled(tmp_path / "a", quiet)
