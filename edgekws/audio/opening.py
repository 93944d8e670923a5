"""Opens audio files, and gives their samples as they are recorded: checked, block by block."""

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
"""Rates of recordings. Telephones have 8,000 and the fastest recorders 768,000; a header that says
otherwise is damaged, and resampling by it would make gigabytes of a small file."""

_ENDLESS = 1 << 62
_TO_THE_END = b"\xff" * 4


class Block(NamedTuple):
    """Samples `(frames, channels)` at the rate of the file, and their mean `(frames,)`."""

    channels: NDArray[np.float32]
    mono: NDArray[np.float32]


@contextmanager
def open_audio(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open an audio file of any format of libsndfile, also one that its writer did not finish.

    Raises:
        DataError: the file is missing, not audio, damaged, or of a rate that no recorder has.
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
    """Yield an open file that was not read yet, or the part from `start_s` to `end_s`.

    Raises:
        DataError: samples are not finite or far beyond full scale, or the channels cancel out.
    """
    rate = file.samplerate
    left = min(round(end_s * rate), _ENDLESS) if end_s is not None else _ENDLESS
    left -= _go_to(file, round(start_s * rate))
    mixer = Mixer()
    while left > 0 and len(samples := _read(file, min(max(1, round(block_s * rate)), left))):
        _check(path, samples)
        left -= len(samples)
        yield Block(samples, mixer.mono(samples))
    try:
        mixer.check()
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def length_s(path: Path) -> float:
    """Return how long a recording is.

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
    if unfinished := _unfinished_at(path):
        with _Finished(path, unfinished) as whole, soundfile.SoundFile(whole) as file:
            yield file
        return
    with soundfile.SoundFile(_source(path)) as file:
        if file.frames < _ENDLESS:
            yield file
            return
    with _Endless(_source(path)) as file:
        yield file


def _source(path: Path) -> bytes | int:
    """Return what soundfile is to open: a name that ends in `.raw` says to it: no header."""
    return os.open(path, os.O_RDONLY) if path.suffix.lower() == ".raw" else os.fsencode(path)


class _Endless(soundfile.SoundFile):  # type: ignore[misc]
    """A FLAC that its writer did not finish; libsndfile fails to seek to the end of it."""

    def seekable(self) -> bool:
        return False


class _Finished(io.FileIO):
    """A WAV file whose header did not get the size of its samples: it goes to the end."""

    def __init__(self, path: Path, size_at: int) -> None:
        super().__init__(os.open(path, os.O_RDONLY))  # not by its name: see `_source`
        self._size_at = size_at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        start = self.tell()
        count = super().readinto(buffer) or 0
        for at, byte in enumerate(_TO_THE_END, self._size_at - start):
            if 0 <= at < count:
                memoryview(buffer)[at : at + 1] = bytes([byte])
        return count


def _unfinished_at(path: Path) -> int:
    """Return where in a WAV file the size of its samples is missing; 0 where it is not."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        try:
            return file.tell() - 4 if read_wav_header(file).size is None else 0
        except ValueError:  # no WAV file, or a damaged one: libsndfile knows more about both
            return 0


def _go_to(file: soundfile.SoundFile, frame: int) -> int:
    """Go to a frame, or to the end of a shorter file; return how far."""
    if file.seekable():
        return int(file.seek(min(frame, file.frames)))
    gone = 0
    while gone < frame and (read := len(_read(file, min(frame - gone, file.samplerate)))):
        gone += read
    return gone


def _read(file: soundfile.SoundFile, frames: int) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = file.read(frames, dtype="float32", always_2d=True)
    return samples


def _check(path: Path, samples: NDArray[np.float32]) -> None:
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        raise DataError(f"{path}: holds samples that are not finite numbers; write it anew")
    if peak > HIGHEST_PEAK:
        raise DataError(
            f"{path}: samples reach {peak:g}, and full scale is 1; divide integers that were "
            "stored as floats by their full scale (16-bit: 32768), or save them as 16-bit PCM"
        )


def _unreadable(path: Path, why: str) -> str:
    if not path.exists():
        return f"{path}: no such file; correct the path, or restore the file"
    if path.is_dir():
        return f"{path}: is a folder, an audio file was expected"
    return f"{path}: cannot be read as audio ({why}); convert it to WAV or FLAC, or leave it out"
