"""Likeness: pairs as all comparisons find them, waveforms known at any shift and level."""

from pathlib import Path

import numpy as np
import pytest

from edgekws.audio.inspection import inspect
from edgekws.audio.likeness import ALIKE, SAME, alike, correlation
from edgekws.audio.reading import read_audio


def test_pairs_are_those_of_all_comparisons() -> None:
    random = np.random.default_rng(0)
    prints = random.normal(0, 1, (2_100, 8)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    prints[7] = 0
    found = {(i, j) for _, i, j in alike(prints, 0.95)}
    every = prints @ prints.T
    expected = {(int(i), int(j)) for i, j in np.argwhere(np.triu(every >= 0.95, 1))}
    assert found == expected
    assert len(found) > 50


@pytest.mark.parametrize("shift", [0, 37, -400])
def test_waveforms_correlate_at_any_shift_and_level(shift: int) -> None:
    random = np.random.default_rng(1)
    wave, other = random.normal(0, 0.1, (2, 3_000)).astype(np.float32)
    moved = np.roll(np.pad(wave, 500), shift) * np.float32(-0.3)
    assert correlation(wave, moved) == pytest.approx(1, abs=1e-5)
    assert correlation(wave, other) < 0.2
    assert correlation(wave, np.zeros(10, np.float32)) == 0


def test_takes_of_a_speaker_are_not_one_recording(shared_data: Path) -> None:
    takes = sorted((shared_data / "asc" / "five").glob("00000001_*"))
    assert len(takes) > 5
    prints = [inspect(path).likeness for path in takes]
    waves = [read_audio(path, 8_000) for path in takes]
    alike_takes = sum(float(a @ b) > 0.9 for i, a in enumerate(prints) for b in prints[:i])
    assert alike_takes > 0  # so that prints alone would be wrong at a lower bound
    best = max(correlation(a, b) for i, a in enumerate(waves) for b in waves[:i])
    assert best < SAME
    wave = waves[0]
    assert correlation(wave, wave[800:] * np.float32(0.5)) > SAME
    assert float(inspect(takes[0], 0.05).likeness @ prints[0]) > ALIKE
