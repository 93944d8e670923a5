"""Words found in takes by their energy, the faults of takes, and the clips that are cut out."""

import re

import numpy as np
import pytest

from edgekws.audio.takes import Word, cut, fault, find_words, level_dbfs

RATE = 16_000


def take(
    at_s: float = 1.0,
    length_s: float = 0.4,
    level: float = 0.3,
    room: float = 0.001,
    of_s: float = 2.4,
) -> np.ndarray:
    """Return noise of a room `(samples,)`, in which a vowel begins at `at_s`."""
    random = np.random.default_rng(0)
    wave = random.standard_normal(round(of_s * RATE)) * room + 0.02  # an offset, as cheap ones have
    n = round(length_s * RATE)
    vowel = sum(np.sin(2 * np.pi * 140 * k * np.arange(n) / RATE) / k for k in (1, 2, 3, 4))
    start = round(at_s * RATE)
    part = wave[start : start + n]
    part += (level * vowel / np.abs(vowel).max() * np.hanning(n) ** 0.25)[: len(part)]
    return wave.astype(np.float32)


def only(wave: np.ndarray) -> Word:
    (word,) = find_words(wave, RATE)
    return word


def test_a_word_is_found_where_it_is() -> None:
    word = only(take())
    assert word.start == pytest.approx(1.0 * RATE, abs=0.03 * RATE)
    assert word.end == pytest.approx(1.4 * RATE, abs=0.03 * RATE)
    assert fault(take(), word, RATE) is None
    clip = cut(take(), word, RATE)
    assert len(clip) == RATE
    middle = (word.start + word.end) // 2 - RATE // 2
    assert np.array_equal(clip, take()[middle : middle + RATE])


def test_two_parts_of_a_word_are_one_and_two_words_are_two() -> None:
    close = take(0.5, 0.2, of_s=3) + take(0.9, 0.2, of_s=3)
    apart = take(0.5, 0.2, of_s=3) + take(1.2, 0.2, of_s=3)
    assert len(find_words(close, RATE)) == 1
    assert len(find_words(apart, RATE)) == 2


@pytest.mark.parametrize("wave", [np.zeros(0), np.zeros(RATE), take(level=0.0), take(1.0, 0.03)])
def test_silence_a_room_and_a_click_are_no_words(wave: np.ndarray) -> None:
    assert find_words(wave.astype(np.float32), RATE) == []


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (take(level=0.02), r"too quiet \(peak -\d\d dBFS\); come nearer"),
        (np.clip(4 * take(), -1, 1), "it is clipped; speak more softly"),
        (take(-0.0), "its beginning is cut off"),
        (take(2.1), "its end is cut off"),
        (take(0.5, 1.7, of_s=3), "1.7 s were spoken; say only the word"),
        (take(level=0.2, room=0.03), "only 1[0-4] dB louder than the room"),
    ],
)
def test_a_faulty_take_is_refused_with_the_reason(wave: np.ndarray, message: str) -> None:
    reason = fault(wave, only(wave), RATE)
    assert reason is not None
    assert re.search(message, reason), reason


def test_a_longer_word_keeps_margins_and_a_short_take_all_it_has() -> None:
    wave = take(0.6, 1.2, of_s=2.6)
    word = only(wave)
    assert len(cut(wave, word, RATE)) == word.end - word.start + 2 * 2_400
    short = take(0.2, 0.3, of_s=0.8)
    assert np.array_equal(cut(short, only(short), RATE), short)
    late = take(2.0, 0.3, of_s=2.4)
    assert np.array_equal(cut(late, only(late), RATE), late[-RATE:])


def test_levels_are_in_db_of_full_scale() -> None:
    assert level_dbfs(np.full(320, 0.1, np.float32)) == pytest.approx(-20)
    assert level_dbfs(np.zeros(320, np.float32)) == level_dbfs(np.zeros(0, np.float32)) == -120
