"""Voice perturbation: speed, pitch at the same tempo, and formants at the same pitch."""

from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray

HOP_S = 0.015
"""Half a frame of `stretch`; two frames overlap everywhere."""

SEARCH_S = 0.01
"""Maximum shift of a frame to match the phase of the previous one: a period of 100 Hz."""


FRAME_S = 0.032
"""Frame of a spectral envelope."""

ENVELOPE_S = 0.002
"""Highest quefrency of a spectral envelope: shorter than a period of any voice."""

_MOST_GAIN = np.log(10)
"""Of a warped envelope over the original, 20 dB: quiet bands are not amplified to noise."""


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


def warp_formants(wave: NDArray[np.float32], ratio: float, sample_rate: int) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` with its formants at `ratio` times their frequency.

    Pitch, tempo and level stay, as for a vocal tract of 1 / `ratio` of the length (Jaitly and
    Hinton 2013, "Vocal tract length perturbation (VTLP) improves speech recognition"). Each frame's
    spectrum is multiplied by its warped envelope over its own; the envelope is the part of the
    cepstrum up to `ENVELOPE_S` (Oppenheim and Schafer 1968, "Homomorphic analysis of speech").
    """
    hop = max(1, round(FRAME_S / 4 * sample_rate))
    frame = 4 * hop
    window = _hann(frame)
    padded = np.pad(wave, (frame, 2 * frame))
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop] * window
    spectra = np.fft.rfft(frames)  # (frames, bins)
    envelope = _log_envelope(spectra, round(ENVELOPE_S * sample_rate))
    gain = np.clip(_stretched(envelope, ratio) - envelope, -_MOST_GAIN, _MOST_GAIN)
    changed = np.fft.irfft(spectra * np.exp(gain), frame) * window
    out = overlap_add(changed, hop)[frame : frame + len(wave)]
    level, new_level = float(np.vdot(wave, wave)), float(np.vdot(out, out))
    return out * np.float32(np.sqrt(level / new_level)) if new_level > 0 else out


def _log_envelope(spectra: NDArray[np.complexfloating], longest: int) -> NDArray[np.floating]:
    """Return the smooth part `(frames, bins)` of log magnitudes, of quefrencies to `longest`."""
    cepstra = np.fft.irfft(np.log(np.abs(spectra) + 1e-5))
    cepstra[:, longest + 1 : cepstra.shape[1] - longest] = 0
    return np.fft.rfft(cepstra).real


def _stretched(envelope: NDArray[np.floating], ratio: float) -> NDArray[np.floating]:
    """Return `envelope` `(frames, bins)` stretched along the bins; the last is repeated."""
    places = np.minimum(np.arange(envelope.shape[1]) / ratio, envelope.shape[1] - 1)
    below = np.minimum(places.astype(int), envelope.shape[1] - 2)
    share = (places - below).astype(envelope.dtype)
    return np.asarray((1 - share) * envelope[:, below] + share * envelope[:, below + 1])


def stretch(wave: NDArray[np.float32], ratio: float, sample_rate: int) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` stretched to `ratio` times its length at the same pitch.

    WSOLA (Verhelst and Roelands 1993, "An overlap-add technique based on waveform similarity"):
    each frame is taken where it best continues the previous one. A phase vocoder is as fast, but
    makes short words faint and hollow.
    """
    hop, search = round(HOP_S * sample_rate), round(SEARCH_S * sample_rate)
    size, frame = round(len(wave) * ratio), 2 * hop
    # The frame before the first starts at -hop, and every frame may shift by `search`.
    lead = hop + search
    padded = np.pad(wave, (lead, 2 * frame + 2 * search))
    positions = [lead - hop]
    for start in range(0, size, hop):
        after = positions[-1] + hop
        first = round(start / ratio) + lead - search
        region = padded[first : first + frame + 2 * search]
        positions.append(first + _best_match(region, padded[after : after + frame]))
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[positions]
    return overlap_add(frames * _hann(frame), hop)[hop : hop + size]


def _best_match(wave: NDArray[np.float32], frame: NDArray[np.float32]) -> int:
    """Return the position at which `frame` best matches `wave`, the middle if all is silent."""
    scores = np.correlate(wave, frame, "valid")
    best = int(scores.argmax())
    return best if scores[best] > 0 else len(scores) // 2


def overlap_add(frames: NDArray[np.floating], hop: int) -> NDArray[np.float32]:
    """Return the sum of `frames` `(N, frame)`, each `hop` after the previous one.

    A sample is the sum of the frames in their order, whatever the sizes.
    """
    count, shifts = len(frames), frames.shape[1] // hop
    out = np.zeros((count + shifts - 1, hop), np.float32)
    for shift in reversed(range(shifts)):
        out[shift : shift + count] += frames[:, shift * hop : (shift + 1) * hop]
    return out.reshape(-1)


@lru_cache(maxsize=8)
def _hann(size: int) -> NDArray[np.float32]:
    """Return the periodic Hann window `(size,)`."""
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    window.flags.writeable = False
    return window


def _centred(wave: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return the middle `size` samples of `wave`, zero-padded if it is shorter."""
    missing = max(0, size - len(wave))
    wave = np.pad(wave, (missing // 2, missing - missing // 2))
    start = (len(wave) - size) // 2
    return wave[start : start + size]
