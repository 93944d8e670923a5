"""What audio passes on its way to a file: a microphone, and perhaps a telephone line."""

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from pydantic import Field

from edgekws.audio.ranges import DecibelRange, HertzRange, at_share
from edgekws.core.fields import Fields

OCTAVES_HZ = (62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Where the gains of a microphone's response are drawn."""

TELEPHONE_HZ = (300.0, 3400.0)
"""The band of a telephone line, ITU-T G.712."""

TELEPHONE_RATE = 8000

_ORDER = 4
"""Order of the filters at the ends of a band: 24 dB per octave."""

_MU = 255


class Microphone(Fields):
    """A random microphone: a smooth response that falls at both ends."""

    probability: float = Field(
        default=0.5, ge=0, le=1, description="share of clips with a microphone's response"
    )
    gain_db: DecibelRange = Field(
        default=(-6.0, 6.0),
        description="lowest and highest gain at each octave from 62.5 Hz to 8 kHz, in dB, straight "
        "lines between them; uniform draws",
    )
    high_pass_hz: HertzRange = Field(
        default=(30.0, 250.0),
        description="lowest and highest frequency below which the response falls by 24 dB per "
        "octave; uniform draw",
    )
    low_pass_hz: HertzRange = Field(
        default=(3500.0, 8000.0),
        description="lowest and highest frequency above which the response falls by 24 dB per "
        "octave; uniform draw",
    )


class Telephone(Fields):
    """A telephone line: 300 to 3400 Hz, sampled at 8 kHz, 8-bit µ-law."""

    probability: float = Field(
        default=0.2, ge=0, le=1, description="share of clips through a telephone line"
    )


def pass_random_microphone(
    wave: NDArray[np.float32],
    microphone: Microphone,
    random: np.random.Generator,
    sample_rate: int,
) -> dict[str, Any]:
    """Filter `wave` in place by a drawn microphone, or by none; return the draws.

    These are `microphone_db`, its gains at `OCTAVES_HZ`, `high_pass_hz` and `low_pass_hz`.
    """
    used, low, high = random.random(3)
    if used >= microphone.probability:
        return {}
    gains_db = random.uniform(*microphone.gain_db, len(OCTAVES_HZ))
    band_hz = at_share(microphone.high_pass_hz, low), at_share(microphone.low_pass_hz, high)
    wave[:] = pass_microphone(wave, gains_db, band_hz, sample_rate)
    text = " ".join(f"{gain:.2f}" for gain in gains_db)
    return {"microphone_db": text, "high_pass_hz": band_hz[0], "low_pass_hz": band_hz[1]}


def pass_microphone(
    wave: NDArray[np.float32],
    gains_db: NDArray[np.float64],
    band_hz: tuple[float, float],
    sample_rate: int,
) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` at its original level, without delay, filtered by a microphone.

    `gains_db` `(8,)` are its gains at `OCTAVES_HZ`; outside `band_hz` it falls off.
    """

    def response(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        octaves = np.log2(np.maximum(hz, OCTAVES_HZ[0]))
        smooth_db = np.interp(octaves, np.log2(OCTAVES_HZ), gains_db)
        return np.asarray(10 ** (smooth_db / 20) * band_pass(hz, band_hz))

    filtered = _filtered(wave, response(_frequencies(len(wave), sample_rate)))
    level, new_level = float(np.vdot(wave, wave)), float(np.vdot(filtered, filtered))
    return filtered * np.float32(np.sqrt(level / new_level)) if new_level > 0 else filtered


def pass_telephone(wave: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` in [-1, 1] after a telephone line (ITU-T G.712, G.711 µ-law)."""
    size = len(wave)
    in_band = _filtered(wave, band_pass(_frequencies(size, sample_rate), TELEPHONE_HZ))
    if sample_rate <= TELEPHONE_RATE:
        return mu_law(in_band)
    coded = mu_law(soxr.resample(in_band, sample_rate, TELEPHONE_RATE))
    back = soxr.resample(coded, TELEPHONE_RATE, sample_rate)[:size]
    return np.asarray(np.pad(back, (0, size - len(back))), np.float32)


def mu_law(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `wave` quantized to the 8 bits of µ-law, in its continuous form.

    >>> mu_law(np.array([0.0, 2.0, -2.0], np.float32)).tolist()
    [0.0, 1.0, -1.0]
    """
    limited = np.clip(wave, -1, 1)
    companded = np.log1p(_MU * np.abs(limited)) / np.log1p(_MU)
    levels = np.round(companded * 127) / 127
    return np.asarray(np.sign(limited) * np.expm1(levels * np.log1p(_MU)) / _MU, np.float32)


def band_pass(hz: NDArray[np.float64], band_hz: tuple[float, float]) -> NDArray[np.float64]:
    """Return the magnitude of Butterworth filters at both ends of a band, half power there."""
    low, high = band_hz
    below = (low / np.maximum(hz, 1e-3)) ** (2 * _ORDER)
    above = (hz / high) ** (2 * _ORDER)
    return np.asarray(1 / np.sqrt((1 + below) * (1 + above)))


def _frequencies(size: int, sample_rate: int) -> NDArray[np.float64]:
    return np.asarray(np.fft.rfftfreq(_padded(size), 1 / sample_rate), np.float64)


def _padded(size: int) -> int:
    """Return a size with room for the response, so that it does not wrap around."""
    return 1 << (2 * size - 1).bit_length()


def _filtered(wave: NDArray[np.float32], magnitude: NDArray[np.float64]) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(wave, _padded(len(wave))) * magnitude
    return np.fft.irfft(spectrum)[: len(wave)].astype(np.float32)
