"""Augmentation: drawn from (seed, copy or epoch, clip) alone, and doing what its name says."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from edgekws.audio.augmentation import (
    Augment,
    Noise,
    SpecAugment,
    augment_waveform,
    mask,
)
from edgekws.audio.channel import Microphone, Telephone
from edgekws.audio.perturbation import change_speed, shift_pitch
from edgekws.audio.room import Room

RATE = 8_000
STILL = Augment(time_shift_ms=0.0, gain_db=(0.0, 0.0))
VOICES = Augment(
    speed=(0.85, 1.18), pitch_semitones=(-2, 2), room=Room(probability=0.5), noise=Noise()
)


CHANNEL = Augment(
    formant=(0.85, 1.2), microphone=Microphone(probability=1), telephone=Telephone(probability=0.5)
)


def _waves(n: int = 6, samples: int = 2_000) -> NDArray[np.float32]:
    return np.random.default_rng(5).uniform(-0.1, 0.1, (n, samples)).astype(np.float32)


def _augment(
    waves: NDArray[np.float32],
    augment: Augment,
    clips: NDArray[np.int64],
    copy: int = 0,
    noise: tuple[NDArray[np.float32], ...] = (),
    seed: int = 1,
) -> NDArray[np.float32]:
    pairs = zip(waves, clips, strict=True)
    return np.stack(
        [augment_waveform(w, noise, augment, (seed, copy, int(n)), RATE)[0] for w, n in pairs]
    )


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6), st.booleans())
def test_order_and_batch_size_do_not_matter(order: list[int], batch: int, recorded: bool) -> None:
    waves, clips = _waves(), np.arange(6) + 100
    noise = (np.random.default_rng(0).normal(0, 1, 5_000).astype(np.float32),) if recorded else ()
    augment = VOICES
    expected = _augment(waves, augment, clips, noise=noise)
    for start in range(0, 6, batch):
        part = order[start : start + batch]
        got = _augment(waves[part], augment, clips[part], noise=noise)
        np.testing.assert_array_equal(got, expected[part])


@pytest.mark.parametrize("augment", [Augment(noise=Noise(probability=1)), VOICES, CHANNEL])
def test_copies_seeds_and_clips_differ(augment: Augment) -> None:
    wave = np.tile(_waves(1), (2, 1))
    clips = np.array([0, 1])
    a, b = _augment(wave, augment, clips), _augment(wave, augment, clips, copy=1)
    c = _augment(wave, augment, clips, seed=2)
    different = [a[0], a[1], b[0], b[1], c[0], c[1]]
    assert len({w.tobytes() for w in different}) == 6


@pytest.mark.parametrize("length", [500, 2_000, 9_000])
def test_noise_has_the_ratio_asked_for(length: int) -> None:
    waves = _waves()
    noise = (np.random.default_rng(0).normal(0, 0.01, length).astype(np.float32),)
    augment = STILL.model_copy(update={"noise": Noise(snr_db=(5.0, 5.0), probability=1.0)})
    for recordings in (noise, ()):
        added = _augment(waves, augment, np.arange(6), noise=recordings) - waves
        ratio = (waves**2).sum(axis=1) / (added**2).sum(axis=1)
        np.testing.assert_allclose(10 * np.log10(ratio), 5, atol=0.01)


def test_share_of_clips_with_noise() -> None:
    waves = np.tile(_waves(1, 200), (400, 1))
    augment = STILL.model_copy(update={"noise": Noise(probability=0.3)})
    touched = (_augment(waves, augment, np.arange(400)) != waves).any(axis=1)
    assert 0.2 < touched.mean() < 0.4
    np.testing.assert_array_equal(_augment(waves, STILL, np.arange(400)), waves)


def test_made_noise_is_white_and_pink() -> None:
    waves = np.tile(_waves(1, 8_000), (40, 1))
    augment = STILL.model_copy(update={"noise": Noise(snr_db=(0.0, 0.0), probability=1.0)})
    spectra = np.abs(np.fft.rfft(_augment(waves, augment, np.arange(40)) - waves)) ** 2
    tilt = 10 * np.log10(spectra[:, 10:100].mean(axis=1) / spectra[:, 1_000:].mean(axis=1))
    white, pink = tilt[tilt < 6], tilt[tilt >= 6]
    assert min(len(white), len(pink)) > 8
    assert abs(white.mean()) < 1
    # 1/f: the mean over 10 … 100 over the mean over 1000 … 4000, each of 1/f
    expected = 10 * np.log10(np.log(10) / 90 / (np.log(4) / 3_000))
    assert abs(pink.mean() - expected) < 1


def test_shift_moves_and_fills_with_zeros() -> None:
    waves = np.ones((50, 400), np.float32) * np.linspace(0.1, 0.2, 400, dtype=np.float32)
    augment = Augment(time_shift_ms=10.0, gain_db=(0.0, 0.0))
    shifts = set()
    for shifted in _augment(waves, augment, np.arange(50)):
        found = [
            s
            for s in range(-80, 81)
            if np.array_equal(shifted, np.pad(waves[0], 80)[80 - s : 480 - s])
        ]
        assert len(found) == 1
        shifts.add(found[0])
    assert min(shifts) < -40
    assert max(shifts) > 40


def test_gain_stays_in_its_range_and_clips() -> None:
    waves = _waves(50, 100)
    augment = Augment(time_shift_ms=0.0, gain_db=(-6.0, 6.0))
    gains = 20 * np.log10(_augment(waves, augment, np.arange(50))[:, 7] / waves[:, 7])
    assert -6.01 < gains.min() < -4
    assert 4 < gains.max() < 6.01
    loud = Augment(time_shift_ms=0.0, gain_db=(40.0, 40.0))
    assert np.abs(_augment(waves, loud, np.arange(50))).max() == 1


def _ratios(waves: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the strongest frequency of each of `waves`, as a ratio to 500 Hz."""
    spectra = np.abs(np.fft.rfft(waves * np.hanning(waves.shape[1]), 1 << 16))
    return np.asarray(spectra.argmax(axis=1) * RATE / (1 << 16) / 500)


@pytest.mark.parametrize(
    ("fields", "lowest", "highest"),
    [
        ({"speed": (0.85, 1.18)}, 0.85, 1.18),
        ({"pitch_semitones": (-2.0, 2.0)}, 2 ** (-2 / 12), 2 ** (2 / 12)),
    ],
)
def test_speed_and_pitch_are_drawn_from_their_range(
    fields: dict[str, object], lowest: float, highest: float
) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(4_000) / RATE).astype(np.float32) / 2
    augment = STILL.model_copy(update=fields)
    ratios = _ratios(_augment(np.tile(tone, (40, 1)), augment, np.arange(40)))
    span = highest - lowest
    assert lowest - 0.005 <= ratios.min() < lowest + 0.2 * span
    assert highest - 0.2 * span < ratios.max() <= highest + 0.005


def test_speed_comes_before_pitch_before_shift() -> None:
    waves = _waves(3)
    augment = STILL.model_copy(update={"speed": (1.1, 1.1), "pitch_semitones": (1.0, 1.0)})
    expected = [shift_pitch(change_speed(wave, 1.1), 1.0, RATE) for wave in waves]
    np.testing.assert_allclose(_augment(waves, augment, np.arange(3)), expected, atol=1e-6)
    moved = augment.model_copy(update={"time_shift_ms": 50.0})
    for still, wave in zip(expected, _augment(waves, moved, np.arange(3)), strict=True):
        found = [
            np.allclose(wave, np.pad(still, 400)[400 - s : 2_400 - s], atol=1e-6)
            for s in range(-400, 401)
        ]
        assert sum(found) == 1


def test_share_of_clips_in_a_room() -> None:
    waves = np.tile(_waves(1, 400), (400, 1))
    augment = STILL.model_copy(update={"room": Room(probability=0.3, rt60_s=(0.02, 0.05))})
    heard = _augment(waves, augment, np.arange(400))
    touched = (heard != waves).any(axis=1)
    assert 0.2 < touched.mean() < 0.4
    np.testing.assert_allclose((heard**2).sum(axis=1), (waves**2).sum(axis=1), rtol=1e-4)


def test_noise_is_mixed_in_after_voice_and_room() -> None:
    """A click in a room with a steady noise: the noise is that of the clip outside the room."""
    waves = np.zeros((4, 2_000), np.float32)
    waves[:, 0] = 0.5
    noise = (np.random.default_rng(0).normal(0, 0.1, 2_000).astype(np.float32),)
    noisy = {"noise": Noise(snr_db=(0.0, 0.0), probability=1.0)}
    for fields in (
        {"room": Room(probability=1.0)},
        {"speed": (0.9, 0.9)},
        {"pitch_semitones": (2.0, 2.0)},
    ):
        clean = _augment(waves, STILL.model_copy(update=fields), np.arange(4), noise=noise)
        augment = STILL.model_copy(update={**fields, **noisy})
        added = _augment(waves, augment, np.arange(4), noise=noise) - clean
        scale = np.sqrt((clean**2).sum(axis=1) / (noise[0] ** 2).sum())
        np.testing.assert_allclose(added, scale[:, None] * noise[0], atol=1e-5)


def test_one_change_leaves_the_draws_of_the_others_alone() -> None:
    waves, clips = _waves(), np.arange(6)
    alone = {"speed": (0.85, 1.18)}
    expected = _augment(waves, STILL.model_copy(update=alone), clips)
    with_room = {**alone, "room": Room(probability=0.0), "pitch_semitones": None}
    np.testing.assert_array_equal(
        _augment(waves, STILL.model_copy(update=with_room), clips), expected
    )
    same = {"speed": (1.0, 1.0)}
    noise = Augment(noise=Noise())
    np.testing.assert_allclose(
        _augment(waves, noise.model_copy(update=same), clips),
        _augment(waves, noise, clips),
        atol=1e-5,
    )


def test_formants_and_channel_leave_the_other_draws_alone() -> None:
    waves, clips = _waves(), np.arange(6)
    unused = {"microphone": Microphone(probability=0), "telephone": Telephone(probability=0)}
    np.testing.assert_array_equal(
        _augment(waves, VOICES.model_copy(update=unused), clips), _augment(waves, VOICES, clips)
    )
    same = VOICES.model_copy(update={"formant": (1.0, 1.0)})
    for wave, clip in zip(waves, clips, strict=True):
        key = (1, 0, int(clip))
        change = augment_waveform(wave, (), same, key, RATE)[1]
        expected = augment_waveform(wave, (), VOICES, key, RATE)[1]
        assert replace(change, formant=None) == expected
        assert change.formant == 1


def test_draws_of_the_channel_are_within_what_was_asked() -> None:
    asked = CHANNEL.model_copy(update={"microphone": Microphone(probability=0.5)})
    changes = [
        augment_waveform(_waves(1)[0], (), asked, (1, 0, clip), RATE)[1] for clip in range(24)
    ]
    assert all(0.85 <= (c.formant or 0) <= 1.2 for c in changes)
    with_microphone = [c for c in changes if c.microphone_db is not None]
    assert 4 <= len(with_microphone) <= 20
    assert all(30 <= (c.high_pass_hz or 0) <= 250 for c in with_microphone)
    assert all(3500 <= (c.low_pass_hz or 0) <= 8000 for c in with_microphone)
    gains = [float(gain) for c in with_microphone for gain in str(c.microphone_db).split()]
    assert len(gains) == 8 * len(with_microphone)
    assert all(-6 <= gain <= 6 for gain in gains)
    assert {c.telephone for c in changes} == {None, True}


@pytest.mark.parametrize("augment", [VOICES, CHANNEL])
def test_voices_cost_little(augment: Augment) -> None:
    waves, seconds = _waves(16, 16_000), []
    augment = augment.model_copy(update={"room": Room(probability=1.0)})
    for copy in range(4):
        start = time.thread_time()
        for clip, wave in enumerate(waves):
            augment_waveform(wave, (), augment, (1, copy, clip), 16_000)
        seconds.append(time.thread_time() - start)
    assert min(seconds) / 16 < 0.02


@pytest.mark.parametrize("augment", [Augment(noise=Noise(probability=1.0)), VOICES, CHANNEL])
def test_zeros_stay_zeros(augment: Augment) -> None:
    silent = np.zeros((2, 500), np.float32)
    np.testing.assert_array_equal(_augment(silent, augment, np.arange(2)), silent)


@settings(max_examples=40, deadline=None)
@given(
    st.builds(
        SpecAugment,
        time_masks=st.integers(0, 3),
        freq_masks=st.integers(0, 3),
        max_time_frames=st.integers(1, 40),
        max_freq_bands=st.integers(1, 40),
    ),
    st.integers(0, 2**31),
    st.integers(0, 500),
)
def test_masks(spec: SpecAugment, seed: int, epoch: int) -> None:
    features, clips = np.ones((5, 12, 30), np.float32), np.arange(5) * 7
    masked = mask(features, spec, seed, epoch, clips)
    assert masked.dtype == np.float32
    np.testing.assert_array_equal(features, 1)
    for i, clip in enumerate(clips):
        alone = mask(features[:1], spec, seed, epoch, np.array([clip]))
        np.testing.assert_array_equal(alone[0], masked[i])
        rows, columns = masked[i].any(axis=1), masked[i].any(axis=0)
        if rows.any() and columns.any():  # masks are bands: rows times columns
            np.testing.assert_array_equal(masked[i], np.outer(rows, columns))
            assert (~rows).sum() <= spec.freq_masks * spec.max_freq_bands
            assert (~columns).sum() <= spec.time_masks * spec.max_time_frames


def test_widths_and_places_of_masks_are_even() -> None:
    spec = SpecAugment(time_masks=1, freq_masks=0, max_time_frames=4)
    masked = mask(np.ones((5_000, 1, 10), np.float32), spec, 0, 0, np.arange(5_000))
    hidden = masked[:, 0] == 0
    widths = np.bincount(hidden.sum(axis=1), minlength=5) / 5_000
    np.testing.assert_allclose(widths, 0.2, atol=0.03)
    one = hidden[hidden.sum(axis=1) == 1].mean(axis=0)
    np.testing.assert_allclose(one, 0.1, atol=0.04)
    other = mask(np.ones((5_000, 1, 10), np.float32), spec, 0, 1, np.arange(5_000))
    assert 0.02 < (masked == other).all(axis=(1, 2)).mean() < 0.2


def test_strength_narrows_the_masks() -> None:
    spec = SpecAugment(time_masks=1, freq_masks=1, max_time_frames=20, max_freq_bands=8)
    ones, clips = np.ones((3_000, 12, 40), np.float32), np.arange(3_000)
    np.testing.assert_array_equal(mask(ones, spec, 0, 0, clips, 1.0), mask(ones, spec, 0, 0, clips))
    np.testing.assert_array_equal(mask(ones, spec, 0, 0, clips, 0.0), ones)
    half = mask(ones, spec, 0, 0, clips, 0.5)
    narrow = SpecAugment(time_masks=1, freq_masks=1, max_time_frames=10, max_freq_bands=4)
    np.testing.assert_array_equal(half, mask(ones, narrow, 0, 0, clips))
    hidden = (half.max(axis=1) == 0).sum(axis=1)
    assert (hidden.min(), hidden.max()) == (0, 10)


def test_masks_cost_little() -> None:
    features, clips = np.ones((500, 40, 97), np.float32), np.arange(500)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        mask(features, SpecAugment(), 0, 0, clips)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) * 7_000 / 500 < 0.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gain_db": [6, -6]}, r"gain_db\n.*\[6.0, -6.0\] is not \[lowest, highest\]"),
        ({"noise": {"snr_db": [3, 1]}}, r"noise.snr_db\n"),
        ({"noise": {"probability": 1.5}}, r"noise.probability\n"),
        ({"copies": -1}, r"copies\n"),
        ({"spec_augment": {"max_time_frames": 0}}, r"spec_augment.max_time_frames\n"),
        ({"pitch": 1}, r"pitch\n.*Extra inputs are not permitted"),
        ({"speed": [1.2, 0.9]}, r"speed\n.*\[1.2, 0.9\] is not \[lowest, highest\]"),
        ({"speed": [0, 1]}, r"speed.0\n.*greater than or equal to 0.5"),
        ({"pitch_semitones": [-13, 0]}, r"pitch_semitones.0\n.*greater than or equal to -12"),
        ({"room": {"rt60_s": [0, 0.3]}}, r"room.rt60_s.0\n.*greater than 0"),
        ({"room": {"probability": 2}}, r"room.probability\n"),
        ({"formant": [0.5, 1]}, r"formant.0\n.*greater than or equal to 0.7"),
        ({"microphone": {"low_pass_hz": [0, 9]}}, r"microphone.low_pass_hz.0\n.*greater than 0"),
        ({"telephone": {"probability": 2}}, r"telephone.probability\n"),
    ],
)
def test_wrong_fields(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Augment.model_validate(fields)


def test_a_change_tells_what_was_drawn() -> None:
    wave = _waves(1)[0]
    heard, change = augment_waveform(wave, (), Augment(), (1, 2, 3), RATE)
    np.testing.assert_array_equal(heard, _augment(wave[None], Augment(), np.array([3]), 2)[0])
    gain = np.float32(10 ** (change.gain_db / 20))
    moved = np.zeros_like(wave)
    shift = change.shift_samples
    moved[max(0, shift) : len(wave) + min(0, shift)] = wave[
        max(0, -shift) : len(wave) - max(0, shift)
    ]
    np.testing.assert_array_equal(heard, moved * gain)
    assert change.speed is change.noise is change.snr_db is change.rt60_s is None


@pytest.mark.parametrize("recorded", [False, True])
def test_a_change_is_within_what_was_asked(recorded: bool) -> None:
    noise = tuple(np.random.default_rng(n).normal(0, 1, 5_000).astype(np.float32) for n in (0, 1))
    asked = VOICES.model_copy(update={"noise": Noise(snr_db=(3, 4), probability=1)})
    told = [
        augment_waveform(_waves(1)[0], noise if recorded else (), asked, (1, 0, clip), RATE)[1]
        for clip in range(12)
    ]
    assert {c.noise for c in told} == ({0, 1} if recorded else {"white", "pink"})
    assert {c.noise_start is not None for c in told} == {recorded}
    assert all(3 <= (c.snr_db or 0) <= 4 and 0.85 <= (c.speed or 0) <= 1.18 for c in told)
    assert all(-2 <= (c.pitch_semitones or 9) <= 2 for c in told)
    assert {c.rt60_s is None for c in told} == {True, False}
