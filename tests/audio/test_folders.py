"""One answer to which files of a folder are recordings."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekws.audio.folders import audio_files, audio_files_under, ignored_line


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder as it comes from other machines: linked, with what systems leave in it."""
    for name in (
        *("yes/a.wav", "yes/B.FLAC", "yes/._a.wav", "yes/deep/c.ogg", "b.mp3"),
        *(".Trash/x.wav", "lost+found/x.wav", "__MACOSX/x.wav", "yes/call.m4a", "README"),
    ):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.wav").touch()
    (tmp_path / "tree" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "tree" / "yes" / "self").symlink_to(".")
    (tmp_path / "tree" / "yes" / "loop.wav").symlink_to("loop.wav")
    return tmp_path / "tree"


def test_links_are_followed_and_every_folder_is_read_once(tree: Path) -> None:
    ignored: Counter[str] = Counter()
    found = [path.relative_to(tree).as_posix() for path in audio_files_under(tree, ignored)]
    assert found == [
        *("b.mp3", "linked/d.wav", "yes/B.FLAC", "yes/a.wav", "yes/loop.wav", "yes/deep/c.ogg"),
    ]
    assert ignored_line(ignored) == [
        "ignored: 1 .m4a, 4 hidden, 1 link to a folder read before, 1 without a suffix"
    ]


def test_a_folder_alone(tree: Path) -> None:
    ignored: Counter[str] = Counter()
    assert [p.name for p in audio_files(tree / "yes", ignored)] == ["B.FLAC", "a.wav", "loop.wav"]
    assert ignored == {"hidden": 1, "folder inside a folder": 2, ".m4a": 1}


def test_what_may_not_be_read_is_counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(folder: Path) -> Iterator[os.DirEntry[str]]:
        if folder.name == "linked":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    ignored: Counter[str] = Counter()
    assert len(audio_files_under(tree, ignored)) == 5
    assert ignored["folder that cannot be read (linked)"] == 1
