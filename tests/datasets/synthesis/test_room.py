"""A clip keeps its speech and its level, and noise has the colour asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.datasets.synthesis.room import as_int16, coloured_noise, recorded, trimmed


def tone(samples: int) -> np.ndarray:
    return np.asarray(np.sin(np.arange(samples) * 0.3), np.float32)


def test_trimming_removes_what_is_below_two_percent() -> None:
    wave = np.concatenate([np.full(100, 0.005), tone(500), np.zeros(70)]).astype(np.float32)
    assert len(trimmed(wave)) == pytest.approx(500, abs=2)
    assert len(trimmed(np.zeros(50, np.float32))) == 0
    assert len(trimmed(np.zeros(0, np.float32))) == 0


@given(st.integers(0, 10_000), st.integers(400, 20_000))
def test_a_clip_fills_its_window_at_an_audible_level(seed: int, samples: int) -> None:
    clip = recorded(tone(samples), 16_000, 16_000, np.random.default_rng(seed))
    assert clip.shape == (16_000,)
    assert clip.dtype == np.int16
    loudest = np.sqrt(np.mean(np.square(clip.astype(float).reshape(-1, 160)), axis=1)).max()
    assert -38 < 20 * np.log10(loudest / 32768) < -1
    again = recorded(tone(samples), 16_000, 16_000, np.random.default_rng(seed))
    assert np.array_equal(clip, again)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_noise_falls_as_its_colour_says(exponent: float) -> None:
    noise = coloured_noise(160_000, exponent, 16_000, np.random.default_rng(1))
    power = np.abs(np.fft.rfft(noise)) ** 2
    hertz = np.fft.rfftfreq(len(noise), 1 / 16_000)
    low = power[(hertz > 400) & (hertz < 600)].mean()
    high = power[(hertz > 3600) & (hertz < 4400)].mean()
    assert np.log2(low / high) / 3 == pytest.approx(exponent, abs=0.15)
    assert np.sqrt(np.mean(np.square(noise))) == pytest.approx(1.0)


def test_a_loud_wave_is_turned_down_rather_than_clipped() -> None:
    samples = as_int16(np.array([0.0, 3.0, -1.5]))
    assert samples.tolist() == [0, round(0.95 * 32767), round(-0.475 * 32767)]
