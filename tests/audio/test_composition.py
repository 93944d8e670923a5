"""Words are found in clips, and set into speech at the place and level asked for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekws.audio.composition import (
    between,
    faded,
    rms,
    set_into,
    turned_down,
    word_span,
)
from edgekws.audio.reading import read_audio

RATE = 16_000


def burst(start_s: float, end_s: float, noise_db: float = -60, size_s: float = 1.0) -> np.ndarray:
    """Return a clip of noise with a loud tone in it."""
    wave = np.random.default_rng(0).standard_normal(round(size_s * RATE)) * 10 ** (noise_db / 20)
    a, b = round(start_s * RATE), round(end_s * RATE)
    wave[a:b] += 0.3 * np.sin(np.arange(b - a) * 0.2)
    return wave.astype(np.float32)


@given(start=st.floats(0, 0.6), length=st.floats(0.1, 0.39), noise_db=st.floats(-80, -35))
def test_a_word_is_found_to_a_few_hundredths_of_a_second(
    start: float, length: float, noise_db: float
) -> None:
    a, b = word_span(burst(start, start + length, noise_db), RATE)
    assert a / RATE == pytest.approx(max(0, start - 0.03), abs=0.015)
    assert b / RATE == pytest.approx(min(1, start + length + 0.03), abs=0.015)


def test_where_nothing_stands_out_the_word_is_the_clip() -> None:
    assert word_span(np.zeros(RATE, np.float32), RATE) == (0, RATE)
    assert word_span(np.full(100, 0.1, np.float32), RATE) == (0, 100)
    hiss = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert word_span(0.01 * hiss, RATE) == (0, RATE)


def test_words_of_people_are_shorter_than_their_clips(shared_data: Path) -> None:
    files = sorted((shared_data / "asc" / "stop").glob("*.flac"))[::20]
    lengths = []
    for file in files:
        clip = read_audio(file, RATE)
        start, end = word_span(clip, RATE)
        lengths.append((end - start) / RATE)
        assert rms(clip[start:end]) >= rms(clip)
    assert 0.25 < np.median(lengths) < 0.9


@given(snr_db=st.floats(-5, 40), start=st.integers(0, RATE))
def test_a_word_is_as_much_louder_as_asked_for(snr_db: float, start: int) -> None:
    speech = 0.05 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    word = np.full(RATE // 2, 0.01, np.float32)
    mixed = set_into(speech, word, start, snr_db, RATE)
    alone = mixed.copy()
    alone[start : start + len(word)] -= faded(word, RATE)
    under = alone[start : start + len(word)]
    assert 20 * np.log10(rms(faded(word, RATE)) / rms(under)) == pytest.approx(snr_db, abs=0.01)
    before, after = slice(0, start), slice(start + len(word), None)
    gain = rms(alone) / rms(speech)
    np.testing.assert_allclose(mixed[before], speech[before] * gain, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(mixed[after], speech[after] * gain, rtol=1e-3, atol=1e-6)


def test_a_word_that_reaches_past_the_end_is_cut() -> None:
    speech, word = np.full(1000, 0.1, np.float32), np.full(600, 0.2, np.float32)
    assert len(set_into(speech, word, 700, 10, RATE)) == 1000
    np.testing.assert_array_equal(set_into(speech, word[:0], 0, 10, RATE).shape, speech.shape)


@given(level_db=st.floats(-20, 0))
def test_speech_around_a_word_has_the_level_asked_for(level_db: float) -> None:
    before = 0.02 * np.random.default_rng(1).standard_normal(3000).astype(np.float32)
    after = 0.02 * np.random.default_rng(2).standard_normal(5000).astype(np.float32)
    word = 0.1 * np.sin(np.arange(8000) * 0.3).astype(np.float32)
    joined = between(before, word, after, level_db, RATE)
    assert len(joined) == 16_000
    around = np.concatenate([joined[:3000], joined[11_000:]])
    expected = rms(word) * 10 ** (level_db / 20)
    assert rms(around) == pytest.approx(expected, rel=0.1)
    np.testing.assert_allclose(joined[3200:10_800], word[200:7800], rtol=1e-5)


def test_nothing_is_louder_than_full_scale() -> None:
    loud = np.array([0.5, -2.0, 1.0], np.float32)
    np.testing.assert_allclose(turned_down(loud), [0.2375, -0.95, 0.475])
    quiet = np.array([0.25, -1.0, 0.5], np.float32)
    np.testing.assert_array_equal(turned_down(quiet), quiet)
    assert np.abs(set_into(loud, loud, 0, -40, RATE)).max() <= 1
    assert len(between(loud[:0], loud, loud[:0], 0, RATE)) == 3
