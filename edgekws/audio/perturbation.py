"""Voice perturbation: speed, and pitch at the same tempo."""

import numpy as np
import soxr
from numpy.typing import NDArray

HOP_S = 0.015
"""Half a frame of `stretch`; two frames overlap everywhere."""

SEARCH_S = 0.01
"""Maximum shift of a frame to match the phase of the previous one: a period of 100 Hz."""


def change_speed(wave: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` played `ratio` times as fast, like a tape: the pitch changes too.

    The middle stays in place; the result is cropped or zero-padded to the window (Ko et al. 2015,
    "Audio augmentation for speech recognition").
    """
    return _centred(soxr.resample(wave, ratio, 1.0), len(wave))


def shift_pitch(
    wave: NDArray[np.float32], semitones: float, sample_rate: int
) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` raised by `semitones` at the same tempo; formants shift too.

    The clip is stretched and then played faster; a sound moves by at most `SEARCH_S`.
    """
    ratio = 2 ** (semitones / 12)
    return _centred(soxr.resample(stretch(wave, ratio, sample_rate), ratio, 1.0), len(wave))


def stretch(wave: NDArray[np.float32], ratio: float, sample_rate: int) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` stretched to `ratio` times its length at the same pitch.

    WSOLA (Verhelst and Roelands 1993, "An overlap-add technique based on waveform similarity"):
    each frame is taken where it best continues the previous one. A phase vocoder is as fast, but
    makes short words faint and hollow.
    """
    hop, search = round(HOP_S * sample_rate), round(SEARCH_S * sample_rate)
    size, frame = round(len(wave) * ratio), 2 * hop
    window = np.hanning(frame + 1)[:-1].astype(np.float32)
    # The frame before the first starts at -hop, and every frame may shift by `search`.
    lead = hop + search
    padded = np.pad(wave, (lead, 2 * frame + 2 * search))
    out = np.zeros(size + 2 * frame, np.float32)
    position = lead - hop
    out[:frame] = window * padded[position : position + frame]
    for start in range(0, size, hop):
        continuation = padded[position + hop :][:frame]
        first = round(start / ratio) + lead - search
        position = first + _best_match(padded[first:][: frame + 2 * search], continuation)
        out[start + hop :][:frame] += window * padded[position:][:frame]
    return out[hop : hop + size]


def _best_match(wave: NDArray[np.float32], frame: NDArray[np.float32]) -> int:
    """Return the position at which `frame` best matches `wave`, the middle if all is silent."""
    scores = np.correlate(wave, frame, "valid")
    best = int(np.argmax(scores))
    return best if scores[best] > 0 else len(scores) // 2


def _centred(wave: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the middle `size` samples of `wave`, zero-padded if it is shorter."""
    missing = max(0, size - len(wave))
    wave = np.pad(wave, (missing // 2, missing - missing // 2))
    start = (len(wave) - size) // 2
    return wave[start : start + size]
