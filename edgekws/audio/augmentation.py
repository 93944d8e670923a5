"""Augmentation: voice, room, noise, time shift and gain on waveforms, SpecAugment on features.

Every draw depends on the seed, the copy or epoch, and the clip alone: neither the order of clips
nor the size of batches changes what a clip sounds like.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.audio.perturbation import change_speed, shift_pitch
from edgekws.audio.ranges import DecibelRange, SemitoneRange, SpeedRange
from edgekws.audio.room import Room, reverberate, room_response
from edgekws.core.fields import Fields

# What a draw is for: numpy pads seeds with zeros, so that [seed, copy, clip] is purpose 0, and
# what is drawn there stays the same whether voice and room are changed or not.
_VOICE_AND_ROOM = 1


class Noise(Fields):
    """Noise mixed in; without recordings, half of it is white and half pink."""

    snr_db: DecibelRange = Field(
        default=(0.0, 20.0),
        description="lowest and highest ratio of clip to noise, in dB; uniform draw",
    )
    probability: float = Field(
        default=0.8, ge=0, le=1, description="share of the clips that noise is mixed into"
    )


class SpecAugment(Fields):
    """Masks over time and frequency (Park et al. 2019), each of a width drawn from 0 upwards."""

    time_masks: int = Field(default=2, ge=0, le=100, description="masks over time in each clip")
    freq_masks: int = Field(
        default=1, ge=0, le=100, description="masks over mel bands in each clip"
    )
    max_time_frames: int = Field(
        default=20, ge=1, le=10_000, description="widest mask over time, in frames"
    )
    max_freq_bands: int = Field(default=7, ge=1, le=512, description="widest mask over mel bands")


class Augment(Fields):
    """What is done to training clips, so that few of them sound like many."""

    copies: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="augmented renderings of the training clips, made once and kept; epochs go "
        "through them in turn, and 0 trains on the clips as they are",
    )
    speed: SpeedRange | None = Field(
        default=None,
        description="lowest and highest speed, e.g. [0.85, 1.18]; tempo and pitch change together; "
        "uniform draw; default unchanged",
    )
    pitch_semitones: SemitoneRange | None = Field(
        default=None,
        description="lowest and highest shift of the pitch at the same tempo, in semitones, e.g. "
        "[-2, 2]; uniform draw; default unchanged",
    )
    room: Room | None = Field(
        default=None, description="reverberation of a simulated room; default none"
    )
    noise: Noise | None = Field(default=None, description="noise mixed in; default none")
    time_shift_ms: float = Field(
        default=100.0,
        ge=0,
        le=60_000,
        description="a clip moves at most so far to either side, in ms",
    )
    gain_db: DecibelRange = Field(
        default=(-6.0, 6.0), description="lowest and highest gain, in dB; uniform draw"
    )
    spec_augment: SpecAugment | None = Field(
        default=None,
        description="masks over time and mel bands, drawn in every epoch; default none",
    )


@dataclass(frozen=True)
class Change:
    """What was drawn for one clip; `None` stands for what was left as it was.

    `noise` is `white`, `pink` or the index of a recording, `noise_start` the sample it begins at.
    """

    shift_samples: int
    gain_db: float
    speed: float | None = None
    pitch_semitones: float | None = None
    rt60_s: float | None = None
    direct_db: float | None = None
    noise: str | int | None = None
    noise_start: int | None = None
    snr_db: float | None = None


def augment_waveforms(
    waves: NDArray[np.float32],
    noise: Sequence[NDArray[np.float32]],
    augment: Augment,
    seed: int,
    copy: int,
    clips: NDArray[np.int64],
    sample_rate: int,
) -> NDArray[np.float32]:
    """Return `waves` `(B, samples)` in [-1, 1] as other voices would say them elsewhere.

    In this order: speed, pitch, time shift, room, noise, gain; so the noise is not in the room.
    `clips` `(B,)` are the indices of the clips in the training set, `noise` recordings of any
    length at `sample_rate`. What a shift leaves empty is zero; what the gain takes beyond ±1 is
    clipped, as a converter would. `_silence_` clips get noise as well: noise over noise is still
    no word. Only a clip of zeros, which has no level to set a ratio against, stays without.
    """
    result = np.empty_like(waves)
    for wave, out, clip in zip(waves, result, clips, strict=True):
        out[:] = augment_waveform(wave, noise, augment, (seed, copy, int(clip)), sample_rate)[0]
    return result


def augment_waveform(
    wave: NDArray[np.float32],
    noise: Sequence[NDArray[np.float32]],
    augment: Augment,
    key: tuple[int, int, int],
    sample_rate: int,
) -> tuple[NDArray[np.float32], Change]:
    """Return one clip of `augment_waveforms`, `(samples,)`, and what was drawn for it.

    `key` is (seed, copy, clip), from which alone everything is drawn.
    """
    random = np.random.default_rng(key)
    most = round(augment.time_shift_ms / 1000 * sample_rate)
    shift = int(random.integers(-most, most + 1))
    out = np.empty_like(wave)
    drawn: dict[str, Any] = {}
    if augment.speed or augment.pitch_semitones or augment.room:
        draws = np.random.default_rng([*key, _VOICE_AND_ROOM])
        drawn = _say_elsewhere(wave, shift, augment, draws, sample_rate, out)
    else:
        _shift(wave, shift, out)
    if augment.noise and random.random() < augment.noise.probability:
        added, what = _draw_noise(noise, len(out), random)
        snr_db = random.uniform(*augment.noise.snr_db)
        _mix(out, added, snr_db)
        drawn |= what | {"snr_db": snr_db}
    gain_db = random.uniform(*augment.gain_db)
    out *= np.float32(10 ** (gain_db / 20))
    np.clip(out, -1, 1, out=out)
    return out, Change(shift, gain_db, **drawn)


def mask(
    features: NDArray[np.float32],
    spec_augment: SpecAugment,
    seed: int,
    epoch: int,
    clips: NDArray[np.int64],
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """Return normalised features `(B, n_mels, T)` with bands and frames set to 0, the mean.

    `clips` `(B,)` are the indices of the clips in the training set. The widest mask is `strength`
    times as wide as the fields say; at 0 there is none.
    """
    widest_time = round(strength * spec_augment.max_time_frames)
    widest_freq = round(strength * spec_augment.max_freq_bands)
    _, n_mels, n_frames = features.shape
    draws = _uniform(seed, epoch, clips, 2 * (spec_augment.time_masks + spec_augment.freq_masks))
    time, freq = np.split(draws, [2 * spec_augment.time_masks], axis=1)
    keep_time = _keep(time, n_frames, widest_time)  # (B, T)
    keep_freq = _keep(freq, n_mels, widest_freq)  # (B, n_mels)
    keep = keep_freq[:, :, None] & keep_time[:, None, :]
    return np.multiply(features, keep, dtype=np.float32)


def _say_elsewhere(
    wave: NDArray[np.float32],
    shift: int,
    augment: Augment,
    random: np.random.Generator,
    sample_rate: int,
    out: NDArray[np.float32],
) -> dict[str, float]:
    """Change speed and pitch, shift, and put into a room; all is drawn, whatever is asked for.

    Return what was changed.
    """
    speed, pitch, heard_in_room, rt60, direct = random.random(5)
    drawn: dict[str, float] = {}
    if augment.speed:
        drawn["speed"] = _between(augment.speed, speed)
        wave = change_speed(wave, drawn["speed"])
    if augment.pitch_semitones:
        drawn["pitch_semitones"] = _between(augment.pitch_semitones, pitch)
        wave = shift_pitch(wave, drawn["pitch_semitones"], sample_rate)
    _shift(wave, shift, out)
    room = augment.room
    if room and heard_in_room < room.probability:
        rt60_s, direct_db = _between(room.rt60_s, rt60), _between(room.direct_db, direct)
        out[:] = reverberate(out, room_response(rt60_s, direct_db, sample_rate, random))
        drawn |= {"rt60_s": rt60_s, "direct_db": direct_db}
    return drawn


def _between(bounds: DecibelRange, share: float) -> float:
    return bounds[0] + share * (bounds[1] - bounds[0])


def _shift(wave: NDArray[np.float32], samples: int, out: NDArray[np.float32]) -> None:
    size = len(wave)
    samples = max(-size, min(size, samples))
    out[:] = 0
    out[max(0, samples) : size + min(0, samples)] = wave[max(0, -samples) : size - max(0, samples)]


def _mix(wave: NDArray[np.float32], noise: NDArray[np.float32], snr_db: float) -> None:
    """Add `noise` at `snr_db`, both powers taken over the whole window."""
    level, noise_level = float(np.vdot(wave, wave)), float(np.vdot(noise, noise))
    if level > 0 and noise_level > 0:
        wave += noise * np.float32(np.sqrt(level / noise_level / 10 ** (snr_db / 10)))


def _draw_noise(
    recordings: Sequence[NDArray[np.float32]], size: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return noise `(size,)` and which it is, as the fields of `Change`."""
    if not recordings:
        white = random.standard_normal(size, dtype=np.float32)
        if random.random() < 0.5:
            return white, {"noise": "white"}
        return _pink(white), {"noise": "pink"}
    index = int(random.integers(len(recordings)))
    recording = recordings[index]
    start = int(random.integers(max(1, len(recording) - size + 1)))
    part = np.asarray(recording[start : start + size])
    told = {"noise": index, "noise_start": start}
    return part if len(part) == size else np.resize(part, size), told


def _pink(white: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give white noise a power that falls as 1/f."""
    spectrum = np.fft.rfft(white)
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum), dtype=np.float32), 1))
    return np.fft.irfft(spectrum, len(white)).astype(np.float32)


def _keep(draws: NDArray[np.float64], size: int, widest: int) -> NDArray[np.bool_]:
    """Return `(B, size)`, false under the masks; `draws` `(B, 2 * masks)` lie in [0, 1)."""
    widths = np.floor(draws[:, 0::2] * (min(widest, size) + 1))
    starts = np.floor(draws[:, 1::2] * (size - widths + 1))
    place = np.arange(size)
    inside = (place >= starts[..., None]) & (place < (starts + widths)[..., None])
    return np.asarray(~inside.any(axis=1))


def _uniform(seed: int, epoch: int, clips: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return `(B, n)` in [0, 1) from (seed, epoch, clip) alone.

    SplitMix64 (Steele, Lea, Flood 2014) in counter form, for all clips at once: a generator for
    each clip would cost more than the masks.
    """
    state = _splitmix64(_splitmix64(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch))
    streams = _splitmix64(state + clips.astype(np.uint64))[:, None]  # (B, 1)
    words = _splitmix64(streams + np.arange(n).astype(np.uint64))
    return np.asarray((words >> np.uint64(11)) * 2.0**-53)


def _splitmix64(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = word + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed
