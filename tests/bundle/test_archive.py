"""Zips of bundles: the same bytes every time, and nothing harmful is unpacked."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from edgekws.bundle import archive
from edgekws.bundle.archive import unpacked, write_zip
from edgekws.errors import DataError

NAMES = ["б.txt", "a.txt", "golden/00.wav"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name * 50)
    return tmp_path / "folder"


def zipped(path: Path, *entries: tuple[ZipInfo, bytes]) -> Path:
    with ZipFile(path, "w") as file:
        for entry, content in entries:
            file.writestr(entry, content)
    return path


def test_the_bytes_depend_on_names_and_contents_alone(folder: Path, tmp_path: Path) -> None:
    write_zip(folder, NAMES, tmp_path / "1.zip")
    for name in NAMES:
        os.utime(folder / name, (0, 1_000_000_000))
        (folder / name).chmod(0o700)
    write_zip(folder, reversed(NAMES), tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    (folder / "a.txt").write_text("x")
    write_zip(folder, NAMES, tmp_path / "3.zip")
    assert (tmp_path / "1.zip").read_bytes() != (tmp_path / "3.zip").read_bytes()


def test_what_was_packed_is_unpacked(folder: Path, tmp_path: Path) -> None:
    write_zip(folder, NAMES, tmp_path / "1.zip")
    with unpacked(tmp_path / "1.zip") as there:
        files = {p.relative_to(there).as_posix(): p.read_text() for p in there.rglob("*.*")}
    assert files == {name: name * 50 for name in NAMES}
    assert not there.exists()
    with unpacked(folder) as there:
        assert there == folder


def test_every_truncation_is_refused(folder: Path, tmp_path: Path) -> None:
    write_zip(folder, NAMES, tmp_path / "1.zip")
    whole = (tmp_path / "1.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    for length in range(0, len(whole), 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"not a zip archive, or a damaged one"), unpacked(cut):
            pass


def test_every_changed_byte_is_refused_or_changes_nothing(folder: Path, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "1.zip", "w", ZIP_DEFLATED) as file:
        for name in NAMES:
            file.write(folder / name, name)
    whole = (tmp_path / "1.zip").read_bytes()
    path, refused = tmp_path / "changed.zip", 0
    for i in range(0, len(whole), 3):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x81]) + whole[i + 1 :])
        try:
            with unpacked(path) as there:
                texts = {p.read_text() for p in there.rglob("*") if p.is_file()}
        except DataError:
            refused += 1
            continue
        assert texts <= {name * 50 for name in NAMES}
    assert refused > len(whole) / 6


def link() -> ZipInfo:
    entry = ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def encrypted(path: Path) -> Path:
    raw = bytearray(zipped(path, (ZipInfo("a"), b"x")).read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    return path


def nul_names(path: Path) -> Path:
    raw = zipped(path, (ZipInfo("a"), b"x")).read_bytes()
    path.write_bytes(raw.replace(b"a", b"\x00"))
    return path


def bzip2(path: Path) -> Path:
    entry = ZipInfo("a")
    entry.compress_type = ZIP_BZIP2
    return zipped(path, (entry, b"x"))


def named(*names: str) -> Callable[[Path], Path]:
    return lambda path: zipped(path, *((ZipInfo(name), b"x") for name in names))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (named("/etc/passwd"), "'/etc/passwd' leads out of the bundle's folder"),
        (named("a/../../b"), r"'a/\.\./\.\./b' leads out"),
        (named("../"), r"'\.\.' leads out"),
        (named("..\\b"), r".* leads out of the bundle's folder, or is not a plain path"),
        (named("C:b"), "'C:b' leads out"),
        (named("a//b"), "'a//b' leads out"),
        (nul_names, "'' leads out"),
        (named("a", "b", "a"), "'a' appears twice"),
        (named("a", "a/b"), "'a' is both a file and a folder"),
        (named("x" * 201), ".* has a name of more than 200 bytes"),
        (lambda path: zipped(path, (link(), b"/etc/passwd")), "'link' is a link or a device"),
        (encrypted, "'a' is encrypted"),
        (bzip2, "'a' uses a compression method other than deflate"),
    ],
)
def test_a_harmful_archive_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    path = make(tmp_path / "bad.zip")
    whole = rf"bad\.zip: {message}.*; nothing of it was used"
    with pytest.raises(DataError, match=whole), unpacked(path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["bad.zip"]


def test_bombs_are_refused_by_what_they_state_and_cut_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 2**20)
    entry = ZipInfo("zeros")
    entry.compress_type = ZIP_DEFLATED
    bomb = zipped(tmp_path / "bomb.zip", (entry, bytes(2**20 + 1)))
    assert bomb.stat().st_size < 5_000
    with pytest.raises(DataError, match="it unpacks to more than 1 MiB"), unpacked(bomb):
        pass
    stated = (2**20 + 1).to_bytes(4, "little")
    bomb.write_bytes(bomb.read_bytes().replace(stated, (10).to_bytes(4, "little")))
    with pytest.raises(DataError, match=r"a damaged one \(Bad CRC-32"), unpacked(bomb):
        pass
    monkeypatch.setattr(archive, "MAX_ENTRIES", 2)
    many = named("a", "b", "c")(tmp_path / "many.zip")
    with pytest.raises(DataError, match="3 entries, more than the 2 of any bundle"), unpacked(many):
        pass


def test_what_is_not_there_or_no_zip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such bundle; give its"), unpacked(tmp_path / "none"):
        pass
    (tmp_path / "text").write_text("text")
    with pytest.raises(DataError, match="text: not a zip archive"), unpacked(tmp_path / "text"):
        pass
