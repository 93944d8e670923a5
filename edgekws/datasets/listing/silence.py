"""Cut clips of `_silence_` at random positions from recordings of noise."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekws.audio.folders import audio_files_under
from edgekws.audio.opening import length_s, open_audio, recorded_blocks
from edgekws.core.contract import SILENCE
from edgekws.core.corpus import SPLITS, Clip, Split
from edgekws.datasets.listing.speakers import three_way
from edgekws.errors import DataError

_AUDIBLE_RMS = 1e-4
_ATTEMPTS = 50
_NOISE_SHARE = 0.15


def silence_clips(
    recordings: Sequence[Path], count: int, window_s: float, split: Split, seed: int
) -> list[Clip]:
    """Cut `count` windows of `window_s` seconds from `recordings`, drawn from (seed, split).

    The probability of a recording is proportional to its length; windows below -80 dBFS (some
    recordings are padded with zeros) are drawn again.

    Raises:
        DataError: a recording cannot be read, or all are silent.
    """
    rng = np.random.default_rng([seed, *split.encode()])
    lengths = np.array([_duration_s(path) for path in recordings])
    share = lengths / lengths.sum()
    return [
        _cut(recordings, lengths, rng.choice(len(lengths), p=share), window_s, split, rng)
        for _ in range(count)
    ]


def noise_recordings(folder: Path, ignored: Counter[str]) -> tuple[Path, ...]:
    """Return the recordings under `folder`; count other files in `ignored`.

    Raises:
        DataError: there are none.
    """
    files = tuple(audio_files_under(folder, ignored))
    if not files:
        raise DataError(f"{folder}: holds no noise recordings; fill it or remove dataset.noise")
    return files


def noise_per_split(
    noise: tuple[Path, ...], seed: int, silence: bool
) -> dict[Split, tuple[Path, ...]]:
    """Split recordings by file (70, 15, 15 %); without a class `_silence_` all are in train.

    Raises:
        DataError: there are fewer recordings than splits.
    """
    if not silence:
        return {"train": noise, "dev": (), "test": ()}
    if len(noise) < len(SPLITS):
        raise DataError(
            f"{noise[0].parent}: _silence_ needs at least 3 noise recordings, one for each split, "
            f"but there are {len(noise)}; add some, or set silence = false"
        )
    top = os.path.commonpath([path.parent for path in noise])
    by_name = {path.relative_to(top).as_posix(): path for path in noise}
    names = three_way(by_name, _NOISE_SHARE, _NOISE_SHARE, dev_salt=["noise", seed])
    return {split: tuple(by_name[name] for name in names[split]) for split in SPLITS}


def _cut(
    recordings: Sequence[Path],
    lengths: np.ndarray,
    index: int,
    window_s: float,
    split: Split,
    rng: np.random.Generator,
) -> Clip:
    for _ in range(_ATTEMPTS):
        path, latest_s = recordings[index], float(lengths[index]) - window_s
        start_s = math.floor(rng.uniform(0, max(latest_s, 0)) * 1000) / 1000
        if _rms(path, start_s, window_s) >= _AUDIBLE_RMS:
            end_s = round(start_s + window_s, 6) if latest_s > 0 else None
            return Clip(path, SILENCE, None, split, start_s, end_s)
        index = int(rng.integers(len(recordings)))
    raise DataError(
        f"{path}: {_ATTEMPTS} windows drawn from the noise recordings for {split} are all below "
        "-80 dBFS; provide recordings that are not silent"
    )


def _duration_s(path: Path) -> float:
    duration_s = length_s(path)
    if duration_s <= 0:
        raise DataError(f"{path}: the noise recording is empty; remove it or record it again")
    return duration_s


def _rms(path: Path, start_s: float, window_s: float) -> float:
    with open_audio(path) as file:
        blocks = recorded_blocks(path, file, start_s, start_s + window_s, window_s)
        squares = [np.square(block.channels) for block in blocks]
    return float(np.sqrt(np.mean(np.concatenate(squares)))) if squares else 0.0
