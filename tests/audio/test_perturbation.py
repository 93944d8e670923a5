"""Speed moves tempo and pitch together; the shift of the pitch moves the pitch alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekws.audio.perturbation import (
    HOP_S,
    SEARCH_S,
    change_speed,
    overlap_add,
    shift_pitch,
    stretch,
    warp_formants,
)

RATE = 16_000
SIZE = 16_000
MIDDLE = slice(2_500, 13_500)


def _tone(hz: float) -> NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(SIZE) / RATE)).astype(np.float32)


def _vowel(hz: float) -> NDArray[np.float32]:
    partials = np.array([_tone(hz * k) / (2 * k**2) for k in range(1, 8)])
    return np.asarray(partials.sum(axis=0, dtype=np.float32))


def _hz(wave: NDArray[np.float32]) -> float:
    """Return the strongest frequency in the middle of `wave`."""
    part = wave[MIDDLE] * np.hanning(MIDDLE.stop - MIDDLE.start)
    return float(np.argmax(np.abs(np.fft.rfft(part, 1 << 19))) * RATE / (1 << 19))


def _loud_frames(wave: NDArray[np.float32], size: int, loudest: float) -> NDArray[np.float64]:
    """Return the windowed frames `(frames, size)` within 10 dB of an energy of `loudest`."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[::128]
    return np.asarray(frames[(frames**2).sum(axis=1) > 0.1 * loudest] * np.hanning(size))


def _envelope(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the smoothed mean log spectrum `(257,)` of loud frames."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, 512)[::128]
    loud = _loud_frames(wave, 512, float((frames**2).sum(axis=1).max()))
    cepstrum = np.fft.irfft(np.log(np.abs(np.fft.rfft(loud)) + 1e-5).mean(axis=0))
    cepstrum[30:-29] = 0
    return np.asarray(np.fft.rfft(cepstrum).real)


def _stretch_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the factor along frequency by which one envelope best fits the other."""
    bins, ratios = np.arange(5, 110), np.exp(np.linspace(np.log(0.75), np.log(1.35), 121))
    warped = [np.interp(bins / ratio, np.arange(257), before) for ratio in ratios]
    return float(ratios[np.argmax([np.corrcoef(w, after[bins])[0, 1] for w in warped])])


def _period(wave: NDArray[np.float32]) -> int:
    """Return the period in samples, from 50 to 400 Hz, of the 0.1 s in the middle of `wave`."""
    spectrum = np.fft.rfft(wave[len(wave) // 2 - 800 :][:1_600] * np.hanning(1_600), 4_096)
    return 40 + int(np.argmax(np.fft.irfft(np.abs(spectrum) ** 2)[40:320]))


def _ticks(places: list[int]) -> NDArray[np.float32]:
    """Return bursts of 5 ms at `places`."""
    wave, burst = np.zeros(SIZE, np.float32), _tone(1_500)[:80]
    for place in places:
        wave[place - 40 : place + 40] = burst
    return wave


def _places(wave: NDArray[np.float32]) -> list[int]:
    """Return the middles of the bursts in `wave`."""
    loud = np.convolve(wave**2, np.ones(160), "same") > 1.0
    edges = np.flatnonzero(np.diff(loud.astype(int)))
    return [int(a + b + 1) // 2 for a, b in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("ratio", [0.85, 0.97, 1.0, 1.18])
def test_speed_moves_the_pitch_and_the_tempo(ratio: float) -> None:
    changed = change_speed(_tone(440), ratio)
    assert (changed.dtype, changed.shape) == (np.dtype(np.float32), (SIZE,))
    assert _hz(changed) == pytest.approx(440 * ratio, rel=1e-3)
    assert changed[MIDDLE].std() == pytest.approx(_tone(440)[MIDDLE].std(), rel=0.01)
    ticks = [5_000, 8_000, 10_000]
    expected = [8_000 + (tick - 8_000) / ratio for tick in ticks]
    np.testing.assert_allclose(_places(change_speed(_ticks(ticks), ratio)), expected, atol=3)


def test_what_speed_leaves_empty_is_zero_on_both_sides() -> None:
    changed = change_speed(np.ones(SIZE, np.float32), 1.25)
    empty = SIZE - round(SIZE / 1.25)
    assert not changed[: empty // 2].any()
    assert not changed[-(empty // 2) :].any()
    np.testing.assert_allclose(changed[empty // 2 + 50 : -empty // 2 - 50], 1, atol=0.05)


@pytest.mark.parametrize("semitones", [-2.0, -0.5, 0.0, 1.3, 2.0, 5.0])
@pytest.mark.parametrize("hz", [110, 240, 900])
def test_the_pitch_moves_and_the_level_stays(semitones: float, hz: float) -> None:
    for wave in (_tone(hz), _vowel(hz)):
        shifted = shift_pitch(wave, semitones, RATE)
        assert (shifted.dtype, shifted.shape) == (np.dtype(np.float32), (SIZE,))
        assert _hz(shifted) == pytest.approx(_hz(wave) * 2 ** (semitones / 12), rel=3e-3)
        assert shifted[MIDDLE].std() == pytest.approx(wave[MIDDLE].std(), rel=0.05)


@pytest.mark.parametrize("semitones", [-2.0, 2.0])
def test_the_tempo_stays_when_the_pitch_moves(semitones: float) -> None:
    ticks = [3_000, 6_500, 9_000, 13_000]
    found = _places(shift_pitch(_ticks(ticks), semitones, RATE))
    assert len(found) == 4
    assert np.abs(np.subtract(found, ticks)).max() <= SEARCH_S * RATE + 20


def test_real_speech_keeps_its_level_and_its_envelope(speech: NDArray[np.float32]) -> None:
    for wave in speech[::8]:
        shifted = shift_pitch(wave, 1.5, RATE)
        assert shifted.std() == pytest.approx(wave.std(), rel=0.2)
        before, after = (np.convolve(w**2, np.ones(1_600), "valid")[::400] for w in (wave, shifted))
        assert np.corrcoef(before, after)[0, 1] > 0.95


@pytest.mark.parametrize("ratio", [0.85, 1.2])
def test_formants_of_real_speech_move_and_its_pitch_stays(
    speech: NDArray[np.float32], ratio: float
) -> None:
    stretches, periods = [], []
    for wave in speech[::16]:
        warped = warp_formants(wave, ratio, RATE)
        assert (warped.dtype, warped.shape) == (wave.dtype, wave.shape)
        assert warped.std() == pytest.approx(wave.std(), rel=1e-3)
        stretches.append(_stretch_of(_envelope(wave), _envelope(warped)))
        loudest = int(np.argmax(np.convolve(wave**2, np.ones(1_600), "same")[1_600:-1_600]))
        part = slice(loudest, loudest + 3_200)
        periods.append(_period(warped[part]) / _period(wave[part]))
    assert np.median(stretches) == pytest.approx(ratio, rel=0.03)
    assert np.median(periods) == pytest.approx(1, abs=0.005)


def test_harmonics_stay_in_place_when_formants_move() -> None:
    for hz in (110, 240):
        assert _hz(warp_formants(_vowel(hz), 1.2, RATE)) / hz % 1 in (
            pytest.approx(0, abs=1e-3),
            pytest.approx(1, abs=1e-3),
        )


@pytest.mark.parametrize("size", [1, 37, 5_000])
def test_any_length_has_formants(size: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, size).astype(np.float32)
    assert np.isfinite(warp_formants(wave, 1.2, RATE)).all()
    np.testing.assert_allclose(warp_formants(wave, 1.0, RATE), wave, atol=1e-6)


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("size", [1, 37, 5_000])
def test_any_length_can_be_stretched(ratio: float, size: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, size).astype(np.float32)
    longer = stretch(wave, ratio, RATE)
    assert len(longer) == round(size * ratio)
    assert np.isfinite(longer).all()
    if ratio == 1.0:
        np.testing.assert_allclose(longer, wave, atol=1e-6)


@pytest.mark.parametrize("shifts", [1, 2, 4])
def test_frames_are_added_to_the_bit_as_one_after_the_other(shifts: int) -> None:
    hop, random = 5, np.random.default_rng(shifts)
    frames = random.normal(size=(9, shifts * hop)).astype(np.float32)
    frames[random.random(frames.shape) < 0.3] = -0.0
    slow = np.zeros((9 + shifts - 1) * hop, np.float32)
    for start, frame in enumerate(frames):
        slow[start * hop :][: len(frame)] += frame
    assert overlap_add(frames, hop).tobytes() == slow.tobytes()


@pytest.mark.parametrize("ratio", [0.8, 1.26])
def test_stretching_equals_a_slow_overlap_add_to_the_bit(ratio: float) -> None:
    wave = _vowel(131) + np.random.default_rng(0).normal(0, 0.01, SIZE).astype(np.float32)
    wave[4_000:7_000] = 0
    hop, search = round(HOP_S * RATE), round(SEARCH_S * RATE)
    size, frame, lead = round(SIZE * ratio), 2 * hop, hop + search
    window = np.hanning(frame + 1)[:-1].astype(np.float32)
    padded = np.pad(wave, (lead, 2 * frame + 2 * search))
    slow = np.zeros(size + 2 * frame, np.float32)
    place = lead - hop
    slow[:frame] = window * padded[place:][:frame]
    for start in range(0, size, hop):
        first = round(start / ratio) + lead - search
        region, after = padded[first:][: frame + 2 * search], padded[place + hop :][:frame]
        scores = np.correlate(region, after, "valid")
        place = first + (int(np.argmax(scores)) if scores.max() > 0 else search)
        slow[start + hop :][:frame] += window * padded[place:][:frame]
    assert stretch(wave, ratio, RATE).tobytes() == slow[hop : hop + size].tobytes()
