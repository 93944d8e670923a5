"""Other voices from the same recording: speed, and pitch without speed."""

import numpy as np
import soxr
from numpy.typing import NDArray

HOP_S = 0.015
"""Half a frame of `stretch`: two frames overlap everywhere."""

SEARCH_S = 0.01
"""How far a frame may move to meet the phase of the one before: a period of 100 Hz either way."""


def change_speed(wave: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` played `ratio` times as fast, as a tape is: the pitch goes along.

    The middle stays where it is. What runs out of the window is cut off, what is missing is zero
    (Ko et al. 2015, "Audio augmentation for speech recognition").
    """
    return _centred(soxr.resample(wave, ratio, 1.0), len(wave))


def shift_pitch(
    wave: NDArray[np.float32], semitones: float, sample_rate: int
) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` higher by `semitones`, its tempo unchanged; formants move along.

    The clip is stretched and then played so much faster; a sound moves by `SEARCH_S` at most.
    """
    ratio = 2 ** (semitones / 12)
    return _centred(soxr.resample(stretch(wave, ratio, sample_rate), ratio, 1.0), len(wave))


def stretch(wave: NDArray[np.float32], ratio: float, sample_rate: int) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` lasting `ratio` times as long, its pitch unchanged.

    WSOLA (Verhelst and Roelands 1993, "An overlap-add technique based on waveform similarity"):
    each frame is taken where it best continues the one before. A phase vocoder is no slower, but
    makes short words faint and hollow.
    """
    hop, search = round(HOP_S * sample_rate), round(SEARCH_S * sample_rate)
    size, frame = round(len(wave) * ratio), 2 * hop
    window = np.hanning(frame + 1)[:-1].astype(np.float32)
    # The frame before the first starts at -hop, and every frame may move by `search`.
    lead = hop + search
    padded = np.pad(wave, (lead, 2 * frame + 2 * search))
    out = np.zeros(size + 2 * frame, np.float32)
    place = lead - hop
    out[:frame] = window * padded[place : place + frame]
    for start in range(0, size, hop):
        goes_on = padded[place + hop :][:frame]
        first = round(start / ratio) + lead - search
        place = first + _most_alike(padded[first:][: frame + 2 * search], goes_on)
        out[start + hop :][:frame] += window * padded[place:][:frame]
    return out[hop : hop + size]


def _most_alike(heard: NDArray[np.float32], frame: NDArray[np.float32]) -> int:
    """Return where `frame` fits best into `heard`, the middle where all is silent."""
    alike = np.correlate(heard, frame, "valid")
    best = int(np.argmax(alike))
    return best if alike[best] > 0 else len(alike) // 2


def _centred(wave: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the middle `size` samples of `wave`; zeros stand in for those it lacks."""
    missing = max(0, size - len(wave))
    wave = np.pad(wave, (missing // 2, missing - missing // 2))
    start = (len(wave) - size) // 2
    return wave[start : start + size]
