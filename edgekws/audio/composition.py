"""Words set into speech: where a word is in its clip, and waveforms made of a word and speech.

All waveforms are float32 mono in [-1, 1], `(samples,)`.
"""

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

FRAME_S = 0.01
"""Frames in which loudness is measured."""

BELOW_PEAK_DB = 30.0
ABOVE_FLOOR_DB = 6.0
"""A word lies where a clip is at most so far below its loudest frame, and so far above its floor.

The floor is the 10th percentile of the frames' levels.
"""

CLEAR_DB = 10.0
"""With less between floor and loudest frame, nothing says where the word is: it is the clip."""

MARGIN_S = 0.03
"""What is kept at both ends of a word: soft consonants lie below the bounds above."""

FADE_S = 0.01
"""Fade in and out of a word that is set into speech."""

PEAK = 0.95
"""What is louder than full scale is turned down to it."""


def word_span(clip: Wave, sample_rate: int) -> tuple[int, int]:
    """Return where the word of a clip begins and ends, in samples."""
    size = max(1, round(FRAME_S * sample_rate))
    count = len(clip) // size
    if not count:
        return 0, len(clip)
    frames = clip[: count * size].reshape(count, size).astype(np.float64)
    levels = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)
    floor, peak = np.percentile(levels, 10), levels.max()
    if peak - floor < CLEAR_DB:
        return 0, len(clip)
    loud = np.flatnonzero(levels >= max(peak - BELOW_PEAK_DB, floor + ABOVE_FLOOR_DB))
    margin = round(MARGIN_S * sample_rate)
    start, end = loud[0] * size - margin, (loud[-1] + 1) * size + margin
    return max(0, int(start)), min(len(clip), int(end))


def set_into(
    speech: Wave, word: Wave, start: int, snr_db: float, sample_rate: int
) -> NDArray[np.float32]:
    """Return `speech` with `word` added from `start` on, `snr_db` louder than what it covers.

    The level of the word stays; the speech as a whole is turned up or down. The word fades in and
    out, and is cut where the speech ends.
    """
    word = faded(word, sample_rate)[: max(0, len(speech) - start)]
    under = speech[start : start + len(word)]
    gain = rms(word) / max(rms(under), 1e-5) * 10 ** (-snr_db / 20)
    mixed = speech * np.float32(gain)
    mixed[start : start + len(word)] += word
    return turned_down(mixed)


def between(
    before: Wave, word: Wave, after: Wave, level_db: float, sample_rate: int
) -> NDArray[np.float32]:
    """Return `word` with speech before and after it, `level_db` louder than the word.

    All three fade in and out, so that no click marks a joint.
    """
    around = max(rms(np.concatenate([before, after])), 1e-5)
    gain = np.float32(rms(word) / around * 10 ** (level_db / 20))
    parts = [before * gain, word, after * gain]
    return turned_down(np.concatenate([faded(part, sample_rate) for part in parts]))


def faded(wave: Wave, sample_rate: int, seconds: float = FADE_S) -> Wave:
    """Return `wave` with a linear fade of at most `seconds` at both ends."""
    size = min(round(seconds * sample_rate), len(wave) // 2)
    faded = wave.astype(np.float32)
    if size:
        ramp = (np.arange(size, dtype=np.float32) + 0.5) / size
        faded[:size] *= ramp
        faded[-size:] *= ramp[::-1]
    return faded


def turned_down(wave: Wave) -> Wave:
    """Return `wave`, turned down where it is louder than full scale."""
    peak = float(np.abs(wave).max(initial=0))
    return wave * np.float32(PEAK / peak) if peak > 1 else wave


def rms(wave: Wave) -> float:
    """Return the root mean square, 0 for no samples."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
