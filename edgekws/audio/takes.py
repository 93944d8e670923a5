"""Find a spoken word in a take by its energy, judge the recording, and cut the word out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekws.audio.inspection import FLOOR_DBFS, decibels, measured

CLIP_S = 1.0
"""Shortest length of a clip, with the word in its middle."""

MARGIN_S = 0.15
"""What is kept on either side of the word in a longer clip: quiet beginnings and endings."""

LONGEST_WORD_S = 1.5
QUIETEST_DBFS = -30.0
"""Peak below which a word is too quiet."""

LEAST_ABOVE_ROOM_DB = 15.0
"""Loudest frame of a word above the room, below which the room is too loud."""

_FRAME_S, _HOP_S = 0.02, 0.01
_ABOVE_ROOM_DB, _BELOW_PEAK_DB = 9.0, 30.0
_LONGEST_GAP_S = 0.25
_SHORTEST_S = 0.08
_ROOM_PERCENTILE = 10


@dataclass(frozen=True)
class Word:
    """A word in a take: its first sample, the one after its last, and its level.

    `above_room_db` is the loudest frame's level above that of the room, which is the tenth
    percentile of all frames.
    """

    start: int
    end: int
    above_room_db: float


def find_words(wave: NDArray[np.float32], sample_rate: int) -> list[Word]:
    """Return what is spoken in `wave` `(samples,)`, in order.

    Frames of 20 ms count as speech if they are 9 dB above the room and at most 30 dB below the
    loudest. Gaps of up to 250 ms belong to a word, as in "wi-fi" or "stop", and sounds of less
    than 80 ms are no word.
    """
    hop = round(_HOP_S * sample_rate)
    levels = _levels(wave, round(_FRAME_S * sample_rate), hop)
    if not len(levels):
        return []
    room = float(np.percentile(levels, _ROOM_PERCENTILE))
    threshold = max(room + _ABOVE_ROOM_DB, float(levels.max()) - _BELOW_PEAK_DB)
    words = []
    for first, last in _spans(levels > threshold, round(_LONGEST_GAP_S / _HOP_S)):
        if (last - first) * _HOP_S >= _SHORTEST_S:
            end = min(last * hop + round(_FRAME_S * sample_rate), len(wave))
            words.append(Word(first * hop, end, float(levels[first : last + 1].max()) - room))
    return words


def fault(wave: NDArray[np.float32], word: Word, sample_rate: int) -> str | None:
    """Return why a word in a take is not usable and what to do, `None` if it is good."""
    part = wave[word.start : word.end]
    sound = measured(part[:, None], sample_rate)
    peak_dbfs = decibels(float(np.abs(part - wave.mean()).max(initial=0)))  # without the offset
    edge = round(_FRAME_S * sample_rate)
    if sound.clipped:
        return "it is clipped; speak more softly, or lower the input level"
    if word.start < edge:
        return "its beginning is cut off; wait for the prompt"
    if word.end > len(wave) - edge:
        return "its end is cut off; say only the word, and sooner"
    if sound.length_s > LONGEST_WORD_S:
        return f"{sound.length_s:.1f} s were spoken; say only the word"
    if peak_dbfs < QUIETEST_DBFS:
        return f"it is too quiet (peak {peak_dbfs:.0f} dBFS); come nearer, or raise the input level"
    if word.above_room_db < LEAST_ABOVE_ROOM_DB:
        return (
            f"it is only {word.above_room_db:.0f} dB louder than the room; come nearer, or make "
            "the room quieter"
        )
    return None


def cut(wave: NDArray[np.float32], word: Word, sample_rate: int) -> NDArray[np.float32]:
    """Return the word in the middle of `CLIP_S` of the take, or with margins if it is longer."""
    spoken = word.end - word.start
    size = max(round(CLIP_S * sample_rate), spoken + 2 * round(MARGIN_S * sample_rate))
    start = word.start - (size - spoken) // 2
    start = max(0, min(start, len(wave) - size))
    return wave[start : start + size]


def level_dbfs(block: NDArray[np.float32]) -> float:
    """Return the level (RMS) of a block in dB of full scale."""
    return (
        decibels(float(np.sqrt(np.square(block, dtype=np.float64).mean())))
        if len(block)
        else (FLOOR_DBFS)
    )


def _levels(wave: NDArray[np.float32], frame: int, hop: int) -> NDArray[np.float64]:
    """Return the level of every frame in dB of full scale, without the offset of the recording."""
    count = 1 + (len(wave) - frame) // hop if len(wave) >= frame else 0
    if not count:
        return np.empty(0)
    centred = wave.astype(np.float64) - wave.mean(dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(np.square(centred))])
    starts = np.arange(count) * hop
    power = (sums[starts + frame] - sums[starts]) / frame
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10))))


def _spans(active: NDArray[np.bool_], longest_gap: int) -> list[tuple[int, int]]:
    """Return first and last frame of each run of active frames, joined over short gaps."""
    spans: list[tuple[int, int]] = []
    for frame in np.flatnonzero(active).tolist():
        if spans and frame - spans[-1][1] <= longest_gap:
            spans[-1] = (spans[-1][0], frame)
        else:
            spans.append((frame, frame))
    return spans
