"""Open audio files and read their checked samples at the original rate, block by block."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.errors import DataError
from edgekws.runtime.detect import HIGHEST_PEAK, Mixer, read_wav_header

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LOWEST_HZ, HIGHEST_HZ = 1_000, 768_000
"""Limits of the sample rate. Telephones have 8,000, the fastest recorders 768,000; a header beyond
that is damaged, and resampling by it would turn a small file into gigabytes."""

_ENDLESS = 1 << 62
_UNKNOWN_SIZE = b"\xff" * 4


class Block(NamedTuple):
    """Samples `(frames, channels)` at the rate of the file, and their mean `(frames,)`."""

    channels: NDArray[np.float32]
    mono: NDArray[np.float32]


@contextmanager
def open_audio(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open an audio file of any format of libsndfile, even if its writer was interrupted.

    Raises:
        DataError: the file is missing, not audio or damaged, or has an impossible rate.
    """
    try:
        with _opened(path) as file:
            if not LOWEST_HZ <= file.samplerate <= HIGHEST_HZ:
                raise DataError(
                    f"{path}: {file.samplerate} Hz; expected a rate from {LOWEST_HZ} to "
                    f"{HIGHEST_HZ} Hz; correct the file's header, or record it again"
                )
            yield file
    except soundfile.LibsndfileError as error:
        raise DataError(_unreadable(path, error.error_string)) from error
    except OSError as error:
        raise DataError(_unreadable(path, str(error))) from error


def recorded_blocks(
    path: Path, file: soundfile.SoundFile, start_s: float, end_s: float | None, block_s: float
) -> Iterator[Block]:
    """Yield the blocks of a newly opened file, or of the part from `start_s` to `end_s`.

    Raises:
        DataError: samples are not finite or far beyond full scale, or the channels cancel out.
    """
    rate = file.samplerate
    remaining = min(round(end_s * rate), _ENDLESS) if end_s is not None else _ENDLESS
    remaining -= _seek(file, round(start_s * rate))
    size = max(1, round(block_s * rate))
    mixer = Mixer()
    while remaining > 0 and len(samples := _read(file, min(size, remaining))):
        _check(path, samples)
        remaining -= len(samples)
        yield Block(samples, mixer.mono(samples))
    try:
        mixer.check()
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def length_s(path: Path) -> float:
    """Return the length of a recording in seconds.

    Raises:
        DataError: as `open_audio`.
    """
    with open_audio(path) as file:
        if file.frames < _ENDLESS:
            return float(file.frames / file.samplerate)
        frames = 0
        while read := len(_read(file, file.samplerate)):
            frames += read
        return float(frames / file.samplerate)


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    if size_at := _missing_size_at(path):
        with _UnfinishedWav(path, size_at) as wav, soundfile.SoundFile(wav) as file:
            yield file
        return
    with soundfile.SoundFile(_source(path)) as file:
        if file.frames < _ENDLESS:
            yield file
            return
    with _UnfinishedFlac(_source(path)) as file:
        yield file


def _source(path: Path) -> bytes | int:
    """Return the name of a file, or a descriptor for `.raw`, which soundfile opens headerless."""
    return os.open(path, os.O_RDONLY) if path.suffix.lower() == ".raw" else os.fsencode(path)


class _UnfinishedFlac(soundfile.SoundFile):  # type: ignore[misc]
    """A FLAC of an interrupted writer; libsndfile fails to seek to its end."""

    def seekable(self) -> bool:
        return False


class _UnfinishedWav(io.FileIO):
    """A WAV file without the size of its samples in the header; they extend to its end."""

    def __init__(self, path: Path, size_at: int) -> None:
        super().__init__(os.open(path, os.O_RDONLY))  # not by name: see `_source`
        self._size_at = size_at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        start = self.tell()
        count = super().readinto(buffer) or 0
        for at, byte in enumerate(_UNKNOWN_SIZE, self._size_at - start):
            if 0 <= at < count:
                memoryview(buffer)[at : at + 1] = bytes([byte])
        return count


def _missing_size_at(path: Path) -> int:
    """Return the offset of the missing size of the samples in a WAV file, or 0 if it is there."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        try:
            return file.tell() - 4 if read_wav_header(file).size is None else 0
        except ValueError:  # not a WAV file, or a damaged one: libsndfile handles both better
            return 0


def _seek(file: soundfile.SoundFile, frame: int) -> int:
    """Seek to a frame, or to the end of a shorter file; return the position."""
    if file.seekable():
        return int(file.seek(min(frame, file.frames)))
    position = 0
    while position < frame and (read := len(_read(file, min(frame - position, file.samplerate)))):
        position += read
    return position


def _read(file: soundfile.SoundFile, frames: int) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = file.read(frames, dtype="float32", always_2d=True)
    return samples


def _check(path: Path, samples: NDArray[np.float32]) -> None:
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        raise DataError(f"{path}: holds samples that are not finite numbers; write it again")
    if peak > HIGHEST_PEAK:
        raise DataError(
            f"{path}: samples reach {peak:g}, but full scale is 1; divide integers stored as "
            "floats by their full scale (16-bit: 32768), or save them as 16-bit PCM"
        )


def _unreadable(path: Path, reason: str) -> str:
    if not path.exists():
        return f"{path}: no such file; correct the path, or restore the file"
    if path.is_dir():
        return f"{path}: is a folder; expected an audio file"
    return f"{path}: cannot be read as audio ({reason}); convert it to WAV or FLAC, or leave it out"
