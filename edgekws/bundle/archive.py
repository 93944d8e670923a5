"""Zip archives of bundles: reproducible writing and safe unpacking."""

import errno
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from edgekws.bundle.members import FOLDERS
from edgekws.core.scratch import scratch_folder
from edgekws.errors import DataError

MAX_ENTRIES = 1_000
MAX_BYTES = 256 * 2**20
"""Maximum total size of the unpacked files of a bundle."""

MAX_NAME = 200
"""Maximum length in bytes of a file's path in a bundle."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16
_UNIX = 3
_ENCRYPTED = 0x1
_CHUNK = 2**20


def write_zip(folder: Path, names: Iterable[str], path: Path) -> None:
    """Write the files `names` of `folder`; the same content gives the same bytes anywhere.

    Entries are sorted, have fixed times and permissions, and are stored, because the output of
    deflate depends on the zlib version.
    """
    with ZipFile(path, "w", ZIP_STORED) as archive:
        for name in sorted(names):
            entry = ZipInfo(name, _EPOCH)
            entry.create_system, entry.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(entry, (folder / name).read_bytes())


@contextmanager
def unpacked(bundle: Path) -> Iterator[Path]:
    """Yield the folder of a bundle; a zip is unpacked into a temporary folder.

    Raises:
        DataError: there is no such bundle, or the zip is damaged or not safe to unpack.
    """
    if bundle.is_dir():
        yield bundle
        return
    if not bundle.is_file():
        raise DataError(f"{bundle}: no such bundle; give its folder or its zip")
    with scratch_folder("bundle") as scratch:
        with _explained(bundle), ZipFile(bundle) as archive:
            _unpack(archive, scratch)
        yield scratch


@contextmanager
def _explained(bundle: Path) -> Iterator[None]:
    """Convert the errors of a damaged or unsafe archive to `DataError`."""
    try:
        yield
    except _UnsafeError as error:
        raise DataError(f"{bundle}: {error}; nothing of it was used") from error
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a seek before the start
            raise
        raise DataError(
            f"{bundle}: not a zip archive, or a damaged one ({error}); copy it again"
        ) from error


class _UnsafeError(Exception):
    """The archive is not safe to unpack."""


def _unpack(archive: ZipFile, folder: Path) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _UnsafeError(f"{len(entries)} entries, more than the {MAX_ENTRIES} of any bundle")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise _UnsafeError(f"it unpacks to more than {MAX_BYTES // 2**20} MiB")
    files = [entry for entry in entries if not _is_folder(entry)]
    _check_names([entry.filename for entry in files])
    for entry in files:
        _check_kind(entry)
        target = folder / entry.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        # A ZipExtFile ends at the stated size of the entry, even if its data expands further.
        with archive.open(entry) as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy, _CHUNK)


def _is_folder(entry: ZipInfo) -> bool:
    name = entry.filename
    if not name.endswith("/"):
        return False
    _check_name(name.removesuffix("/"))
    if name.removesuffix("/") not in FOLDERS:
        raise _UnsafeError(f"{name!r} is not part of a bundle")
    return True


def _check_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        _check_name(name)
        if name in seen:
            raise _UnsafeError(f"{name!r} appears twice")
        seen.add(name)
    for name in names:
        if parents := [str(p) for p in PurePosixPath(name).parents if str(p) in seen]:
            raise _UnsafeError(f"{parents[0]!r} is both a file and a folder")


def _check_name(name: str) -> None:
    parts = name.split("/")
    if len(name.encode()) > MAX_NAME:
        raise _UnsafeError(f"{name[:20]!r}… has a name of more than {MAX_NAME} bytes")
    if {"", ".", ".."}.intersection(parts) or "\\" in name or ":" in name:
        raise _UnsafeError(f"{name!r} leads out of the bundle's folder, or is not a plain path")


def _check_kind(entry: ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _UnsafeError(f"{entry.filename!r} is a link or a device; a bundle holds plain files")
    if entry.flag_bits & _ENCRYPTED:
        raise _UnsafeError(f"{entry.filename!r} is encrypted")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise _UnsafeError(f"{entry.filename!r} uses a compression method other than deflate")
