"""Reading audio files of any rate and number of channels: WAV, FLAC, OGG, all of libsndfile."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from edgekws.errors import DataError

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"}
)
"""Files that are taken as audio; libsndfile reads each of them."""


def read_audio(
    path: Path, sample_rate: int, start_s: float = 0.0, end_s: float | None = None
) -> NDArray[np.float32]:
    """Return a file, or the part from `start_s` to `end_s`, as mono `(samples,)` in [-1, 1].

    Channels are averaged; the rate is changed by soxr (quality HQ). A part that lies past the end
    of the file has no samples.

    Raises:
        DataError: the file is missing, not audio, or holds samples that are not numbers.
    """
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            rate = file.samplerate
            wave = _read_part(file, start_s, end_s)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(_unreadable(path, error)) from error
    if not np.isfinite(wave).all():
        raise DataError(f"{path}: holds samples that are not finite numbers; write it anew")
    if rate == sample_rate or not len(wave):
        return wave
    resampled: NDArray[np.float32] = soxr.resample(wave, rate, sample_rate)
    return resampled


def read_blocks(
    path: Path, sample_rate: int, block_s: float = 1.0
) -> Iterator[NDArray[np.float32]]:
    """Yield a file as mono `(samples,)` in [-1, 1], block by block: a long one fits in memory.

    Joined they are what `read_audio` gives.

    Raises:
        DataError: the file is missing, not audio, or holds samples that are not numbers.
    """
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            frames = max(1, round(block_s * file.samplerate))
            yield from resampled(_blocks(path, file, frames), file.samplerate, sample_rate)
    except (soundfile.LibsndfileError, OSError) as error:
        raise DataError(_unreadable(path, error)) from error


def resampled(
    blocks: Iterable[NDArray[np.float32]], rate: int, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks of a stream at another rate, with soxr as `read_audio`; some may be empty."""
    if rate == sample_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _blocks(path: Path, file: soundfile.SoundFile, frames: int) -> Iterator[NDArray[np.float32]]:
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise DataError(f"{path}: holds samples that are not finite numbers; write it anew")
        yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def _read_part(
    file: soundfile.SoundFile, start_s: float, end_s: float | None
) -> NDArray[np.float32]:
    start = min(round(start_s * file.samplerate), file.frames)
    end = file.frames if end_s is None else min(round(end_s * file.samplerate), file.frames)
    file.seek(start)
    wave: NDArray[np.float32] = file.read(max(0, end - start), dtype="float32", always_2d=True)
    return wave[:, 0] if wave.shape[1] == 1 else wave.mean(axis=1, dtype=np.float32)


def _unreadable(path: Path, error: Exception) -> str:
    if not path.exists():
        return f"{path}: no such file; correct the path, or restore the file"
    if path.is_dir():
        return f"{path}: is a folder, an audio file was expected"
    return f"{path}: cannot be read as audio ({error}); convert it to WAV or FLAC, or leave it out"
