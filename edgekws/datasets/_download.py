"""Download archives with resumption, verify their sha256, and unpack them safely."""

import gzip
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import NamedTuple

from edgekws.core.canonical import sha256_file
from edgekws.core.events import Emit, Event, progress
from edgekws.errors import DataError, MissingPartError

_BLOCK = 1 << 20
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)
_TIMEOUT_S = 30.0
_MIB = 1 << 20


class Archive(NamedTuple):
    """A `.tar.gz` with the sha256 of its bytes."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name: `speech_commands_v0.02.tar.gz`."""
        return self.url.rpartition("/")[2]


def fetch(archive: Archive, folder: Path, emit: Emit) -> Path:
    """Return the archive under `folder`, downloading the missing part of it.

    An interrupted transfer leaves `<name>.part`, and the next call resumes it. The file gets its
    final name only after its sha256 was verified.

    Raises:
        DataError: the server cannot be reached, closes the connection, or sends a different file.
    """
    target, part = folder / archive.name, folder / f"{archive.name}.part"
    if target.is_file():
        _check(target, archive, emit)
        return target
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _transfer(archive.url, part, emit)
    except _NETWORK as error:
        raise DataError(_describe_failure(archive, part, str(error))) from error
    _check(part, archive, emit)
    part.rename(target)
    return target


def unpack(file: Path, target: Path, emit: Emit) -> None:
    """Unpack a `.tar.gz` as the folder `target`, which appears when complete.

    Raises:
        DataError: the archive is damaged, has a member outside the folder, or `target` exists.
        MissingPartError: this Python cannot unpack safely (before 3.11.4).
    """
    if not hasattr(tarfile, "data_filter"):
        raise MissingPartError("unpacking safely needs Python 3.11.4; install it or unpack by hand")
    if target.exists():
        raise DataError(f"{target}: exists, but without the expected content; move it away")
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _extract(file, partial, emit)
    except tarfile.FilterError as error:
        shutil.rmtree(partial)
        raise DataError(f"{file}: {error}; this is not the expected archive") from error
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        shutil.rmtree(partial)
        raise DataError(
            f"{file}: cannot be unpacked ({error}); remove it and download it again"
        ) from error
    partial.rename(target)


def _transfer(url: str, part: Path, emit: Emit) -> None:
    done = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            done = done if response.status == http.HTTPStatus.PARTIAL_CONTENT else 0
            _receive(response, part, done, emit)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise ConnectionError(f"the server returned {error.code} {error.reason}") from error


def _receive(response: http.client.HTTPResponse, part: Path, done: int, emit: Emit) -> None:
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else None
    with part.open("r+b" if done else "wb") as file:
        file.seek(done)
        while block := response.read(_BLOCK):
            file.write(block)
            done += len(block)
            name = part.name.removesuffix(".part")
            progress(emit, f"downloading {name}, MiB", done // _MIB, (total or done) // _MIB)
    if total is not None and done < total:
        raise ConnectionError(f"the connection was closed at {done} of {total} bytes")


def _describe_failure(archive: Archive, part: Path, reason: str) -> str:
    received = part.stat().st_size if part.is_file() else 0
    action = f"resume from {received / _MIB:.1f} MiB" if received else "try again"
    return (
        f"{archive.url}: cannot be downloaded ({reason}); run the same command to {action}, or put "
        f"{archive.name} into {part.parent} yourself"
    )


def _check(file: Path, archive: Archive, emit: Emit) -> None:
    emit(Event("note", f"checking the sha256 of {archive.name}"))
    actual = sha256_file(file)
    if actual == archive.sha256:
        return
    if file.suffix == ".part":
        file.unlink()
        advice = "the download was removed; run the same command to download it again"
    else:
        advice = "remove it, and run the same command to download it"
    raise DataError(f"{file}: has sha256 {actual}, expected {archive.sha256}; {advice}")


def _extract(file: Path, folder: Path, emit: Emit) -> None:
    size = file.stat().st_size
    with file.open("rb") as packed, tarfile.open(fileobj=packed, mode="r:gz") as tar:
        for count, member in enumerate(tar):
            tar.extract(member, folder, filter="data")
            if count % 500 == 0:
                progress(emit, f"unpacking {file.name}, MiB", packed.tell() // _MIB, size // _MIB)
