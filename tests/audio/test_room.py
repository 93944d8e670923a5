"""The simulated room dies away as asked, and leaves word and level where they were."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekws.audio.room import reverberate, room_response

RATE = 16_000


def _random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _schroeder_rt60(response: NDArray[np.float32]) -> float:
    """Return the time to -60 dB, from a line through -5 … -35 dB of the energy still to come."""
    to_come = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    level_db = 10 * np.log10(to_come / to_come[0])
    fitted = np.flatnonzero((level_db <= -5) & (level_db >= -35))
    slope = np.polyfit(fitted / RATE, level_db[fitted], 1)[0]
    return float(-60 / slope)


@pytest.mark.parametrize("rt60_s", [0.1, 0.25, 0.5, 1.0])
def test_reverberation_falls_as_asked(rt60_s: float) -> None:
    found = [_schroeder_rt60(room_response(rt60_s, 3, RATE, _random(i))[1:]) for i in range(8)]
    np.testing.assert_allclose(found, rt60_s, rtol=0.15)
    assert np.mean(found) == pytest.approx(rt60_s, rel=0.05)


@pytest.mark.parametrize("direct_db", [-3.0, 0.0, 12.0])
def test_direct_sound_has_its_share(direct_db: float) -> None:
    response = room_response(0.3, direct_db, RATE, _random())
    assert response.dtype == np.float32
    assert response[0] == 1
    ratio = 10 * np.log10(1 / np.square(response[1:].astype(np.float64)).sum())
    assert ratio == pytest.approx(direct_db, abs=1e-3)


@pytest.mark.parametrize(("size", "taps"), [(16_000, 8_000), (1_000, 3_000), (500, 1), (1, 2)])
def test_reverberate_is_a_convolution_at_the_same_level(size: int, taps: int) -> None:
    wave = _random(1).normal(0, 0.1, size).astype(np.float32)
    response = _random(2).normal(0, 0.1, taps).astype(np.float32)
    heard = reverberate(wave, response)
    expected = np.convolve(wave.astype(np.float64), response)[:size]
    expected *= np.sqrt(np.square(wave, dtype=np.float64).sum() / np.square(expected).sum())
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, expected, atol=1e-5)


def test_the_word_does_not_move(speech: NDArray[np.float32]) -> None:
    for i, wave in enumerate(speech[::8]):
        response = room_response(0.5, 0, RATE, _random(i))
        late = np.pad(wave, (2_000, 0))
        heard = reverberate(late, response)
        assert heard.std() == pytest.approx(late.std(), rel=0.01)
        assert np.abs(heard[:2_000]).max() < 1e-4 * late.std()  # nothing comes early
        white = _random(i).normal(0, 0.1, len(wave)).astype(np.float32)
        overlap = np.correlate(reverberate(white, response), white[200:-8_000], "valid")
        assert np.argmax(overlap) == 200  # and the direct sound comes at once


def test_silence_stays_silent() -> None:
    silent = np.zeros(800, np.float32)
    np.testing.assert_array_equal(reverberate(silent, room_response(0.2, 0, RATE, _random())), 0)
