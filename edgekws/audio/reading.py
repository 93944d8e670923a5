"""Read audio files of any rate and number of channels: WAV, FLAC, OGG, all of libsndfile."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from edgekws.audio.opening import open_audio, recorded_blocks
from edgekws.errors import DataError

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf"}
)
"""Suffixes of audio files; libsndfile reads all of them."""

MOST_SAMPLES = 1 << 28
"""Maximum number of samples read into memory: 1 GiB, more than four hours at 16 kHz."""


def read_audio(
    path: Path, sample_rate: int, start_s: float = 0.0, end_s: float | None = None
) -> NDArray[np.float32]:
    """Return a file, or the part from `start_s` to `end_s`, as mono `(samples,)` in [-1, 1].

    The blocks of `read_blocks`, joined. A part past the end of the file has no samples.

    Raises:
        DataError: as `read_blocks`, or there are more than `MOST_SAMPLES`.
    """
    blocks, length = [np.zeros(0, np.float32)], 0
    for block in read_blocks(path, sample_rate, 10.0, start_s, end_s):
        blocks.append(block)
        length += len(block)
        if length > MOST_SAMPLES:
            raise DataError(
                f"{path}: longer than {MOST_SAMPLES / sample_rate / 3600:.1f} hours; split it"
            )
    return np.concatenate(blocks)


def read_blocks(
    path: Path,
    sample_rate: int,
    block_s: float = 1.0,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield a file, or a part, as mono `(samples,)` in [-1, 1], block by block.

    Channels are averaged, soxr (quality HQ) converts the rate, and samples are clipped to 1, as the
    filters of decoders and soxr overshoot on clipped recordings. A file of any length fits in
    memory.

    Raises:
        DataError: the file is missing or not audio, or has an impossible rate; samples are not
            finite or far beyond 1, or the channels cancel each other out.
    """
    with open_audio(path) as file:
        blocks = recorded_blocks(path, file, start_s, end_s, block_s)
        for block in resampled((b.mono for b in blocks), file.samplerate, sample_rate):
            yield np.clip(block, -1, 1)


def resampled(
    blocks: Iterable[NDArray[np.float32]], rate: int, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """Yield blocks of a stream at another rate, with soxr as in `read_audio`; some may be empty."""
    if rate == sample_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
