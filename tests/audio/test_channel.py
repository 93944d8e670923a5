"""Microphones and telephone lines: the band stays, what is outside falls, and nothing moves."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekws.audio.channel import (
    OCTAVES_HZ,
    TELEPHONE_HZ,
    mu_law,
    pass_microphone,
    pass_telephone,
)

RATE = 16_000
FLAT = np.zeros(len(OCTAVES_HZ))


def level_db(wave: NDArray[np.float32], low: float, high: float, rate: int = RATE) -> float:
    """Return the energy between two frequencies."""
    hz = np.fft.rfftfreq(len(wave), 1 / rate)
    power = np.abs(np.fft.rfft(wave)) ** 2
    return float(10 * np.log10(power[(hz >= low) & (hz < high)].sum()))


def delay(before: NDArray[np.float32], after: NDArray[np.float32]) -> int:
    """Return by how many samples `after` is late."""
    size = 2 * len(before)
    product = np.fft.rfft(after, size) * np.conj(np.fft.rfft(before, size))
    late = int(np.argmax(np.fft.irfft(product)))
    return late if late < len(before) else late - size


def test_real_speech_loses_what_is_outside_of_a_microphones_band(
    speech: NDArray[np.float32],
) -> None:
    for wave in speech[::16]:
        filtered = pass_microphone(wave, FLAT, (200.0, 4_000.0), RATE)
        assert (filtered.dtype, filtered.shape) == (wave.dtype, wave.shape)
        assert filtered.std() == pytest.approx(wave.std(), rel=1e-3)
        louder = level_db(filtered, 400, 3_000) - level_db(wave, 400, 3_000)
        assert 0 <= louder < 12  # the level stays, so what is left is louder
        for low, high in ((20, 100), (7_000, 8_000)):
            fall = level_db(wave, low, high) - level_db(filtered, low, high)
            assert fall + louder > 18
        assert abs(delay(wave, filtered)) <= 1


def test_real_speech_follows_the_gains_of_a_microphone(speech: NDArray[np.float32]) -> None:
    gains = np.array([0, 0, 0, 0, 0, 6, 6, 6.0])
    for wave in speech[::16]:
        flat, bright = (pass_microphone(wave, g, (1e-9, 1e6), RATE) for g in (FLAT, gains))
        np.testing.assert_allclose(flat, wave, atol=1e-4)
        high, low = (level_db(bright, *band) - level_db(wave, *band)
                     for band in ((3_000, 7_000), (100, 400)))  # fmt: skip
        assert high - low == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("rate", [4_000, 8_000, 16_000, 44_100])
def test_a_telephone_keeps_its_band(speech: NDArray[np.float32], rate: int) -> None:
    low, high = TELEPHONE_HZ
    top = min(high, 0.45 * rate)
    for wave in speech[::16]:
        loud = np.asarray(wave * 0.5 / np.abs(wave).max(), np.float32)
        called = pass_telephone(loud, rate)
        assert (called.dtype, called.shape) == (wave.dtype, wave.shape)
        change = level_db(called, low * 1.3, top * 0.8, rate) - level_db(
            loud, low * 1.3, top * 0.8, rate
        )
        assert change == pytest.approx(0, abs=0.7)
        if rate > 8_000:
            assert level_db(called, 4_200, rate / 2, rate) < level_db(called, low, high, rate) - 40
        assert level_db(called, 0, 100, rate) < level_db(called, low, top, rate) - 20
        assert abs(delay(loud, called)) <= 1


def test_mu_law_has_255_values_that_it_keeps() -> None:
    wave = np.linspace(-1, 1, 10_001, dtype=np.float32)
    coded = mu_law(wave)
    assert len(np.unique(coded)) == 255
    np.testing.assert_allclose(mu_law(coded), coded, atol=1e-6)
    np.testing.assert_array_equal(mu_law(-wave), -coded)
    error = np.abs(coded - wave)
    assert (error <= 0.025 * np.abs(wave) + 2e-4).all()  # the same ratio at every level


@pytest.mark.parametrize("size", [1, 37, 5_000])
def test_any_length_passes(size: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, size).astype(np.float32)
    for changed in (
        pass_telephone(wave, RATE), pass_microphone(wave, FLAT, (30.0, 8_000.0), RATE)
    ):  # fmt: skip
        assert changed.shape == (size,)
        assert np.isfinite(changed).all()
