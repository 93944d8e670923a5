"""Zip archives with every trick that unpacking programs have fallen for."""

import io
import stat
from pathlib import Path
from random import Random
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

from tools.fuzzing.damage import damaged, is_plain

_METHODS = (ZIP_STORED, ZIP_STORED, ZIP_DEFLATED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA)
_NAMES = (
    "../escaped", "../../escaped", "golden/../../../escaped", "C:\\escaped", "..\\escaped",
    "./labels.txt", "//x", "golden//00.wav", "labels.txt/", "labels.txt/x", "a" * 300,
    "golden/" * 60 + "x", "golden", "MODEL.ONNX", "model.onnx", "con", "x\x1b[31m", "e\u0301",
    " ", ".", "..", "golden/.", "__MACOSX/._x", "\u202egpj.exe",
)  # fmt: skip
_BOMB = 40 << 20


def zipped(rng: Random, folder: Path, escaped: Path) -> bytes:
    """Return a bundle's folder as a zip, which may try to write `escaped`."""
    file = io.BytesIO()
    with ZipFile(file, "w") as archive:
        method = rng.choice(_METHODS)
        for path in sorted(folder.rglob("*")):
            if is_plain(path):
                archive.writestr(path.relative_to(folder).as_posix(), path.read_bytes(), method)
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            rng.choice(_TRICKS)(rng, archive, escaped)
    data = file.getvalue()
    if rng.random() < 0.1:
        data = rng.choice((b"#!/bin/sh\n", b"PK\x03\x04", b"\0" * 100)) + data
    if rng.random() < 0.35:
        data = _directory_damaged(rng, data) if rng.random() < 0.6 else damaged(rng, data)
    return data


def _directory_damaged(rng: Random, data: bytes) -> bytes:
    """Damage what stands behind the files: the directory of the archive."""
    start = data.find(b"PK\x01\x02")
    return data[:start] + damaged(rng, data[start:])


def _strange_name(rng: Random, archive: ZipFile, escaped: Path) -> None:
    _add(archive, ZipInfo(rng.choice((*_NAMES, str(escaped)))), b"x")


def _link(rng: Random, archive: ZipFile, escaped: Path) -> None:
    entry = ZipInfo(rng.choice(("golden/99.wav", "model.ort", "golden")))
    kind = rng.choice((stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, stat.S_IFSOCK))
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    _add(archive, entry, str(escaped).encode())


def _encrypted(rng: Random, archive: ZipFile, escaped: Path) -> None:
    if archive.filelist:
        rng.choice(archive.filelist).flag_bits |= 1


def _many(rng: Random, archive: ZipFile, escaped: Path) -> None:
    for n in range(rng.choice((50, 1001, 5000))):
        _add(archive, ZipInfo(f"golden/{n}.wav"), b"")


def _bomb(rng: Random, archive: ZipFile, escaped: Path) -> None:
    for n in range(rng.choice((1, 8))):
        entry = ZipInfo(f"golden/{50 + n}.wav")
        entry.compress_type = ZIP_DEFLATED
        _add(archive, entry, bytes(_BOMB))


def _lying_sizes(rng: Random, archive: ZipFile, escaped: Path) -> None:
    if archive.filelist:
        entry = rng.choice(archive.filelist)
        entry.file_size = rng.choice((0, 1, entry.file_size + 1, 2**31, 2**40))
        entry.compress_size = rng.choice((0, entry.compress_size, entry.compress_size * 2))


def _twice(rng: Random, archive: ZipFile, escaped: Path) -> None:
    if archive.filelist:
        _add(archive, ZipInfo(rng.choice(archive.filelist).filename), b"again")


def _comment(rng: Random, archive: ZipFile, escaped: Path) -> None:
    archive.comment = rng.choice((b"PK\x05\x06" + bytes(18), rng.randbytes(60_000), b"\x1b[31m"))


def _add(archive: ZipFile, entry: ZipInfo, data: bytes) -> None:
    archive.NameToInfo.pop(entry.filename, None)  # zipfile warns of names that are there already
    archive.writestr(entry, data)


_TRICKS = (
    _strange_name,
    _strange_name,
    _link,
    _encrypted,
    _many,
    _bomb,
    _lying_sizes,
    _twice,
    _comment,
)
