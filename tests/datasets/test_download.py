"""Fetching from a server on this machine: resumed, checked, and unpacked inside the folder only."""

import errno
import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from edgekws.core.events import Event, quiet
from edgekws.datasets import speech_commands
from edgekws.datasets._download import Archive, fetch, unpack
from edgekws.datasets.speech_commands import Dataset
from edgekws.errors import DataError, MissingPartError
from edgekws.runtime.front_end import FrontEnd
from tests.datasets.conftest import Server, members, packed

NAME = "speech_commands_v0.02.tar.gz"


@pytest.fixture
def archives(server: Server, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Small archives instead of the real ones; returns that of the words."""
    files = members()
    words = server.archive(NAME, packed(files))
    tested = {f"./{word}/00000009_nohash_0.wav": b"" for word in (*speech_commands.WORDS["12"],
              "_unknown_", "_silence_")}  # fmt: skip
    test = server.archive("speech_commands_test_set_v0.02.tar.gz", packed(tested))
    monkeypatch.setattr(speech_commands, "ARCHIVES", {"v2": words})
    monkeypatch.setattr(speech_commands, "TEST_ARCHIVES", {"v2": test})
    return words


def test_download_brings_the_layout_of_torchaudio(
    archives: Archive, server: Server, tmp_path: Path
) -> None:
    dataset, events = Dataset(root=tmp_path / "данные"), list[Event]()
    dataset.download(events.append)
    inside = tmp_path / "данные" / "SpeechCommands"
    assert {path.name for path in inside.iterdir()} == {
        "speech_commands_v0.02",
        "speech_commands_test_set_v0.02",
    }
    assert len(list((inside / "speech_commands_v0.02").rglob("*.wav"))) == 11 * 16 + 6
    listing = dataset.list_clips(FrontEnd(), 7, tmp_path, quiet)
    assert {clip.label for clip in listing.clips} == set(dataset.labels())
    progress = [event for event in events if event.kind == "progress"]
    assert {event.text for event in progress} >= {f"downloading {NAME}, MiB"}
    assert all((event.done or 0) <= (event.total or 0) for event in progress)
    assert server.asked == [None, None]
    dataset.download(quiet)
    assert server.asked == [None, None]
    shutil.rmtree(inside)
    dataset.download(quiet)  # from the archives that are there
    assert server.asked == [None, None]
    assert dataset.list_clips(FrontEnd(), 7, tmp_path, quiet) == listing


def test_every_word_needs_no_test_set(archives: Archive, server: Server, tmp_path: Path) -> None:
    Dataset(root=tmp_path, preset="35").download(quiet)
    assert len(server.asked) == 1


def test_among_the_word_folders_nothing_is_unpacked(
    archives: Archive, server: Server, small_version_2: Path
) -> None:
    dataset, events = Dataset(root=small_version_2), list[Event]()
    dataset.download(events.append)
    assert server.asked == []
    assert [event.kind for event in events] == ["warning"]
    assert "holds the word folders themselves, with no place next to them" in events[0].text
    dataset.list_clips(FrontEnd(), 7, small_version_2, quiet)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_transfer_is_resumed(
    archives: Archive, server: Server, tmp_path: Path, ranges: bool
) -> None:
    content = server.files[NAME]
    server.cut_at, server.ranges = 1000, ranges
    with pytest.raises(DataError, match=r"was closed at 1000 of \d+ bytes\); run the same command"):
        fetch(archives, tmp_path, quiet)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.part"]
    server.cut_at = None
    assert fetch(archives, tmp_path, quiet).read_bytes() == content
    assert server.asked == [None, "bytes=1000-"]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_whole_transfer_that_was_not_named_yet_is_kept(
    archives: Archive, server: Server, tmp_path: Path
) -> None:
    content = server.files[NAME]
    (tmp_path / f"{NAME}.part").write_bytes(content)
    assert fetch(archives, tmp_path, quiet).read_bytes() == content
    assert server.asked == [f"bytes={len(content)}-"]


def test_another_file_than_expected_is_refused(
    archives: Archive, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = archives._replace(sha256="0" * 64)
    monkeypatch.setattr(speech_commands, "ARCHIVES", {"v2": wrong})
    with pytest.raises(
        DataError, match=r"has sha256 \w+, expected 0000.*was removed; run the same"
    ):
        Dataset(root=tmp_path).download(quiet)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / NAME).write_bytes(b"another file")
    with pytest.raises(DataError, match=r"has sha256 \w+, expected \w+; remove it, and run the sa"):
        fetch(archives, tmp_path, quiet)
    assert (tmp_path / NAME).read_bytes() == b"another file"


def test_a_server_that_refuses_or_is_not_there(
    archives: Archive, server: Server, tmp_path: Path
) -> None:
    absent = archives._replace(url=archives.url.replace("v0.02", "v0.03"))
    with pytest.raises(
        DataError, match=r"the server returned 404 Not Found\); run the same .* try"
    ):
        fetch(absent, tmp_path, quiet)
    closed = archives._replace(url="http://127.0.0.1:9/a.tar.gz")
    with pytest.raises(DataError, match=r"cannot be downloaded \(.*\); .* put a\.tar\.gz into"):
        fetch(closed, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_matter_of_the_network(
    archives: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, *args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left on device"):
        fetch(archives, tmp_path, quiet)


def test_what_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(packed({"yes/1.wav": b"x", "../../out.wav": b"x"}))
    with pytest.raises(DataError, match=r"out\.wav.* outside the destination; this is not the exp"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "in" / "words", quiet)
    linked = io.BytesIO()
    with tarfile.open(fileobj=linked, mode="w:gz") as tar:
        link = tarfile.TarInfo("yes")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    (tmp_path / "b.tar.gz").write_bytes(linked.getvalue())
    with pytest.raises(DataError, match=r"absolute path; this is not the expected"):
        unpack(tmp_path / "b.tar.gz", tmp_path / "in" / "words", quiet)
    assert list((tmp_path / "in").iterdir()) == []
    assert not list(tmp_path.rglob("out.wav"))


def test_broken_archives_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = packed({f"yes/{i}.wav": os.urandom(5000) for i in range(40)})
    for content in (whole[: len(whole) // 2], b"no archive"):
        (tmp_path / "a.tar.gz").write_bytes(content)
        with pytest.raises(
            DataError, match=r"cannot be unpacked \(.*\); remove it and download it"
        ):
            unpack(tmp_path / "a.tar.gz", tmp_path / "words", quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]
    (tmp_path / "words").mkdir()
    with pytest.raises(DataError, match="words: exists, but without the expected content; move"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "words", quiet)
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(MissingPartError, match=r"unpacking safely needs Python 3\.11\.4; install"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "elsewhere", quiet)
