"""Simulated rooms: how a clip sounds from a distance."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.audio.ranges import DecibelRange, SecondsRange
from edgekws.core.fields import Fields


class Room(Fields):
    """A simulated room: direct sound and a decaying tail of reverberation."""

    probability: float = Field(
        default=0.3, ge=0, le=1, description="share of clips with reverberation"
    )
    rt60_s: SecondsRange = Field(
        default=(0.1, 0.5),
        description="lowest and highest time in which the reverberation decays by 60 dB, in "
        "seconds; uniform draw",
    )
    direct_db: DecibelRange = Field(
        default=(0.0, 12.0),
        description="lowest and highest ratio of direct sound to reverberation, in dB, lower at a "
        "greater distance; uniform draw",
    )


def room_response(
    rt60_s: float, direct_db: float, sample_rate: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return the response `(samples,)` of a room, down to -60 dB; sample 0 is the direct sound, 1.

    The tail is white noise with an exponential envelope, Polack's statistical model of a room's
    late response (1988, "La transmission de l'énergie sonore dans les salles"), with an energy
    `direct_db` below the direct sound.
    """
    size = max(2, round(rt60_s * sample_rate))
    decay = -3 * np.log(10) / (rt60_s * sample_rate)  # of the amplitude, per sample
    tail = random.standard_normal(size, dtype=np.float32)
    tail *= np.exp(decay * np.arange(size, dtype=np.float32))
    tail[0] = 0
    tail *= np.float32(np.sqrt(10 ** (-direct_db / 10) / np.vdot(tail, tail)))
    tail[0] = 1
    return tail


def reverberate(wave: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `wave` `(samples,)` with reverberation, at its original level.

    The direct sound stays in place; the tail is truncated at the end of the window.
    """
    size = 1 << (len(wave) + len(response) - 2).bit_length()
    spectrum = np.fft.rfft(wave, size) * np.fft.rfft(response, size)
    wet: NDArray[np.float32] = np.fft.irfft(spectrum, size)[: len(wave)].astype(np.float32)
    level, new_level = float(np.vdot(wave, wave)), float(np.vdot(wet, wet))
    return wet * np.float32(np.sqrt(level / new_level)) if new_level > 0 else wet
