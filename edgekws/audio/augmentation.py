"""Augmentation: voice, room, noise, channel and gain on waveforms, SpecAugment on features.

Every draw depends only on the seed, the copy or epoch, and the clip, not on the order of clips or
the size of batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgekws.audio.channel import Microphone, Telephone, pass_random_microphone, pass_telephone
from edgekws.audio.counter_draws import uniform
from edgekws.audio.perturbation import change_speed, shift_pitch, warp_formants
from edgekws.audio.ranges import (
    DecibelRange,
    FormantRange,
    SemitoneRange,
    SpeedRange,
    at_share,
)
from edgekws.audio.room import Room, reverberate, room_response
from edgekws.core.fields import Fields

# Purpose of a draw. numpy pads seeds with zeros, so that [seed, copy, clip] is purpose 0, and its
# draws stay the same whether voice and room are changed or not.
_VOICE_AND_ROOM, _FORMANT, _MICROPHONE, _TELEPHONE = 1, 2, 3, 4


class Noise(Fields):
    """Noise mixed in; without recordings, half of it is white and half pink."""

    snr_db: DecibelRange = Field(
        default=(0.0, 20.0),
        description="lowest and highest ratio of clip to noise, in dB; uniform draw",
    )
    probability: float = Field(
        default=0.8, ge=0, le=1, description="share of clips with noise mixed in"
    )


class SpecAugment(Fields):
    """Masks over time and frequency (Park et al. 2019), each with a random width from 0."""

    time_masks: int = Field(default=2, ge=0, le=100, description="masks over time per clip")
    freq_masks: int = Field(default=1, ge=0, le=100, description="masks over mel bands per clip")
    max_time_frames: int = Field(
        default=20, ge=1, le=10_000, description="widest mask over time, in frames"
    )
    max_freq_bands: int = Field(default=7, ge=1, le=512, description="widest mask over mel bands")


class Augment(Fields):
    """Augmentation of the training clips."""

    copies: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="augmented copies of the training clips, rendered once and cached; epochs "
        "use them in turn, and 0 trains on the original clips",
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
    formant: FormantRange | None = Field(
        default=None,
        description="lowest and highest ratio of the formants' frequencies to the original, at the "
        "same pitch and tempo, e.g. [0.85, 1.2] for longer and shorter vocal tracts; uniform draw; "
        "default unchanged",
    )
    room: Room | None = Field(
        default=None, description="reverberation of a simulated room; default none"
    )
    noise: Noise | None = Field(default=None, description="noise mixed in; default none")
    microphone: Microphone | None = Field(
        default=None, description="response of a random microphone; default none"
    )
    telephone: Telephone | None = Field(
        default=None, description="a telephone line: its band and codec; default none"
    )
    time_shift_ms: float = Field(
        default=100.0,
        ge=0,
        le=60_000,
        description="maximum shift of a clip to either side, in ms",
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
    """The draws for one clip; `None` stands for no change.

    `noise` is `white`, `pink` or the index of a recording, `noise_start` its first sample;
    `microphone_db` are its gains at `channel.OCTAVES_HZ`.
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
    formant: float | None = None
    microphone_db: str | None = None
    high_pass_hz: float | None = None
    low_pass_hz: float | None = None
    telephone: bool | None = None


def augment_waveform(
    wave: NDArray[np.float32],
    noise: Sequence[NDArray[np.float32]],
    augment: Augment,
    key: tuple[int, int, int],
    sample_rate: int,
    before: int = 0,
) -> tuple[NDArray[np.float32], Change]:
    """Return a clip `(samples,)` in [-1, 1], augmented, and its draws.

    The order is speed, pitch, formants, time shift, room, noise, microphone, gain, telephone; the
    noise is not reverberated, but the microphone's response applies to it too.
    All draws depend only on `key`, which is (seed, copy, index of the clip in the training set).
    `noise` are recordings of any length at `sample_rate`. Shifts are filled with zeros; samples
    beyond ±1 are clipped, as by a converter. `_silence_` clips get noise as well: noise over noise
    is still no word. Only a clip of zeros gets none, because it has no level for a ratio.

    The clip begins at sample `before` of `wave`; what came before it goes through the same. It
    fills shifts and what a higher speed leaves, but has no part in the ratio of clip to noise.
    """
    random = np.random.default_rng(key)
    most = round(augment.time_shift_ms / 1000 * sample_rate)
    shift = int(random.integers(-most, most + 1))
    out = np.empty_like(wave)
    drawn: dict[str, Any] = {}
    if augment.speed or augment.pitch_semitones or augment.formant or augment.room:
        drawn = _change_voice_and_room(wave, shift, augment, key, sample_rate, before, out)
    else:
        _shift(wave, shift, out)
    if augment.noise and random.random() < augment.noise.probability:
        added, source = _draw_noise(noise, len(out), random)
        snr_db = random.uniform(*augment.noise.snr_db)
        _mix(out, added, snr_db, before)
        drawn |= source | {"snr_db": snr_db}
    if augment.microphone:
        random_microphone = _draws(key, _MICROPHONE)
        drawn |= pass_random_microphone(out, augment.microphone, random_microphone, sample_rate)
    gain_db = random.uniform(*augment.gain_db)
    out *= np.float32(10 ** (gain_db / 20))
    np.clip(out, -1, 1, out=out)
    if augment.telephone and _draws(key, _TELEPHONE).random() < augment.telephone.probability:
        out[:] = np.clip(pass_telephone(out, sample_rate), -1, 1)
        drawn["telephone"] = True
    return out, Change(shift, gain_db, **drawn)


def mask(
    features: NDArray[np.float32],
    spec_augment: SpecAugment,
    seed: int,
    epoch: int,
    clips: NDArray[np.int64],
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """Return normalised features `(B, n_mels, T)` with random bands and frames set to 0, the mean.

    `clips` `(B,)` are the indices of the clips in the training set. `strength` scales the widest
    masks of the fields; 0 disables them.
    """
    widest_time = round(strength * spec_augment.max_time_frames)
    widest_freq = round(strength * spec_augment.max_freq_bands)
    _, n_mels, n_frames = features.shape
    draws = uniform(seed, epoch, clips, 2 * (spec_augment.time_masks + spec_augment.freq_masks))
    time, freq = np.split(draws, [2 * spec_augment.time_masks], axis=1)
    keep_time = _keep(time, n_frames, widest_time)  # (B, T)
    keep_freq = _keep(freq, n_mels, widest_freq)  # (B, n_mels)
    keep = keep_freq[:, :, None] & keep_time[:, None, :]
    return np.multiply(features, keep, dtype=np.float32)


def _draws(key: tuple[int, int, int], purpose: int) -> np.random.Generator:
    return np.random.default_rng([*key, purpose])


def _change_voice_and_room(
    wave: NDArray[np.float32],
    shift: int,
    augment: Augment,
    key: tuple[int, int, int],
    sample_rate: int,
    before: int,
    out: NDArray[np.float32],
) -> dict[str, float]:
    """Change speed, pitch and formants, shift, and add reverberation; return the changes.

    Values for all of them are drawn, whichever are used.
    """
    wave = np.pad(wave, (0, before))  # the middle, which stays in place, is that of the clip
    random = _draws(key, _VOICE_AND_ROOM)
    speed, pitch, in_room, rt60, direct = random.random(5)
    drawn: dict[str, float] = {}
    if augment.speed:
        drawn["speed"] = at_share(augment.speed, speed)
        wave = change_speed(wave, drawn["speed"])
    if augment.pitch_semitones:
        drawn["pitch_semitones"] = at_share(augment.pitch_semitones, pitch)
        wave = shift_pitch(wave, drawn["pitch_semitones"], sample_rate)
    if augment.formant:
        drawn["formant"] = at_share(augment.formant, _draws(key, _FORMANT).random())
        wave = warp_formants(wave, drawn["formant"], sample_rate)
    _shift(wave[: len(out)], shift, out)
    room = augment.room
    if room and in_room < room.probability:
        rt60_s, direct_db = at_share(room.rt60_s, rt60), at_share(room.direct_db, direct)
        out[:] = reverberate(out, room_response(rt60_s, direct_db, sample_rate, random))
        drawn |= {"rt60_s": rt60_s, "direct_db": direct_db}
    return drawn


def _shift(wave: NDArray[np.float32], samples: int, out: NDArray[np.float32]) -> None:
    size = len(wave)
    samples = max(-size, min(size, samples))
    out[:] = 0
    out[max(0, samples) : size + min(0, samples)] = wave[max(0, -samples) : size - max(0, samples)]


def _mix(wave: NDArray[np.float32], noise: NDArray[np.float32], snr_db: float, before: int) -> None:
    """Add `noise` at `snr_db`, with both powers measured over the whole window."""
    clip, beside = wave[before:], noise[before:]
    level, noise_level = float(np.vdot(clip, clip)), float(np.vdot(beside, beside))
    if level > 0 and noise_level > 0:
        wave += noise * np.float32(np.sqrt(level / noise_level / 10 ** (snr_db / 10)))


def _draw_noise(
    recordings: Sequence[NDArray[np.float32]], size: int, random: np.random.Generator
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Return noise `(size,)` and its source, as fields of `Change`."""
    if not recordings:
        white = random.standard_normal(size, dtype=np.float32)
        if random.random() < 0.5:
            return white, {"noise": "white"}
        return _pink(white), {"noise": "pink"}
    index = int(random.integers(len(recordings)))
    recording = recordings[index]
    start = int(random.integers(max(1, len(recording) - size + 1)))
    part = np.asarray(recording[start : start + size])
    source = {"noise": index, "noise_start": start}
    return part if len(part) == size else np.resize(part, size), source


def _pink(white: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter white noise to a 1/f power spectrum."""
    spectrum = np.fft.rfft(white)
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum), dtype=np.float32), 1))
    return np.fft.irfft(spectrum, len(white)).astype(np.float32)


def _keep(draws: NDArray[np.float64], size: int, widest: int) -> NDArray[np.bool_]:
    """Return `(B, size)`, false under the masks; `draws` `(B, 2 * masks)` lie in [0, 1)."""
    widths = np.floor(draws[:, 0::2] * (min(widest, size) + 1))
    starts = np.floor(draws[:, 1::2] * (size - widths + 1))
    index = np.arange(size)
    inside = (index >= starts[..., None]) & (index < (starts + widths)[..., None])
    return np.asarray(~inside.any(axis=1))
